"""A payment link: a page of Stripe's that sells the same items to everybody. It can only be archived."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentListField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.line_items import Item


class PaymentLink(SyncedDocument):
    says = "A link to a page that sells."
    meta: ClassVar = {"collection": "payment_links"}
    resource: ClassVar = Resource(
        kind="payment_link", path="/v1/payment_links", undo=(Undo.ARCHIVE,), created_filter=False
    )

    line_items: list[Item] = EmbeddedDocumentListField(
        Item, max_length=20, required=True, sent="create", write_only=True
    )
    currency: str | None = StringField(regex=r"[A-Za-z]{3}$", sent="create")
    active: bool = BooleanField(sent="update")
    allow_promotion_codes: bool | None = BooleanField(sent="create update")
    billing_address_collection: str | None = StringField(choices=["auto", "required"], sent="create update")
    customer_creation: str | None = StringField(choices=["always", "if_required"], sent="create")
    inactive_message: str | None = StringField(max_length=500, sent="create update")
    submit_type: str | None = StringField(choices=["auto", "book", "donate", "pay", "subscribe"], sent="create")
    url: str | None = StringField(sent="")
