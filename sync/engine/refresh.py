"""Look again: read an object as it is now, and store it only if nothing moved since before the read.

Of the refresh rules that were model-checked, only "revision, GET, write if the revision is unchanged, else start over"
never goes backwards and always ends where Stripe is.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.resource import shortened
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.content import has_links
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.belonging import clock_of, went_along
from stripe_mongo_sync.sync.engine.converge import RemoteState
from stripe_mongo_sync.sync.engine.observations import existence_of, from_reply, merge_observation
from stripe_mongo_sync.sync.errors import CannotLook
from stripe_mongo_sync.sync.stripe.answers import Reply

LINKS_LAST = timedelta(days=30)  # Stripe promises 10 days, and recorded ones were dead after a month
BLANKS: tuple[Any, ...] = (None, "", [], {})  # how Stripe shows what was not given, and what was unset
LOOKS = 5  # an object that changes faster than one GET is left to the next run


def read_remote(document: SyncedDocument, *, quick: bool = False) -> tuple[RemoteState, Reply | None]:
    """Read the document's object, and say what the answer proves. Raises CannotLook.

    A stub proves that it is gone, and so does a 404 where what it belonged to is deleted here. Else a 404 only says
    that it was not found. Where Stripe offers no such GET, what was last seen is all that can be known.
    """
    if not document.path:
        known = (document.stripe or {}, document.seen_at or 0, document.doubt_until or 0)
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
    """Whether an object is as the pending operation wants it."""
    operation = document.operation
    if operation is None:
        return False
    action = document.resource.actions.get(operation.verb)
    shown = type(document).in_request_shape(remote)
    sent = {name: value for name, value in operation.params.items() if name != "expand"}
    return action.done(shown, sent) if action else operation.verb == "update" and matches(sent, shown)


def refresh(document: SyncedDocument, *, quick: bool = False, deletion_reported: bool = False) -> SyncedDocument:
    """Bring an active document up to what Stripe has, and return it. Raises CannotLook.

    A stub proves that the object is gone; so does a 404 after an event that says so. A 404 alone does not, before
    reconcile has made sure that this is the right Stripe: it only makes the document due.
    """
    model = type(document)
    for _ in range(1 if quick else LOOKS):
        if document.status != Status.ACTIVE:
            return document
        remote_state, reply = read_remote(document, quick=quick)
        if reply is None and not deletion_reported and remote_state != RemoteState.DELETED:
            seen = document.requeue() if document.review is None else document
        elif reply is None or remote_state == RemoteState.DELETED:
            gone = existence_of(document.stripe_id or "", "look", deleted=True)
            seen = merge_observation(model, {"_id": document.id}, gone)
        else:
            seen = document.store_snapshot(from_reply(model, reply))
        if seen is not None:
            return seen
        document = document.fetch_latest()
    if quick:
        raise CannotLook(f"{document.stripe_id} is changing")
    return document


def with_links(document: SyncedDocument) -> tuple[SyncedDocument, bool]:
    """Return a document, read again if its links were seen long ago, and whether they may be shown: they may be dead,
    where Stripe does not answer within 3 s.
    """
    if _may_be_dead(document):
        with suppress(CannotLook):
            document = refresh(document, quick=True)
        return document, not _may_be_dead(document)
    return document, True


def _may_be_dead(document: SyncedDocument) -> bool:
    seen = document.links_seen_at
    return has_links(document.stripe) and (seen is None or clock.now() - seen > LINKS_LAST)


def resembles(document: SyncedDocument, remote: dict[str, Any]) -> bool:
    """Whether an object has the fields that the operation gave; what is only told to Stripe shows nowhere.

    What gave none, as a customer of whom only the username is known, resembles nobody: else it would resemble all. What
    gave only what shows nowhere, as a payment link its lines, may be any: its absence must not be concluded from them.
    """
    operation = sure(document.operation)
    shown = {*type(document).own_fields(), "id"}
    sent = {name: value for name, value in operation.params.items() if name in shown}
    told = {name for name, field in type(document)._fields.items() if getattr(field, "write_only", False)}
    given = any(value not in BLANKS for value in sent.values()) or any(map(operation.params.get, told))
    there = type(document).in_request_shape(remote)
    for name in shortened(remote).keys() & sent.keys():  # what is not shown may be as it was sent
        sent[name] = sent[name][: len(there[name])]
    return given and matches(sent, there)


def carries_correlation_id(document: SyncedDocument, remote: dict[str, Any]) -> bool:
    """Whether an object bears this document's mark and was made as its operation says, by nobody else.

    A buyer can set the mark of a session that a payment link makes, so such a session is never believed.
    """
    mark = document.resource.correlation_field
    marked = bool(mark) and remote.get(mark) == getattr(document, mark)
    return marked and remote.get("payment_link") is None and resembles(document, remote)


def matches(params: Any, remote: Any) -> bool:
    """Whether an object is as parameters wanted it. Stripe shows as null what was sent as '', and lowers currencies."""
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
