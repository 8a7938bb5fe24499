"""A checkout session: Stripe's own page, on which a buyer pays, subscribes or saves a card. It expires if unused.

Stripe sends no event for its creation. So each session has a random correlation id, by which a session whose reply was
lost is recognized when it is completed, or in a list.
"""

import secrets
from typing import Any, ClassVar

from mongoengine import BooleanField, IntField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.indexes import A_STRING


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

    mode: str = StringField()
    success_url: str = StringField()
    cancel_url: str | None = StringField()
    customer: str | None = StringField(unfilled=True)
    customer_email: str | None = StringField(unfilled=True)
    currency: str | None = StringField()
    expires_at: int | None = IntField()  # in seconds, 30 minutes to 24 hours from now
    allow_promotion_codes: bool | None = BooleanField()
    billing_address_collection: str | None = StringField()
    locale: str | None = StringField()
    submit_type: str | None = StringField()
    client_reference_id: str | None = StringField()  # our correlation id
    stripe_status: str = StringField(stripe_name="status")  # open, complete or expired
    payment_status: str = StringField()  # paid, unpaid or no_payment_required
    url: str | None = StringField()  # where to send the buyer
    amount_subtotal: int | None = IntField()
    amount_total: int | None = IntField()
    payment_intent: str | None = StringField()
    setup_intent: str | None = StringField()
    subscription: str | None = StringField()
    invoice: str | None = StringField()
    payment_link: str | None = StringField()

    @classmethod
    def with_derived(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with a new correlation id."""
        return {**values, "client_reference_id": secrets.token_urlsafe(24)}
