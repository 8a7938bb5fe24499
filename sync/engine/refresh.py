"""Refresh: read an object from Stripe, and store it only if the document has not changed since before the read.

Of the refresh rules that were model-checked, only "revision, GET, write if the revision is unchanged, else start over"
never goes backwards and always ends with Stripe's content.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from stripe_mongo_sync.models import StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.decision import RemoteState
from stripe_mongo_sync.models.base.resource import shortened
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.models.rows.content import has_links
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.belonging import clock_of, went_along
from stripe_mongo_sync.sync.engine.observations import existence_of, from_reply, merge_observation
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.stripe.answers import Reply

LINKS_LAST = timedelta(days=30)  # Stripe promises 10 days; recorded links were dead after a month
BLANKS: tuple[Any, ...] = (None, "", [], {})  # how Stripe shows a field that was not given or was unset
LOOKS = 5  # reads of an object that changes between GETs; then the next run refreshes it


def read_remote(document: SyncedDocument, *, quick: bool = False) -> tuple[RemoteState, Reply | None]:
    """Read the document's object, and return what the answer proves. Raises CannotReadStripe.

    A stub proves a deletion, and so does a 404 if an owner of the object is deleted here. Any other 404 only shows
    that the object was not found. If Stripe has no GET for it, the snapshot is the answer.
    """
    if not document.path:
        known = (document.stripe or {}, document.snapshot_earliest or 0, document.snapshot_latest or 0)
        return RemoteState.PRESENT, Reply(*known, replayed=False, request_id="of the last sight")
    reply = current().gateway.get(document.path, quick=quick)
    if reply is None:
        return _missing(document), None
    if reply.gone:
        return RemoteState.DELETED, reply
    return (RemoteState.UP_TO_DATE if _done(document, reply.remote) else RemoteState.PRESENT), reply


def _missing(document: SyncedDocument) -> RemoteState:
    if went_along(document):
        return RemoteState.DELETED
    remote = document.stripe or {}
    return RemoteState.LOST if document.resource.lasts(remote) and clock_of(document) is None else RemoteState.MISSING


def _done(document: SyncedDocument, remote: dict[str, Any]) -> bool:
    """Whether an object has the fields that the pending operation would set."""
    operation = document.operation
    if operation is None:
        return False
    action = document.resource.actions.get(operation.verb)
    sent = {name: value for name, value in operation.params.items() if name != "expand"}
    if action:
        return action.done(type(document).in_request_shape(remote), sent)
    return operation.verb == "update" and shows_update(type(document), sent, remote)


def shows_update(model: type[SyncedDocument], sent: dict[str, Any], remote: dict[str, Any]) -> bool:
    """Whether an object has what an update with these parameters sets."""
    unshown = model.resource.shown_if
    fields = {name: value for name, value in sent.items() if name not in unshown}
    took = all(shows(remote, sent.get(name)) for name, shows in unshown.items())
    return took and matches(fields, model.in_request_shape(remote))


def refresh(document: SyncedDocument, *, quick: bool = False, deletion_reported: bool = False) -> SyncedDocument:
    """Store what Stripe shows of an active document's object, and return the document. Raises CannotReadStripe.

    A stub proves a deletion, and so does a 404 after a deletion event. A 404 alone only makes the document due,
    because reconcile must first verify the Stripe account.
    """
    model = type(document)
    for _ in range(1 if quick else LOOKS):
        if document.status != Status.ACTIVE:
            return document
        remote_state, reply = read_remote(document, quick=quick)
        if reply is None and not deletion_reported and remote_state != RemoteState.DELETED:
            seen = document.requeue(DueReason.MISSING) if document.review_reason is None else document
        elif reply is None or remote_state == RemoteState.DELETED:
            gone = existence_of(document.stripe_id or "", "look", deleted=True)
            seen = merge_observation(model, {"_id": document.id}, gone)
        else:
            seen = document.store_snapshot(from_reply(model, reply))
        if seen is not None:
            return seen
        document = document.fetch_latest()
    if quick:
        raise CannotReadStripe(f"{document.stripe_id} changed while it was read: the next run refreshes it")
    return document


def with_links(document: StagedDocument) -> tuple[StagedDocument, bool]:
    """Return a document, refreshed if its links are old, and whether the links may be shown: not if they may be dead
    because Stripe has not answered within 3 s.
    """
    if isinstance(document, SyncedDocument) and _may_be_dead(document):
        with suppress(CannotReadStripe):
            document = refresh(document, quick=True)
        return document, not _may_be_dead(document)
    return document, True


def _may_be_dead(document: SyncedDocument) -> bool:
    seen = document.links_seen_at
    return has_links(document.stripe) and (seen is None or clock.now() - seen > LINKS_LAST)


def resembles(document: SyncedDocument, remote: dict[str, Any]) -> bool:
    """Whether an object has the fields that the operation sent. Parameters that are no fields are not compared.

    An operation that sent nothing, such as that of a customer with a username only, resembles no object: otherwise it
    would resemble all. One that sent only what is no field, such as a payment link's lines, resembles every object:
    otherwise its absence would be concluded from what Stripe may show in another shape.
    """
    model, params = type(document), document.resource.sent(sure(document.operation))
    sent = model.comparable(params) | ({"id": params["id"]} if "id" in params else {})
    unshown = [value for name, value in params.items() if name not in sent and name != "expand"]
    given = any(value not in BLANKS for value in sent.values()) or any(unshown)
    there = model.in_request_shape(remote)
    for name in shortened(remote).keys() & sent.keys():  # compare only the part of a list that is shown
        sent[name] = sent[name][: len(there[name])]
    return given and matches(sent, there)


def carries_correlation_id(document: SyncedDocument, remote: dict[str, Any]) -> bool:
    """Whether an object carries this document's correlation id and has the fields that its operation sent.

    A buyer can set the correlation id of a session that a payment link creates, so such a session never counts.
    """
    mark = document.resource.correlation_field
    marked = bool(mark) and remote.get(mark) == getattr(document, mark)
    return marked and remote.get("payment_link") is None and resembles(document, remote)


def matches(params: Any, remote: Any) -> bool:
    """Whether an object shows these parameters. Stripe shows '' as null, and currencies in lower case."""
    if isinstance(params, dict):
        return isinstance(remote, dict) and all(
            matches(value.lower() if name.endswith("currency") else value, remote.get(name))
            for name, value in params.items()
        )
    if isinstance(params, list):
        return (
            isinstance(remote, list)
            and len(params) == len(remote)
            and all(matches(*pair) for pair in zip(params, remote, strict=True))
        )
    if params == "":
        return remote in BLANKS
    return bool(params == remote)
