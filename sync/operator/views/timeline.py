"""The timeline of a document: what is stored of it and about it that has a time, the newest first.

Only the present operation is stored, and no earlier ones: what ended shows in the events that followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stripe_mongo_sync.models import Delivery, DeliveryState, Event, StagedDocument, SyncedDocument
from stripe_mongo_sync.models.rows.claimable import Decided
from stripe_mongo_sync.models.rows.indexes import A_STRING
from stripe_mongo_sync.sync.operator.link import ANYBODY
from stripe_mongo_sync.sync.process.screen import when

MOST = 200  # events, and deliveries
LATE = timedelta(seconds=5)  # until then an event is applied as it comes


@dataclass(frozen=True)
class Moment:
    """One entry of a timeline."""

    at: datetime
    what: str  # document, operation, event or delivery
    told: str
    id: str | None = None  # of the event or the delivery


def timeline(document: StagedDocument) -> list[Moment]:
    """Return the timeline of a document."""
    events = _events(document)
    found = [*_own(document), *(one for row in events for one in _of_event(row))]
    found += [one for row in _deliveries(document, events) for one in _of_delivery(row)]
    return sorted(found, key=lambda moment: moment.at, reverse=True)


def _own(document: StagedDocument) -> Iterator[Moment]:
    """Yield what its own row says."""
    operation, request = document.operation, document.request
    adopted = isinstance(document, SyncedDocument) and document.adopted
    by = f", asked by {request.caller}" if request is not None else ", for an object made elsewhere" if adopted else ""
    yield Moment(document.created_at, "document", f"was inserted{by}")
    if operation is not None:
        yield Moment(operation.staged_at, "operation", f"{operation.verb} was staged")
        if operation.sent_at is not None:
            number = f"attempt {operation.attempts}"
            known = ", and an attempt ended without an answer" if operation.outcome_unknown else ""
            yield Moment(operation.sent_at, "operation", f"{operation.verb} was sent to Stripe: {number}{known}")
        if operation.saved_error_at is not None:
            yield Moment(operation.saved_error_at, "operation", f"Stripe has saved a 5xx for this {operation.verb}")
    told = {
        "confirmed_at": "an event or a list of Stripe's first showed the object",
        "erased_at": "personal data was removed",
        "finished_at": "nothing is left to do since then",
    }
    if isinstance(document, SyncedDocument):
        told["missing_since"] = "a GET first did not find the object"
        if document.undoing is not None:
            undone = f"the undo of {document.undoing.orphan} was"
            yield Moment(document.undoing.staged_at, "operation", f"{undone} staged")
            yield Moment(document.undoing.sent_at, "operation", f"{undone} sent to Stripe")
        if document.snapshot_earliest:
            yield Moment(_at(document.snapshot_earliest), "document", "Stripe showed the object as it is stored")
    for name, sentence in told.items():
        if (at := getattr(document, name)) is not None:
            yield Moment(at, "document", sentence)
    changed = f"was changed last, to revision {document.revision}: {_state(document)}"
    yield Moment(document.updated_at, "document", changed)  # who changed the status may have done so long before
    yield from _decided(document, "document")
    for notice in document.notices or ():
        yield Moment(notice["at"], "delivery", f"{notice['name']} is a notice for {', '.join(notice['hooks'])}")


def _decided(row: Decided, what: str, about: str = "", id: str | None = None) -> Iterator[Moment]:
    """Yield what an operator decided last about a row."""
    if row.decided_at is not None:
        yield Moment(row.decided_at, what, f"{about}{row.decision}, decided by {_decider(row)}", id)


def _decider(row: Decided) -> str:
    return "an operator" if row.decided_by == ANYBODY else str(row.decided_by)


def _state(document: StagedDocument) -> str:
    return f"it is {document.status}" + (" and in review" if document.review_reason else "")


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(min(seconds, 2**35), UTC)  # of a deletion it may be FOREVER


def _events(document: StagedDocument) -> list[Event]:
    """Return the newest events about its object and its orphans, and those with its key, without their bodies."""
    objects = [document.stripe_id, *document.orphans, *getattr(document, "undone_orphans", ())]
    named = [id for id in objects if id]
    wheres: list[dict[str, Any]] = [{"object_id": {"$in": named}}] if named else []
    if document.creation_key:
        wheres.append({"creation_key": {"$eq": document.creation_key, **A_STRING}})
    asked = [Event.objects(__raw__=where).exclude("raw").order_by("-received_at").limit(MOST) for where in wheres]
    return [*{row.id: row for rows in asked for row in rows}.values()]


def _of_event(row: Event) -> Iterator[Moment]:
    via = {"webhook": "by webhook", "list": "in Stripe's list"}.get(row.via or "", "")
    reason = f" ({row.reason})" if row.reason else ""
    came = f"{row.type} of {when(_at(row.created))} came {via}: {row.state}{reason}"
    yield Moment(row.received_at, "event", came, row.id)
    if row.replayed_at is not None:
        who = _decider(row) if row.decision == "replay" else "an operator"  # another decision may be another's
        yield Moment(row.replayed_at, "event", f"{row.type} was replayed by {who}", row.id)
    if row.decision != "replay":
        yield from _decided(row, "event", f"{row.type}: ", row.id)
    if row.finished_at is not None and row.finished_at - row.received_at > LATE:
        yield Moment(row.finished_at, "event", f"{row.type} became {row.state}", row.id)


def _deliveries(document: StagedDocument, events: list[Event]) -> list[Delivery]:
    """Return the newest deliveries about the document, and about those events: an id begins with that of its row."""
    of_events: list[dict[str, Any]] = [{"_id": {"$gt": f"{row.id}:", "$lt": f"{row.id};"}} for row in events]
    wheres = [{"owners": str(document.id)}, *([{"$or": of_events}] if of_events else [])]
    asked = [
        Delivery.objects(__raw__=where).exclude("event_body").order_by("-occurred_at").limit(MOST) for where in wheres
    ]
    return [*{row.id: row for rows in asked for row in rows}.values()]


def _of_delivery(row: Delivery) -> Iterator[Moment]:
    attempts = f"{row.attempts} attempt{'' if row.attempts == 1 else 's'}"
    yield Moment(row.occurred_at, "delivery", f"{row.name} for {row.hook}: {row.state}, {attempts}", row.id)
    if row.state == DeliveryState.DONE and row.finished_at is not None:
        yield Moment(row.finished_at, "delivery", f"{row.hook} has handled {row.name}", row.id)
    if row.dead_at is not None:
        yield Moment(row.dead_at, "delivery", f"{row.name} for {row.hook} was given up: {row.reason}", row.id)
    yield from _decided(row, "delivery", f"{row.name} for {row.hook}: ", row.id)
