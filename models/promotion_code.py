"""A promotion code: what a buyer types to get a coupon's discount. It can never be deleted, only archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class Promotion(Part):
    """What the code gives (the shape of Stripe's API since 2025-09-30.clover)."""

    type: str = StringField()
    coupon: str = StringField()


class Restrictions(Part):
    """When it may be redeemed."""

    first_time_transaction: bool | None = BooleanField()
    minimum_amount: int | None = IntField(help_text="In the currency's minor unit.")
    minimum_amount_currency: str | None = StringField()


class PromotionCode(SyncedDocument):
    says = "A code for a coupon."
    meta: ClassVar = {"collection": "promotion_codes"}
    resource: ClassVar = Resource(kind="promotion_code", path="/v1/promotion_codes", undo=(Undo.ARCHIVE,))

    promotion: Promotion = EmbeddedDocumentField(Promotion)
    code: str | None = StringField()
    customer: str | None = StringField(unfilled=True)
    active: bool = BooleanField()
    expires_at: int | None = IntField(help_text="In Unix seconds.")
    max_redemptions: int | None = IntField()
    restrictions: Restrictions | None = EmbeddedDocumentField(Restrictions)
    times_redeemed: int = IntField()
