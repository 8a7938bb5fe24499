"""A shipping rate: the price of a delivery. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class FixedAmount(Part):
    """An amount in the minor unit."""

    amount: int = IntField()
    currency: str = StringField()


class ShippingRate(SyncedDocument):
    says = "A price of delivery."
    meta: ClassVar = {"collection": "shipping_rates"}
    resource: ClassVar = Resource(
        kind="shipping_rate", path="/v1/shipping_rates", undo=(Undo.ARCHIVE,), has_created_event=False
    )

    display_name: str = StringField()
    type: str = StringField()
    fixed_amount: FixedAmount | None = EmbeddedDocumentField(FixedAmount)
    tax_behavior: str | None = StringField()
    tax_code: str | None = StringField()
    active: bool = BooleanField()
