"""A coupon: a discount by percentage or amount. The caller may choose its id."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, FloatField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class AppliesTo(Part):
    """The products to which the discount applies."""

    products: list[str] = Plain(StringField())


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

    name: str | None = StringField(unfilled=True)
    percent_off: float | None = FloatField()
    amount_off: int | None = IntField(help_text="In the currency's minor unit.")
    currency: str | None = StringField()
    duration: str | None = StringField()
    duration_in_months: int | None = IntField()
    max_redemptions: int | None = IntField()
    redeem_by: int | None = IntField(help_text="In Unix seconds.")
    applies_to: AppliesTo | None = EmbeddedDocumentField(AppliesTo)
    times_redeemed: int = IntField()
    valid: bool = BooleanField()
