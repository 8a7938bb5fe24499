"""The operator's actions on one document, and the list of unfinished documents.

Each action takes the document out of review; then the decision table chooses its remedy again.
"""

from collections.abc import Callable, Iterator
from typing import Any

from bson import ObjectId
from mongoengine import Document

from stripe_mongo_sync.models import Event, StagedDocument, Status, SyncedDocument, present_kinds
from stripe_mongo_sync.models.base.decision import RemoteState
from stripe_mongo_sync.models.base.facts import IN_FLIGHT_LIMIT
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import read_each
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, due
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.observations import existence_of, from_reply, merge_observation
from stripe_mongo_sync.sync.engine.refresh import read_remote
from stripe_mongo_sync.sync.engine.resolve import Run, resolve
from stripe_mongo_sync.sync.errors import NotFound, NotPossible
from stripe_mongo_sync.sync.inbox.arrival import EVENT_ID
from stripe_mongo_sync.sync.operator.link import ACTOR, Linked, act, decision_of, linked, moved
from stripe_mongo_sync.sync.process.deadline import within_lease
from stripe_mongo_sync.sync.process.screen import quoted, when, word
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.runs.back import bring_back

PAGE = 1000  # entries that one query reads
UNREADABLE = "unreadable"  # the status of the entry of a row that cannot be read


def pages(*, after: str | None = None, **wanted: Any) -> Iterator[list[dict[str, Any]]]:
    """Yield in pages, from the one after the id `after`, what `page` returns. Raises Invalid, as `page` does."""
    more = True
    while more:
        found, more = page(limit=PAGE, after=after, **wanted)
        yield found
        after = found[-1]["id"] if found else None


def page(
    *, limit: int, after: str | None = None, kind: str | None = None, verb: str | None = None, review: bool = False
) -> tuple[list[dict[str, Any]], bool]:
    """Return a page of the documents that are pending, have an operation or orphans, or are in review, and of the dead
    events; and whether more follow. They are ordered by kind, then by id; events are last.

    With a `kind` (`event` is one), a `verb`, or `review`, only those. Raises Invalid unless `after` is the id of a
    document or an event that such a list may contain.
    """
    found: list[dict[str, Any]] = []
    for model, where in _lists(kind, verb, review):
        beyond: dict[str, Any] = {}
        if after is not None:
            last = _id_in(model, after)
            if last is None:
                continue
            after, beyond = None, {"_id": {"$gt": last}}
        found += _entries(model, {**where, **beyond}, limit + 1 - len(found))
        if len(found) > limit:
            break
    if after is not None:
        raise Invalid({"starting_after": "is not the id of a document or event in this list"})
    return found[:limit], len(found) > limit


def _lists(kind: str | None, verb: str | None, review: bool) -> Iterator[tuple[type[Document], dict[str, Any]]]:
    in_review = {"review_reason": {"$type": "string"}}
    unfinished = in_review if review else {"$or": [{"due_at": {"$type": "date"}}, in_review]}
    wanted = {**unfinished, **({"operation.verb": verb} if verb else {})}
    for name, model in present_kinds().items():
        if kind in (None, name):
            yield model, wanted
    if kind in (None, "event") and not (verb or review):
        yield Event, {"state": EventState.DEAD}


def _id_in(model: type[Document], id: str) -> Any:
    """Return the id of a row as it is stored, or None when no such row exists."""
    wanted: Any = id if model is Event else ObjectId(id) if ObjectId.is_valid(id) else None
    found = None if wanted is None else model.own_rows().find_one({"_id": wanted}, {"_id": 1})
    return found and found["_id"]


