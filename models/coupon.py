"""A coupon: a discount by percentage or amount. The caller may choose its id."""

from typing import ClassVar

from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    FloatField,
    IntField,
    StringField,
)

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class AppliesTo(Part):
    """The products to which the discount applies."""

    meta: ClassVar = {"strict": False}
    products: list[str] = Plain(StringField(max_length=5000, references="product"), max_length=100)


class Coupon(SyncedDocument):
    says = "A discount."
    meta: ClassVar = {"collection": "coupons"}
    resource: ClassVar = Resource(
        kind="coupon",
        path="/v1/coupons",
        undo=(Undo.DELETE,),
        deletable=True,
        accepts_custom_id=True,
        expand=("applies_to",),
    )

    name: str | None = StringField(max_length=40, sent="create update", unfilled=True)
    percent_off: float | None = FloatField(min_value=0.0001, max_value=100, sent="create")
    amount_off: int | None = IntField(
        min_value=1, max_value=LARGEST, sent="create", help_text="In the currency's minor unit."
    )
    currency: str | None = StringField(regex=r"[A-Za-z]{3}$", sent="create")
    duration: str | None = StringField(choices=["forever", "once", "repeating"], sent="create")
    duration_in_months: int | None = IntField(min_value=1, sent="create")
    max_redemptions: int | None = IntField(min_value=1, sent="create")
    redeem_by: int | None = IntField(min_value=0, max_value=2**40, sent="create", help_text="In Unix seconds.")
    applies_to: AppliesTo | None = EmbeddedDocumentField(AppliesTo, sent="create")
    times_redeemed: int = IntField(sent="")
    valid: bool = BooleanField(sent="")
