"""A price of a product: one amount, once or recurring. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class Recurring(Part):
    """How often a subscription is charged."""

    meta: ClassVar = {"strict": False}
    interval: str = StringField(required=True, choices=["day", "week", "month", "year"])
    interval_count: int | None = IntField(min_value=1)
    usage_type: str | None = StringField(choices=["licensed", "metered"])
    meter: str | None = StringField(max_length=5000)


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

    product: str = StringField(max_length=5000, required=True, references="product", sent="create")
    currency: str = StringField(regex=r"[A-Za-z]{3}$", required=True, sent="create")
    unit_amount: int | None = IntField(min_value=0, max_value=LARGEST, sent="create")
    unit_amount_decimal: str | None = StringField(regex=r"[0-9]{1,15}(\.[0-9]{1,12})?$", sent="create")
    recurring: Recurring | None = EmbeddedDocumentField(Recurring, sent="create")
    active: bool = BooleanField(sent="create update")
    nickname: str | None = StringField(max_length=5000, sent="create update", unfilled=True)
    lookup_key: str | None = StringField(max_length=200, sent="create update", unfilled=True)
    tax_behavior: str | None = StringField(choices=["exclusive", "inclusive", "unspecified"], sent="create update")
    type: str = StringField(sent="", help_text="one_time or recurring.")
    billing_scheme: str = StringField(sent="")
