"""Creates the backlog of an outage: operations that were not sent, events that were not applied, and missed events.

The service itself leaves one of each while the emulator fails. All others are copies of it with their own ids, and a
second one that the service leaves is compared with a copy.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from stripe import WebhookSignature

from stripe_mongo_sync.bench.load import fire, request
from stripe_mongo_sync.bench.proxy import Listing
from stripe_mongo_sync.bench.shop import Json, Shop, Template
from stripe_mongo_sync.emulator.fronts.control import Control

EDITS = 50  # missed events of each customer
BATCH = 1_000
ROUNDS_AGO = 3_000  # seconds by Stripe's clock since the first round of missed events
HOURS = timedelta(hours=1)


@dataclass(frozen=True)
class Size:
    """The size of a backlog."""

    unapplied: int  # webhooks that arrived while Stripe could not be read
    missed: int  # events that are only in Stripe's list
    pending: int  # operations

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.unapplied + self.missed + self.pending

    def __str__(self) -> str:
        return f"{self.unapplied + self.missed:,} webhooks + {self.pending:,} operations"


def create_backlog(shop: Shop, size: Size) -> Listing:
    """Create the backlog of an outage, and return the missed events."""
    stack = shop.stack
    Control(stack.stripe_url).clock.advance(HOURS.total_seconds())
    pending, row, template = _operation(shop), _unapplied(shop), shop.template
    document = stack.database.customers.find_one({"_id": template.document["_id"]})
    assert document
    edited = Template(document, template.event)  # as the webhook that could not be applied left it
    first = int(stack.stripe.clock.now()) - ROUNDS_AGO
    due = {"due_at": datetime.now(UTC) - HOURS, "leased_until": None} if document["due_at"] else {}
    made = [edited.copy(**due) for _ in range(-(-size.missed // EDITS))]
    assert size.missed // len(made) < ROUNDS_AGO
    _compare(_operation(shop), _copy_of_operation(pending, 0))
    _compare(_unapplied(shop), _copy_of_row(row, edited, made, 0))
    control = Control(stack.stripe_url)
    for index, each in enumerate(made):
        last = (size.missed - 1 - index) // len(made)  # the round of the last event about it
        control.insert("customer", {**each["stripe"], "name": f"Edited {last}"})
    _insert(shop, "customers", iter(made))
    _insert(shop, "customers", (_copy_of_operation(pending, number) for number in range(size.pending)))
    _insert(shop, "stripe_events", (_copy_of_row(row, edited, made, number) for number in range(size.unapplied)))
    event = json.loads(edited.event_of(document, "customer.updated", 0))
    return Listing(event, [each["stripe_id"] for each in made], size.missed, first)


def _operation(shop: Shop) -> Json:
    """Create a customer while Stripe cannot be reached; remove and return its document."""
    stack, name = shop.stack, f"{ObjectId()}@here.com"
    stack.stripe.fault("cut_before", "POST /v1/customers", times=None)
    reply = stack.service.post("/customers", {"username": name, "name": "Ada"})
    stack.stripe.clear_faults()
    stack.stripe.webhooks.disrupt(drop=10**9)
    assert reply.status == 202, reply.body
    return dict(stack.database.customers.find_one_and_delete({"username": name}) or {})


def _unapplied(shop: Shop) -> Json:
    """Send a second edit of the same second while Stripe cannot be read; remove and return its row."""
    stack, template = shop.stack, shop.template
    body = template.event_of(template.document, "customer.updated", template.document["snapshot_latest"], name="Edited")
    stack.stripe.fault("cut_before", "GET /v1/customers/*", times=None)
    fire(stack.url, [signed(shop, body)], 1, status=200, says=b"received")
    stack.stripe.clear_faults()
    stack.stripe.webhooks.disrupt(drop=10**9)
    id = json.loads(body)["id"]
    return dict(stack.database.stripe_events.find_one_and_delete({"_id": id}) or {})


def signed(shop: Shop, body: bytes) -> bytes:
    """Return a signed webhook as the bytes of a request."""
    signature = WebhookSignature.generate_signature_header(body.decode(), shop.stack.webhook_secret)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
    return request(shop.stack.url, "/webhooks/stripe", body, headers)


def _copy_of_operation(one: Json, number: int) -> Json:
    id, past = ObjectId(), datetime.now(UTC) - HOURS
    key, name = one["creation_key"].replace(str(one["_id"]), str(id)), f"{id}@here.com"
    operation = {**one["operation"], "key": key, "params": {**one["operation"]["params"], "email": name}}
    return {
        **one,
        "_id": id,
        "creation_key": key,
        "operation": operation,
        "username": name,
        "username_key": name,
        "request": {**one["request"], "key": str(id)},
        "due_at": past + timedelta(milliseconds=number),
    }


def _copy_of_row(row: Json, edited: Template, made: list[Json], number: int) -> Json:
    about = made[number % len(made)]
    raw = edited.event_of(about, "customer.updated", row["created"], name=f"Tied {number}")
    past = datetime.now(UTC) - HOURS
    fields = {"object_id": about["stripe_id"], "raw": raw, "due_at": past + timedelta(milliseconds=number)}
    return {**row, "_id": json.loads(raw)["id"], **fields}


def _insert(shop: Shop, collection: str, rows: Iterator[Json]) -> None:
    batch: list[Json] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            shop.stack.database[collection].insert_many(batch, ordered=False)
            batch = []
    if batch:
        shop.stack.database[collection].insert_many(batch, ordered=False)


def _compare(real: Json, copy: Json) -> None:
    """Assert that a copy has the same fields and types as a row that the service leaves."""
    assert _shape(real) == _shape(copy), f"an outage leaves {_shape(real)}, not {_shape(copy)}"


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__
