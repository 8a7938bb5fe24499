"""A checkout session: Stripe's own page, on which a buyer pays, subscribes or saves a card. It expires if unused.

Stripe sends no event for its creation. So each session has a random correlation id, by which a session whose reply was
lost is recognized when it is completed, or in a list.
"""

import secrets
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    IntField,
    StringField,
)
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.customer import Email
from stripe_mongo_sync.models.line_items import Item
from stripe_mongo_sync.models.rows.database import Part
from stripe_mongo_sync.models.rows.indexes import A_STRING


class PaymentData(Part):
    """The options of the payment that the buyer makes."""

    meta: ClassVar = {"strict": False}
    capture_method: str | None = StringField(choices=["automatic", "automatic_async", "manual"])
    description: str | None = StringField(max_length=1000)
    receipt_email: str | None = Email(max_length=800)
    setup_future_usage: str | None = StringField(choices=["off_session", "on_session"])
    statement_descriptor: str | None = StringField(max_length=22)
    statement_descriptor_suffix: str | None = StringField(max_length=22)


class SubscriptionData(Part):
    """The options of the subscription that the buyer begins."""

    meta: ClassVar = {"strict": False}
    description: str | None = StringField(max_length=500)
    trial_period_days: int | None = IntField(min_value=1, max_value=730)


class CheckoutSession(SyncedDocument):
    says = "A visit to Stripe's payment page."
    meta: ClassVar = {"collection": "checkout_sessions"}
    indexes: ClassVar = [
        *SyncedDocument.indexes,
        IndexModel("client_reference_id", partialFilterExpression={"client_reference_id": A_STRING}),
    ]
    resource: ClassVar = Resource(
        kind="checkout.session",
        path="/v1/checkout/sessions",
        undo=(Undo.EXPIRE,),  # Stripe refuses once it is complete: then an operator decides
        has_created_event=False,
        correlation_field="client_reference_id",
        actions={"expire": Action(done=lambda remote, sent: remote.get("status") == "expired")},
    )

    mode: str = StringField(choices=["payment", "setup", "subscription"], required=True, sent="create")
    line_items: list[Item] = EmbeddedDocumentListField(Item, max_length=100, sent="create", write_only=True)
    success_url: str = StringField(max_length=5000, required=True, sent="create")
    cancel_url: str | None = StringField(max_length=5000, sent="create")
    customer: str | None = StringField(max_length=5000, references="customer", sent="create", unfilled=True)
    customer_email: str | None = Email(max_length=800, sent="create", unfilled=True)
    currency: str | None = StringField(regex=r"[A-Za-z]{3}$", sent="create")
    expires_at: int | None = IntField(min_value=0, sent="create")  # in seconds, 30 minutes to 24 hours from now
    allow_promotion_codes: bool | None = BooleanField(sent="create")
    billing_address_collection: str | None = StringField(choices=["auto", "required"], sent="create")
    locale: str | None = StringField(max_length=20, sent="create")
    submit_type: str | None = StringField(choices=["auto", "book", "donate", "pay", "subscribe"], sent="create")
    payment_intent_data: PaymentData | None = EmbeddedDocumentField(PaymentData, sent="create", write_only=True)
    subscription_data: SubscriptionData | None = EmbeddedDocumentField(SubscriptionData, sent="create", write_only=True)
    client_reference_id: str | None = StringField(sent="")  # our correlation id
    stripe_status: str = StringField(sent="", stripe_name="status")  # open, complete or expired
    payment_status: str = StringField(sent="")  # paid, unpaid or no_payment_required
    url: str | None = StringField(sent="")  # where to send the buyer
    amount_subtotal: int | None = IntField(sent="")
    amount_total: int | None = IntField(sent="")
    payment_intent: str | None = StringField(sent="")
    setup_intent: str | None = StringField(sent="")
    subscription: str | None = StringField(sent="")
    invoice: str | None = StringField(sent="")
    payment_link: str | None = StringField(sent="")

    @classmethod
    def with_derived(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with a new correlation id."""
        return {**values, "client_reference_id": secrets.token_urlsafe(24)}
