"""A refund: money that goes back to the buyer. It can never be undone."""

from typing import Any, ClassVar

from mongoengine import IntField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import JsonField, Plain
from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.rows.indexes import A_STRING


class Refund(SyncedDocument):
    says = "A refund to the buyer, in the currency's minor unit; by default the rest of the payment."
    meta: ClassVar = {"collection": "refunds"}
    indexes: ClassVar = [
        *SyncedDocument.indexes,
        IndexModel("payment_intent", partialFilterExpression={"payment_intent": A_STRING}),
    ]
    resource: ClassVar = Resource(
        kind="refund",
        path="/v1/refunds",
        undo=(),
        moves_money_if=lambda verb, sent: verb == "create",
        event_prefixes=("refund", "charge.refund"),
    )

    payment_intent: str | None = StringField()
    charge: str | None = StringField()
    amount: int | None = IntField()
    reason: str | None = StringField()
    currency: str | None = StringField()
    stripe_status: str | None = StringField(stripe_name="status")
    failure_reason: str | None = StringField()

    lines: list[dict[str, Any]] = Plain(JsonField(), internal=True)  # of an order: what `refund_order` meant by it
