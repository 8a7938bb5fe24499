"""Finds the rows of a person. Each row names in `owners` whose it is, so that only what the person has is read."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import Delivery, Event, StagedDocument, UsageRecord, present_kinds, stored
from stripe_mongo_sync.models.base.whose import (
    NAMING,
    listed,
    named_by,
    owners_of_document,
    owners_of_event,
    owners_of_object,
    quoted,
    used_by,
    uses,
)
from stripe_mongo_sync.models.erasure import rows_of
from stripe_mongo_sync.models.event_body import object_id
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.inbox.arrival import Malformed, parse
from stripe_mongo_sync.sync.process.stop import STOP

Row = dict[str, Any]
Model = type[StagedDocument] | type[Event] | type[Delivery]
BATCH = 500
MOST = 1_000  # owners that are stored; only a body that is no JSON can have more


@dataclass
class PersonalRows:
    """The rows of a person: the ids of their objects at Stripe, and the rows here that contain personal data."""

    known: set[str]
    documents: dict[type[StagedDocument], set[ObjectId]] = field(default_factory=dict)
    events: set[str] = field(default_factory=set)
    deliveries: set[str] = field(default_factory=set)
    usage: set[ObjectId] = field(default_factory=set)

    def has(self, owners: set[str]) -> bool:
        """Return whether one of these owners is the person."""
        return not self.known.isdisjoint(owners)

    @property
    def counts(self) -> Counter[str]:
        """The number of rows in each collection."""
        found = Counter({model.plural(): len(ids) for model, ids in self.documents.items()})
        found.update({Event.plural(): len(self.events)})
        found.update({Delivery.plural(): len(self.deliveries)})
        found.update({UsageRecord.plural(): len(self.usage)})
        return +found


def personal_rows(start: set[ObjectId], known: set[str], dry: bool = False) -> PersonalRows:
    """Find all rows of a person; a part of one of their objects is theirs, too, so search until nothing is new.

    A row that an older version wrote names nobody, so it is read, too. Unless `dry`, what was read gets its owners.
    """
    found, new, models = PersonalRows(set(known)), set(known), having(present_kinds().values(), {})
    while start or new:
        before = set(found.known)
        for model in models:
            STOP.here()
            _search_documents(model, start, new, found, dry)
        _search_events(new, found, dry)
        start, new = set(), found.known - before
    _search_deliveries(found, dry)
    found.usage = {row["_id"] for row in rows_of(UsageRecord, named_by(found.known))}
    return found


def _search_documents(
    model: type[StagedDocument], start: set[ObjectId], new: set[str], found: PersonalRows, dry: bool
) -> None:
    ids, kind = found.documents.setdefault(model, set()), model.resource.kind
    for row, owners in _read(model, {"$or": [{"_id": {"$in": [*start]}}, named_by(new)]}, dry):
        if found.has(owners) or row["_id"] in start:
            ids.add(row["_id"])
            found.known |= {row.get("stripe_id"), *row.get("orphans", ()), *row.get("undone_orphans", ())} - {None}
            found.known |= used_by(kind, row)


def _search_events(new: set[str], found: PersonalRows, dry: bool) -> None:
    for row, owners in _read(Event, named_by(new), dry):
        if found.has(owners):
            found.events.add(row["_id"])
        event = read(row)
        if event is not None and found.has(owners_of_object(event)):
            found.known |= {id for id in (object_id(event),) if id} | uses(event["data"]["object"])


def _search_deliveries(found: PersonalRows, dry: bool) -> None:
    theirs = found.known | {str(id) for ids in found.documents.values() for id in ids}
    for row, owners in _read(Delivery, named_by(theirs), dry):
        if not theirs.isdisjoint(owners):
            found.deliveries.add(row["_id"])


def _read(model: Model, where: Row, dry: bool) -> Iterator[tuple[Row, set[str]]]:
    """Yield the rows that `where` selects, each with its owners."""
    late = list[tuple[Row, Row]]()
    for row in rows_of(model, where):
        changes = right_owners(model, row)
        if changes and not dry:
            late.append((row, changes))
        owners = (row | changes).get("owners")
        yield row, owners_of(model, row) if owners is None else {*owners}
        if len(late) == BATCH:
            STOP.here()
            stored.rewrite_each(model.plural(), guard_of(model), late)
            late = []
    stored.rewrite_each(model.plural(), guard_of(model), late)


# --- whose a stored row is ---

FIELDS = (*NAMING, "document", "raw", "event_body")  # from which the owners follow


def guard_of(model: Model) -> str:
    """Return the field that changes whenever the owners do."""
    return model.mark if issubclass(model, StagedDocument) else "event_body" if model is Delivery else "raw"


def owners_of(model: Model, row: Row) -> set[str]:
    """Return the ids that show whose a row is; of a delivery about a document, the id of that."""
    if issubclass(model, StagedDocument):
        return owners_of_document(model.resource.kind, row)
    if (document := row.get("document")) is not None:
        return {str(document)}
    event = read(row)
    return owners_of_event(event) if event is not None else quoted(body_of(row))


def right_owners(model: Model, row: Row) -> Row:
    """Return the change of a row whose field `owners` is missing or wrong; {} if it is right."""
    owners = listed(owners_of(model, row))
    return {} if owners == row.get("owners") or len(owners) > MOST else {"owners": owners}


def read(row: Row) -> Row | None:
    """Return the event in a row, even a malformed one; None when the row has no JSON object."""
    with suppress(Malformed):
        return parse(body_of(row))
    try:
        event = json.loads(body_of(row))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def body_of(row: Row) -> bytes:
    """Return the body of the event in a row; b"" if it has none."""
    return row.get("event_body") or row.get("raw") or b""
