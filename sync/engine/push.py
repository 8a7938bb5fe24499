"""Push: send a document's operation to Stripe, and store what the answer means: link, refusal, or a later attempt."""

from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeVar

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.decision import RemoteState
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync import metrics
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.observations import existence_of, from_reply, merge_observation, needs_refresh
from stripe_mongo_sync.sync.engine.refresh import read_remote, refresh
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.stripe.about import of_operation
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, Unknown

D = TypeVar("D", bound=StagedDocument)


@singledispatch
def push(document: Any) -> tuple[Any, dict[str, Any] | None]:
    """Send the pending operation of a SyncedDocument, and link its object. Return the document, and Stripe's error if
    it refused and the operation has ended.

    Only a certain refusal ends the operation; without an answer it stays pending, and reconcile resolves it. Raises
    CannotReadStripe, with the operation deferred, for errors that concern more than this document.
    """
    operation = sure(document.operation)
    try:
        answer = current().gateway.send(operation, of_operation(document))
    except CannotReadStripe as error:
        why = str(error)
        finish_operation(document, lambda latest: latest.defer(why, backoff(operation.attempts)))
        metrics.count_operation(document.resource.kind, operation.verb, "pending")
        raise
    if isinstance(answer, Refusal) and _declined_anothers(document, answer):
        answer = Unknown("Stripe's refusal is about something else")
    ended = _concluded(document, answer)
    notify_dependents(ended)
    over = ended.operation is None or ended.operation.key != operation.key or ended.status == Status.ROLLED_BACK
    refused = isinstance(answer, Refusal) and over and not (answer.not_found and ended.error is None)
    outcome = "refused" if refused else "done" if over else "pending"
    metrics.count_operation(document.resource.kind, operation.verb, outcome)
    return ended, answer.problem if refused and isinstance(answer, Refusal) else None


def _concluded(document: SyncedDocument, answer: Answer) -> SyncedDocument:
    operation = sure(document.operation)
    match answer:
        case Reply():
            return link(document, answer)
        case Refusal(declined_object=Reply() as declined) if _is_a(document, declined):
            return link(document, declined, answer.problem)
        case Refusal(not_found=True) if operation.verb == "delete":
            gone = existence_of(document.stripe_id or "", "delete", deleted=True)
            return merge_observation(type(document), {"_id": document.id}, gone) or document.fetch_latest()
        case Refusal(not_found=True) if document.status == Status.ACTIVE:
            return _handle_not_found(document, answer)
        case Refusal():
            return finish_operation(document, lambda latest: _refused(latest, answer))
        case Unknown():
            wait = backoff(operation.attempts)
            return finish_operation(document, lambda latest: latest.defer(answer.reason, wait, stored=answer.saved))


def _handle_not_found(document: SyncedDocument, refusal: Refusal) -> SyncedDocument:
    """Handle a 404: the object is deleted, or an earlier attempt or the Dashboard has already ended it."""
    try:
        remote_state, reply = read_remote(document)
    except CannotReadStripe as error:
        log.warning("%s %s cannot be read: %s", document.resource.kind, document.id, error)
    else:
        if remote_state == RemoteState.UP_TO_DATE and reply is not None:
            done = document.store_snapshot(from_reply(type(document), reply), operation=None, error=None)
            return done or document.fetch_latest()
    return _look_or_wait(finish_operation(document, lambda latest: latest.end_refused(refusal.problem, "missing")))


def _refused(document: SyncedDocument, refusal: Refusal) -> SyncedDocument | None:
    """End the operation, unless Stripe may have done an earlier attempt. In that case the key is not sent again, and
    reconcile searches Stripe for the object.
    """
    operation = sure(document.operation)
    unknown = refusal.earlier_attempt_unknown or operation.outcome_unknown
    if refusal.replayed or operation.verb == "delete" or not unknown:
        return document.end_refused(refusal.problem, "refused")
    return document.defer(refusal.problem["message"], backoff(operation.attempts), stored=True)


def finish_operation(document: D, change: Callable[[D], D | None]) -> D:
    """Apply `change` unless the operation has ended, as an event may have linked the document first, or another worker
    has claimed the document since: then the answer is late, and that worker's own says what comes of it.
    """
    key, until = sure(document.operation).key, document.leased_until
    while document.operation is not None and document.operation.key == key and document.is_current:
        if document.leased_until != until:
            break
        ended = change(document)
        if ended is not None:
            return ended
        document = document.fetch_latest()
    return document


def link(document: SyncedDocument, reply: Reply, problem: dict[str, Any] | None = None) -> SyncedDocument:
    """Merge Stripe's reply into the document, and refresh the document if the reply leaves its content in doubt.

    With a `problem` the card was declined, but the payment exists and may be confirmed again.
    """
    model = type(document)
    key = sure(document.operation).key
    evidence = from_reply(model, reply, completed_key=key, problem=problem, lease=document.leased_until)
    try:
        linked = merge_observation(model, {"_id": document.id}, evidence, hearsay=True, held=document)
        linked = linked or document.fetch_latest()
    except DuplicateKeyError:
        anothers = Unknown(
            f"Stripe's answer is about something else ({evidence.stripe_id}, which another document made)"
        )
        log.error("%s %s: %s", document.resource.kind, document.id, anothers)
        return _concluded(document, anothers)
    linked = _look_or_wait(linked) if needs_refresh(linked, evidence) else linked
    return _declined(linked, evidence) if problem else linked


def _declined(document: SyncedDocument, evidence: Observation) -> SyncedDocument:
    """Store the decline if an event ended the operation before the reply, and nothing has changed since."""
    while document.is_current and document.operation is None and document.is_as(evidence):
        if document.error is not None:
            return document
        noted = document.update_if_unchanged(error=evidence.error)
        if noted is not None:
            return noted
        document = document.fetch_latest()
    return document


def _look_or_wait(document: SyncedDocument) -> SyncedDocument:
    try:
        return refresh(document)
    except CannotReadStripe as error:
        log.warning("%s %s cannot be read: %s", document.resource.kind, document.id, error)
        return document.fetch_latest()


def _is_a(document: SyncedDocument, reply: Reply) -> bool:
    return reply.remote.get("object") == document.resource.kind


def _declined_anothers(document: SyncedDocument, refusal: Refusal) -> bool:
    """Whether a decline shows a payment that this operation did not create."""
    declined = refusal.declined_object
    return declined is not None and _is_a(document, declined) and of_operation(document)(declined.remote) is not None
