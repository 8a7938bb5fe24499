"""A refund: money that goes back to the buyer. It can never be undone."""

from typing import ClassVar

from mongoengine import IntField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
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

    payment_intent: str | None = StringField(max_length=5000, references="payment_intent", sent="create")
    charge: str | None = StringField(max_length=5000, sent="create")
    amount: int | None = IntField(min_value=1, max_value=LARGEST, sent="create")
    reason: str | None = StringField(choices=["duplicate", "fraudulent", "requested_by_customer"], sent="create")
    currency: str | None = StringField(sent="")
    stripe_status: str | None = StringField(sent="", stripe_name="status")
    failure_reason: str | None = StringField(sent="")
