"""A price of a product: one amount, once or recurring. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class Recurring(Part):
    """How often a subscription is charged."""

    interval: str = StringField()
    interval_count: int | None = IntField()
    usage_type: str | None = StringField()
    meter: str | None = StringField()


class Price(SyncedDocument):
    says = "What a product costs. Amounts are whole numbers in the currency's minor unit."
    meta: ClassVar = {"collection": "prices"}
    resource: ClassVar = Resource(
        kind="price",
        path="/v1/prices",
        undo=(Undo.ARCHIVE,),
        list_params=({"active": "true"}, {"active": "false"}),
        unlisted="inline ones",  # made of `price_data` for one use, and archived from the start
        leaves_out=lambda remote: remote.get("active") is False,
    )

    product: str = StringField()
    currency: str = StringField()
    unit_amount: int | None = IntField()
    unit_amount_decimal: str | None = StringField()
    recurring: Recurring | None = EmbeddedDocumentField(Recurring)
    active: bool = BooleanField()
    nickname: str | None = StringField(unfilled=True)
    lookup_key: str | None = StringField(unfilled=True)
    tax_behavior: str | None = StringField()
    type: str = StringField(help_text="one_time or recurring.")
    billing_scheme: str = StringField()
