"""A promotion code: what a buyer types to get a coupon's discount. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class Promotion(Part):
    """What the code gives (the shape of Stripe's API since 2025-09-30.clover)."""

    meta: ClassVar = {"strict": False}
    type: str = StringField(required=True, choices=["coupon"])
    coupon: str = StringField(max_length=5000, required=True, references="coupon")


class Restrictions(Part):
    """When it may be redeemed."""

    meta: ClassVar = {"strict": False}
    first_time_transaction: bool | None = BooleanField()
    minimum_amount: int | None = IntField(min_value=1, max_value=LARGEST, help_text="In the currency's minor unit.")
    minimum_amount_currency: str | None = StringField(regex=r"[A-Za-z]{3}$")


class PromotionCode(SyncedDocument):
    says = "A code for a coupon."
    meta: ClassVar = {"collection": "promotion_codes"}
    resource: ClassVar = Resource(kind="promotion_code", path="/v1/promotion_codes", undo=(Undo.ARCHIVE,))

    promotion: Promotion = EmbeddedDocumentField(Promotion, required=True, sent="create")
    code: str | None = StringField(regex=r"[A-Za-z0-9-]{1,500}$", sent="create")
    customer: str | None = StringField(max_length=5000, references="customer", sent="create", unfilled=True)
    active: bool = BooleanField(sent="create update")
    expires_at: int | None = IntField(min_value=0, max_value=2**40, sent="create", help_text="In Unix seconds.")
    max_redemptions: int | None = IntField(min_value=1, sent="create")
    restrictions: Restrictions | None = EmbeddedDocumentField(Restrictions, sent="create")
    times_redeemed: int = IntField(sent="")
