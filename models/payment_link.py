"""A payment link: a page of Stripe's that sells the same items to everybody. It can only be archived."""

from typing import ClassVar

from mongoengine import BooleanField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo


class PaymentLink(SyncedDocument):
    says = "A link to a page that sells."
    meta: ClassVar = {"collection": "payment_links"}
    resource: ClassVar = Resource(
        kind="payment_link", path="/v1/payment_links", undo=(Undo.ARCHIVE,), created_filter=False
    )

    currency: str | None = StringField()
    active: bool = BooleanField()
    allow_promotion_codes: bool | None = BooleanField()
    billing_address_collection: str | None = StringField()
    customer_creation: str | None = StringField()
    inactive_message: str | None = StringField()
    submit_type: str | None = StringField()
    url: str | None = StringField()
