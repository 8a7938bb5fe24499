"""Resolve: bring one overdue document to a definite outcome, by the remedy of the decision table."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import singledispatch
from typing import Any

from stripe_mongo_sync.models import PaymentIntent, StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.decision import Remedy, RemoteState, diagnose
from stripe_mongo_sync.models.base.embedded import Call, Operation
from stripe_mongo_sync.models.base.facts import KEY_REPLAY_WINDOW, MAX_EVENT_DISTANCE
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import from_now
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.belonging import CLOCK, let_go
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.find import Finder, link_or_give_up, page
from stripe_mongo_sync.sync.engine.observations import existence_of, from_reply, merge_observation, needs_refresh
from stripe_mongo_sync.sync.engine.push import push
from stripe_mongo_sync.sync.engine.refresh import read_remote, refresh
from stripe_mongo_sync.sync.engine.undo import CircuitBreaker, undo
from stripe_mongo_sync.sync.errors import MissingPermission, NoOwner
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.money import AMOUNTS, amount_in, readable

RECHECK_INTERVAL = timedelta(minutes=5)  # between two checks of an operation that may be in flight
ROUNDS = 4  # check, decide, check again: more would mean that the table has a loop


Shown = Mapping[str, Any] | None  # an object, as it is stored or as Stripe shows it; None where it is not known
OnDrift = Callable[[str, Any, Shown, Shown, list[str] | None], None]  # kind, id, here, at Stripe, the edited fields


@dataclass
class Run:
    """What the resolving of many documents in one run shares."""

    dry: bool = False
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    finder: Finder = field(default_factory=Finder)
    counts: Counter[str] = field(default_factory=Counter)
    missed: int = 0  # events that no webhook had brought in time
    edited: list[str] = field(default_factory=list)  # some of the documents that were edited by hand, with the fields
    known_edits: set[int] = field(default_factory=set)  # hashes of their ids, so that each is reported once
    on_drift: OnDrift = lambda *drift: None  # called for each document that differs from Stripe


@singledispatch
def resolve(
    document: Any,  # a SyncedDocument, or what another room registers
    run: Run,
    now: datetime,
    seen: tuple[RemoteState, Reply | None] = (RemoteState.NOT_CHECKED, None),
) -> None:
    """Apply the table's remedy to one document that is overdue at `now` and, unless the run is dry, claimed.

    If its object was just `seen`, the document may also be one that is not overdue. Raises CannotReadStripe; then only
    the document's claim is changed.
    """
    (remote_state, reply), found = seen, None
    for _ in range(ROUNDS):
        remedy = diagnose(document.facts(now, current().installation), remote_state)
        match remedy:
            case Remedy.FIND:
                remote_state, found = _find(document, run, now)
            case Remedy.LOOK:
                remote_state, reply = read_remote(document)
            case _:
                run.counts[remedy] += 1
                if not run.dry:
                    _do(remedy, document, run, now, found, reply, remote_state)
                    notify_dependents(document)
                return
    raise AssertionError(f"the table does not come to an end for {document.resource.kind} {document.id}")


def _find(document: SyncedDocument, run: Run, now: datetime) -> tuple[RemoteState, str | None]:
    try:
        return run.finder.find(document, now)
    except MissingPermission as error:
        if now - sure(document.operation).staged_at > KEY_REPLAY_WINDOW:
            told = f"Stripe cannot be searched for its object: {error}"
            return RemoteState.CANDIDATE, f"{told}. Allow the key to read it, then `operations retry {document.id}`"
        raise
    except NoOwner as error:
        told = f"no list shows any more whether its object was made: {error}"
        return RemoteState.CANDIDATE, f"{told.removesuffix('.')}: {link_or_give_up(document)}"


def _do(
    remedy: Remedy,
    document: SyncedDocument,
    run: Run,
    now: datetime,
    found: str | None,
    reply: Reply | None,
    remote_state: RemoteState,
) -> None:
    model = type(document)
    match remedy:
        case Remedy.SEND:
            if (sending := document.sending()) is not None:
                push(sending)
        case Remedy.LINK:
            evidence = existence_of(sure(found), "reconcile")
            linked = merge_observation(model, {"_id": document.id}, evidence)
            if linked is not None and needs_refresh(linked, evidence):
                refresh(linked)
        case Remedy.REFRESH:
            document.store_snapshot(from_reply(model, sure(reply)))
        case Remedy.DONE:
            document.store_snapshot(from_reply(model, sure(reply)), operation=None, error=None)
        case Remedy.EXPIRE:
            problem = {
                "type": "expired",
                "code": None,
                "message": document.error.message
                if document.error
                else "Stripe did not do it, and it is too old to be sent again.",
            }
            document.store_snapshot(from_reply(model, sure(reply)), operation=None, error=problem)
        case Remedy.ROLL_BACK:
            message = document.error.message if document.error else "Stripe has no object with this creation key."
            document.roll_back({"type": "rolled-back", "code": None, "message": message}, "reconcile", in_doubt=True)
        case Remedy.MISS:
            document.miss(MAX_EVENT_DISTANCE)
        case Remedy.MARK_DELETED:
            _mark_deleted(document, run)
        case Remedy.UNDO:
            if not undo(document, run.breaker):
                run.counts.update({"braked": 1, Remedy.UNDO: -1})
        case Remedy.LEAVE if document.resource.kind == CLOCK and document.status == Status.DELETED:
            run.counts[Remedy.MARK_DELETED] += let_go(document)
        case Remedy.LEAVE:
            document.release()
        case Remedy.WAIT:
            document.reschedule(max(RECHECK_INTERVAL, backoff(1)))
        case Remedy.REVIEW if remote_state == RemoteState.LOST:
            reason = _lost(document)
            document.send_to_review(reason, missing_since=from_now())
            log.warning("%s %s needs an operator: %s", document.resource.kind, document.id, reason)
        case Remedy.REVIEW:
            foreign = document.facts(now, current().installation).other_installation
            reason = of_clone(document) if foreign else found or _no_result(document)
            document.send_to_review(reason)
            log.warning("%s %s needs an operator: %s", document.resource.kind, document.id, reason)


def of_clone(document: StagedDocument) -> str:
    """Return the reason for the review of a document whose operation another installation staged."""
    key = document.operation.key if document.operation else document.creation_key
    told = f"started by installation {sure(key).split(':')[1]}: this database is a clone"
    settles = f"See there what became of it; here `operations roll-back {document.id}` gives it up"
    return f"{told}, and never sends what the other one began. {settles}"


def _lost(document: SyncedDocument) -> str:
    """Return the reason for the review of a document whose object Stripe does not find."""
    told = f"Stripe does not find {document.stripe_id}, and never deletes such objects: check the Dashboard"
    retry, give_up = f"`operations retry {document.id}`", f"`operations roll-back {document.id}`"
    return f"{told}, {page(document, sure(document.stripe_id))}. If it is there: {retry}; if it is gone: {give_up}"


def _no_result(document: SyncedDocument) -> str:
    """Return the reason for the review of a document whose operation Stripe shows no result of."""
    operation = sure(document.operation)
    amount = amount_of(document)
    what = f"{operation.verb} of {readable(*amount)}" if amount else operation.verb
    told = f"Stripe shows no result of this {what}, and it is too old to retry, because it moves money"
    if document.status == Status.PENDING:
        return f"{told}: {link_or_give_up(document)}"
    link = page(document, sure(document.stripe_id))
    done, not_done = f"`operations retry {document.id}`", f"`operations roll-back {document.id}`"
    return f"{told}: check the Dashboard, {link}. If it was done: {done}; if not: {not_done}"


def amount_of(document: StagedDocument) -> tuple[int, str] | None:
    """Return the amount that a document is about, in the minor unit, and its currency; None if it is about none.

    What is about a payment and names no currency, such as a refund, has that of the payment.
    """
    own = {name: getattr(document, name, None) for name in (*AMOUNTS, "currency", "payment_intent")}
    sources = [*(call.params for call in reversed(calls_of(document))), own, document.stripe or {}]
    paid = next((each["payment_intent"] for each in sources if isinstance(each.get("payment_intent"), str)), "")
    payment = PaymentIntent.by_stripe_id(paid) if paid else None
    return amount_in(*sources, {"currency": payment and payment.currency})


def calls_of(document: StagedDocument) -> list[Call]:
    """Return the calls to Stripe that its pending operation consists of.

    The operation of an order is none of Stripe's: it holds that of the payment or the refund.
    """
    operation = document.operation
    if operation is None or operation.path:
        return operation.calls if operation is not None else []
    inner = operation.params.get("operation")
    return Operation(**inner).calls if isinstance(inner, dict) else []


def look_at_absent(document: SyncedDocument, run: Run) -> bool:
    """Read the object of an active document that its list does not show. Raises CannotReadStripe.

    Return False if the circuit breaker stopped it. An object that differs is stored. One that is not found is resolved
    by the table, unless the document is in review, in work, or was not found lately: then it is due anyway.
    """
    remote_state, reply = read_remote(document)
    if reply is not None and not reply.gone:
        evidence = from_reply(type(document), reply)
        if evidence.remote is not None and not document.is_as(evidence):
            run.counts["drift"] += 1
            run.on_drift(document.resource.kind, document.id, document.stripe, evidence.remote, None)
            if not run.dry and (seen := document.store_snapshot(evidence)) is not None:
                notify_dependents(seen)
    elif document.due_at is None and document.review_reason is None:
        before = run.counts["braked"]
        resolve(document, run, clock.now(), (remote_state, reply))
        return run.counts["braked"] == before
    return True


def _mark_deleted(document: SyncedDocument, run: Run) -> None:
    if not run.breaker.allow():
        run.counts.update({"braked": 1, Remedy.MARK_DELETED: -1})
        return
    gone = existence_of(document.stripe_id or "", "reconcile", deleted=True)
    merge_observation(type(document), {"_id": document.id}, gone)
