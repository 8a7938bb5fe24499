"""Exports a person: everything that is kept here of them, as JSON, from the same rows that an erasure would scrub.

Keys are left out, as everywhere outside of their own documents: who has a client secret can pay or see a payment.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from stripe_mongo_sync.models import Delivery, Event, UsageRecord
from stripe_mongo_sync.models.erasure import rows_of
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.content import event_shown, shown
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.sync.personal.erase import customer_of, rows_of_customer
from stripe_mongo_sync.sync.personal.persons import body_of, read
from stripe_mongo_sync.sync.process.screen import precisely

BODIES = ("raw", "event_body")  # the fields that hold an event, as bytes
Row = dict[str, Any]


def export(reference: str) -> Row:
    """Return all rows of the customer with this username, our id or Stripe's, by collection; write nothing.

    A customer who was deleted or erased is found as `erase` finds them. Raises NotFound; NotPossible if the text names
    two customers.
    """
    customer = customer_of(reference)
    found = rows_of_customer(customer, dry=True)
    kept: dict[str, list[Row]] = {model.plural(): [*_rows(model, ids)] for model, ids in found.documents.items()}
    kept |= {
        Event.plural(): [*_rows(Event, found.events)],
        Delivery.plural(): [*_rows(Delivery, found.deliveries)],
        UsageRecord.plural(): [*_rows(UsageRecord, found.usage)],
    }
    return {
        "customer": str(customer.id),
        "exported_at": _plain(clock.now()),
        "stripe_ids": sorted(found.known),
        "kept": {name: rows for name, rows in sorted(kept.items()) if rows},
    }


def _rows(model: type[OwnRows], ids: Collection[Any]) -> Iterator[Row]:
    for row in sorted(rows_of(model, {"_id": {"$in": [*ids]}}), key=lambda row: str(row["_id"])):
        plain = {name: _event(row) if name in BODIES else _plain(value) for name, value in row.items()}
        yield {"id": plain.pop("_id"), **shown(plain)}


def _event(row: Row) -> Row | str:
    event = read(row)
    return body_of(row).decode(errors="replace") if event is None else event_shown(event)


def _plain(value: Any) -> Any:
    """Return a stored value as JSON has it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return precisely(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)
