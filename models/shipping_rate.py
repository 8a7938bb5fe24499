"""A shipping rate: the price of a delivery. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class FixedAmount(Part):
    """An amount in the minor unit."""

    meta: ClassVar = {"strict": False}
    amount: int = IntField(min_value=0, max_value=LARGEST, required=True)
    currency: str = StringField(regex=r"[A-Za-z]{3}$", required=True)


class ShippingRate(SyncedDocument):
    says = "A price of delivery."
    meta: ClassVar = {"collection": "shipping_rates"}
    resource: ClassVar = Resource(
        kind="shipping_rate", path="/v1/shipping_rates", undo=(Undo.ARCHIVE,), has_created_event=False
    )

    display_name: str = StringField(max_length=100, required=True, sent="create")
    type: str = StringField(choices=["fixed_amount"], sent="create")
    fixed_amount: FixedAmount | None = EmbeddedDocumentField(FixedAmount, sent="create")
    tax_behavior: str | None = StringField(choices=["exclusive", "inclusive", "unspecified"], sent="create update")
    tax_code: str | None = StringField(max_length=5000, sent="create")
    active: bool = BooleanField(sent="update")