def _entries(model: type[Document], where: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Return the entries of these rows; a row that cannot be read gets an entry that says so."""
    told: list[dict[str, Any]] = []

    def broken(id: Any, error: Exception) -> None:
        kind = "event" if model is Event else model.resource.kind
        blank = dict.fromkeys(("stripe_id", "verb", "since", "attempts", "due", "due_reason", "review"))
        why = f"this row cannot be read: {type(error).__name__}"
        blank |= {"orphans": [], "error": why, **decision_of(None)}
        told.append({"kind": kind, "id": str(id), "status": UNREADABLE, **blank})

    for row in read_each(model, where, broken, limit=limit):
        told.append(dead(row) if isinstance(row, Event) else shown(row))
    return told


def dead(row: Event) -> dict[str, Any]:
    """Return what an operator needs to know about an event."""
    return {
        "kind": "event",
        "id": row.id,
        "status": row.state,
        "stripe_id": row.object_id,
        "verb": row.type,
        "since": row.received_at,
        "attempts": row.attempts,
        "due": row.due_at,
        "due_reason": row.due_reason,
        "orphans": [],
        "error": row.reason,
        "review": None,
        **decision_of(row),
    }


def shown(document: StagedDocument) -> dict[str, Any]:
    """Return what an operator needs to know about a document."""
    operation, error = document.operation, document.error
    return {
        "kind": document.resource.kind,
        "id": str(document.id),
        "status": document.status,
        "stripe_id": document.stripe_id,
        "verb": operation.verb if operation else None,
        "since": operation.staged_at if operation else None,
        "attempts": operation.attempts if operation else None,
        "due": document.due_at,
        "due_reason": document.due_reason,
        "orphans": list(document.orphans),
        "error": error.message if error else None,
        "review": document.review_reason,
        **decision_of(document),
    }


def told(done: StagedDocument | Linked) -> dict[str, Any]:
    """Return what an operator needs to know about the result of an action."""
    if isinstance(done, Linked):
        return {**shown(done.document), "differs": done.differs, "removed": done.removed}
    return shown(done)


def line(one: dict[str, Any]) -> str:
    """Return an entry as one line."""
    return f"{one['kind']} {word(one['id'])} {one['status']} {note(one)}"


def note(one: dict[str, Any]) -> str:
    """Return what a line says of an entry beside its kind, id and status."""
    shown = {"verb": word, "due": when, "error": quoted, "review": quoted, "removed": word}
    names = ("verb", "attempts", "orphans", "due", "error", "review", "differs", "removed")
    told = [f"{name} {shown.get(name, str)(one[name])}" for name in names if one.get(name)]
    return f"{word(one['stripe_id'] or '-')}: {', '.join(told) or 'nothing is pending'}"


def entry_of(id: str) -> dict[str, Any]:
    """Return the entry of the document with that id, even if its row cannot be read. Raises NotFound."""
    for model in present_kinds().values():
        if (last := _id_in(model, id)) is not None:
            return _entries(model, {"_id": last}, 1)[0]
    raise NotFound


def revision_of(id: str) -> int | None:
    """Return the revision of the document with that id, even if its row cannot be read; None if there is none."""
    for model in present_kinds().values() if ObjectId.is_valid(id) else ():
        if (row := model.own_rows().find_one({"_id": ObjectId(id)}, {"revision": 1})) is not None:
            return int(row["revision"])
    return None


def document_of(id: str) -> StagedDocument:
    """Return the document with that id, of any kind. Raises NotFound."""
    for model in present_kinds().values() if ObjectId.is_valid(id) else ():
        found: StagedDocument | None = model.objects(id=ObjectId(id)).first()
        if found is not None:
            return found
    if EVENT_ID.fullmatch(id):
        raise NotFound(f"There is no such document: {id} is the id of an event, see `{PROGRAM} events show {id}`.")
    raise NotFound


@act("retry")
@within_lease
def retry(id: str) -> StagedDocument:
    """Read the object at Stripe again; resend the operation only if that is safe. Raises NotFound or NotPossible."""
    document = document_of(id)
    if document.review_reason is None and document.due_at is None:
        raise NotPossible(f"Nothing is pending on {document.resource.kind} {document.id}.")
    in_review = document.review_reason is not None
    if isinstance(document, SyncedDocument) and document.status == Status.DELETED and in_review:
        bring_back(document)
        return document.fetch_latest()
    resumed = moved(document.requeue(DueReason.OPERATOR))
    claimed = moved(resumed.claim())
    resolve(claimed, Run(), claimed.claimed_at)
    return claimed.fetch_latest()


@act("roll-back")
def roll_back(id: str) -> SyncedDocument:
    """Give up what is pending: a creation, a change, or the undo of orphans. Raises NotFound or NotPossible."""
    document = document_of(id)
    if not isinstance(document, SyncedDocument):
        what = f"{document.resource.kind} {document.id} is computed from other documents"
        raise NotPossible(f"{what}: resolve those, and it is computed again.")
    ended = _give_up(document)
    Event.decided(ended.id)
    notify_dependents(ended)
    return ended


def _give_up(document: SyncedDocument) -> SyncedDocument:
    problem = {"type": "rolled-back", "code": None, "message": "An operator gave it up."}
    _require_quiet(document)
    if document.orphans:
        for orphan in document.orphans:
            _keep(document, orphan)
        undone = [*document.undone_orphans, *document.orphans]
        again = due(DueReason.OPERATOR) if document.status == Status.ACTIVE else IDLE  # its own object was not read
        settled = clock.from_now() if document.status == Status.ROLLED_BACK else None
        rest: dict[str, Any] = {"review_reason": None, "finished_at": settled, **again}
        return moved(document.update_if_unchanged("", orphans=[], undone_orphans=undone, undoing=None, **rest))
    if document.status == Status.PENDING:
        # In review, an operator has decided that what was found is not its object; else the object may still appear.
        return moved(document.roll_back(problem, ACTOR.get(), in_doubt=document.review_reason is None))
    if document.status == Status.ACTIVE and document.operation is not None:
        again = due(DueReason.OPERATOR)
        return moved(document.update_if_unchanged(operation=None, error=problem, review_reason=None, **again))
    if document.status == Status.ACTIVE and document.missing_since is not None:
        return _gone_or_found(document)
    if document.review_reason is not None:
        settled = clock.from_now() if document.status == Status.ROLLED_BACK else None
        return moved(document.update_if_unchanged(review_reason=None, in_doubt=False, finished_at=settled, **IDLE))
    raise NotPossible(f"Nothing is pending on {document.resource.kind} {document.id}.")


def _gone_or_found(document: SyncedDocument) -> SyncedDocument:
    """Read the object once more; unless Stripe shows it now, the operator has confirmed that it was deleted."""
    remote_state, reply = read_remote(document)
    if remote_state not in (RemoteState.PRESENT, RemoteState.UP_TO_DATE):
        gone = existence_of(document.stripe_id or "", ACTOR.get(), deleted=True)
        return moved(merge_observation(type(document), {"_id": document.id}, gone))
    return moved(document.store_snapshot(from_reply(type(document), sure(reply))))


def _require_quiet(document: SyncedDocument) -> None:
    """Raise NotPossible while a request that was sent for this work may still be in flight at Stripe."""
    operation, undoing = document.operation, document.undoing
    if document.orphans:
        sent = undoing.sent_at if undoing is not None else None
    elif document.status == Status.PENDING and operation is not None:
        sent = operation.sent_at or document.updated_at  # rows of older versions know only their last change
    else:
        sent = None
    if sent is not None and clock.now() - sent < IN_FLIGHT_LIMIT:
        free = when(sent + IN_FLIGHT_LIMIT)
        raise NotPossible(
            f"Cannot roll back {document.id} yet: a request may still be in flight at Stripe. Try again after {free}."
        )


def _keep(document: SyncedDocument, orphan: str) -> None:
    """Adopt an orphan that the operator keeps: from now on it is an object like any other."""
    model = type(document)
    reply = current().gateway.get(model.resource.object_path(orphan, document))
    if reply is not None and not reply.gone and not model.objects(stripe_id=orphan, is_current=True).first():
        model.adopt(from_reply(model, reply))


def reset_breaker() -> None:
    """Reset the circuit breaker, so that runs undo and delete again."""
    State.clear(CIRCUIT_BREAKER)


@act("link")
def link(id: str, stripe_id: str, *, force: bool = False) -> Linked:
    """Read a Stripe object, compare it with the staged operation, and link it to this document. Raises as `linked`."""
    document = document_of(id)
    if not isinstance(document, SyncedDocument):
        told = f"Cannot link {document.id}: it is computed from other documents, and has no object at Stripe."
        raise NotPossible(told)
    done = linked(document, stripe_id, force=force)
    Event.decided(done.document.id)
    return done


ACTIONS: dict[str, Callable[..., StagedDocument | Linked]] = {"retry": retry, "roll-back": roll_back, "link": link}
