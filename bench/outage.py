"""What an outage leaves behind: operations that Stripe never heard of, events not applied, events that never came.

One of each is left by the service itself while the emulator fails. All others are copies of that one with ids of their
own, and one more of the service's is compared with them.
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

EDITS = 50  # of each customer, in the list
BATCH = 1_000
ROUNDS_AGO = 3_000  # Stripe's seconds: the first round of missed events
HOURS = timedelta(hours=1)


@dataclass(frozen=True)
class Size:
    """How much is left."""

    unapplied: int  # webhooks that came, while Stripe could not be read
    missed: int  # events that are in Stripe's list only
    pending: int  # operations

    @property
    def total(self) -> int:
        """All of it."""
        return self.unapplied + self.missed + self.pending

    def __str__(self) -> str:
        return f"{self.unapplied + self.missed:,} webhooks + {self.pending:,} operations"


def create_backlog(shop: Shop, size: Size) -> Listing:
    """Let an outage have been, and return the events that Stripe lists of it."""
    stack = shop.stack
    Control(stack.stripe_url).clock.advance(HOURS.total_seconds())
    pending, row, template = _operation(shop), _unapplied(shop), shop.template
    document = stack.database.customers.find_one({"_id": template.document["_id"]})
    assert document
    edited = Template(document, template.event)  # as the webhook that could not be applied left it
    first = int(stack.stripe.clock.now()) - ROUNDS_AGO
    due = {"lease": datetime.now(UTC) - HOURS} if document["lease"] else {}
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
    """Let a customer be created that Stripe never hears of; take its document away."""
    stack, name = shop.stack, f"{ObjectId()}@here.com"
    stack.stripe.fault("cut_before", "POST /v1/customers", times=None)
    reply = stack.service.post("/customers", {"username": name, "name": "Ada"})
    stack.stripe.clear_faults()
    stack.stripe.webhooks.disrupt(drop=10**9)
    assert reply.status == 202, reply.body
    return dict(stack.database.customers.find_one_and_delete({"username": name}) or {})


def _unapplied(shop: Shop) -> Json:
    """Send a second edit of one second, while Stripe cannot be asked which was the last; take its row away."""
    stack, template = shop.stack, shop.template
    body = template.event_of(template.document, "customer.updated", template.document["doubt_until"], name="Edited")
    stack.stripe.fault("cut_before", "GET /v1/customers/*", times=None)
    fire(stack.url, [signed(shop, body)], 1, status=200, says=b"received")
    stack.stripe.clear_faults()
    stack.stripe.webhooks.disrupt(drop=10**9)
    id = json.loads(body)["id"]
    return dict(stack.database.stripe_events.find_one_and_delete({"_id": id}) or {})


def signed(shop: Shop, body: bytes) -> bytes:
    """Return a webhook as it goes over the wire."""
    signature = WebhookSignature.generate_signature_header(body.decode(), shop.stack.webhook_secret)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
    return request(shop.stack.url, "/webhooks/stripe", body, headers)


def _copy_of_operation(one: Json, number: int) -> Json:
    id, past = ObjectId(), datetime.now(UTC) - HOURS
    key, name = one["key"].replace(str(one["_id"]), str(id)), f"{id}@here.com"
    operation = {**one["operation"], "key": key, "params": {**one["operation"]["params"], "email": name}}
    return {
        **one,
        "_id": id,
        "key": key,
        "operation": operation,
        "username": name,
        "username_key": name,
        "request": {**one["request"], "key": str(id)},
        "lease": past + timedelta(milliseconds=number),
    }


def _copy_of_row(row: Json, edited: Template, made: list[Json], number: int) -> Json:
    about = made[number % len(made)]
    raw = edited.event_of(about, "customer.updated", row["created"], name=f"Tied {number}")
    past = datetime.now(UTC) - HOURS
    told = {"object_id": about["stripe_id"], "raw": raw, "lease": past + timedelta(milliseconds=number)}
    return {**row, "_id": json.loads(raw)["id"], **told}


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
    """Assert that a copy differs from what the service leaves in its values only."""
    assert _shape(real) == _shape(copy), f"an outage leaves {_shape(real)}, not {_shape(copy)}"


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__
