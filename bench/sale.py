"""A sale: an order with its payment, and the events of the buyer who pays, in any number of copies with other ids."""

import json
import re
from dataclasses import dataclass
from typing import Any

from bson import ObjectId, json_util

from stripe_mongo_sync.bench.shop import Json, Shop
from stripe_mongo_sync.models.rows.content import digest

WHO = "buyer@here.com"
COPIED = ("customers", "payment_intents", "orders")  # a product and its price are the same for all


@dataclass(frozen=True)
class Sale:
    """The documents before the buyer paid, and what Stripe tells of it, both as text; `ids` are those in them."""

    documents: str
    events: str
    ids: tuple[str, ...]

    def copy(self, second: int) -> tuple[dict[str, list[Json]], list[bytes]]:
        """Return documents by collection and the bodies of their events, of this second and with ids of their own."""
        new = {each: str(ObjectId()) for each in self.ids}
        for id in self.ids:
            prefix = id[: id.find("_") + 1]
            new[id] = prefix + new[id] if id != WHO else f"{new[id]}@here.com"
        every = re.compile("|".join(sorted(map(re.escape, new), key=len, reverse=True)))
        documents, events = (every.sub(lambda found: new[found[0]], text) for text in (self.documents, self.events))
        copied: dict[str, list[Json]] = json_util.loads(documents)
        for document in (each for rows in copied.values() for each in rows if each["stripe"]):
            document["digest"] = digest(document["stripe"])
        return copied, [json.dumps({**event, "created": second}, indent=2).encode() for event in json.loads(events)]


def sell(service: Shop) -> Sale:
    """Create an order by the API, then pay it at Stripe, and change its customer and a product there."""
    stack, database = service.stack, service.stack.database
    product = _made(service, "products", name="Tea")
    price = _made(service, "prices", product=product["id"], unit_amount=500, currency="eur")
    customer = _made(service, "customers", username=WHO, name="Ada")
    order = _made(
        service, "orders", username=WHO, items=[{"price": price["id"], "quantity": 2}], payment="payment_intent"
    )
    intent, before = order["payment_intent"], len(stack.stripe.events())
    documents = {name: list(database[name].find({"_id": {"$ne": None}})) for name in COPIED}
    documents["customers"] = [each for each in documents["customers"] if each["username"] == WHO]
    stack.stripe.dashboard.act(
        "payment_intent", intent, "confirm", payment_method="pm_card_visa", return_url="https://here.com"
    )
    stack.stripe.dashboard.update("customer", customer["stripe_id"], name="Ada King")
    events = stack.stripe.events()[before:]
    own = {*(str(row["_id"]) for rows in documents.values() for row in rows), WHO, intent, customer["stripe_id"]}
    own |= {row["request"]["key"] for rows in documents.values() for row in rows if row["request"]}
    own |= {id for event in events for id in (event["id"], event["data"]["object"]["id"])}
    return Sale(json_util.dumps(documents), json.dumps(events), tuple(own))


def _made(service: Shop, path: str, **body: Any) -> Json:
    reply = service.stack.service.post(f"/{path}", body)
    assert reply.status == 201, reply.body
    return reply.body
