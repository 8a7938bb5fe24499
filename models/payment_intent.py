"""A payment intent: one payment, from its amount to its success. Amounts are whole numbers in the minor unit."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part

CONFIRMED = ("requires_action", "processing", "requires_capture", "succeeded")


class AutomaticPaymentMethods(Part):
    """Whether Stripe chooses the payment methods."""

    enabled: bool = BooleanField()
    allow_redirects: str | None = StringField()


class PaymentIntent(SyncedDocument):
    says = "A payment."
    meta: ClassVar = {"collection": "payment_intents"}
    resource: ClassVar = Resource(
        kind="payment_intent",
        path="/v1/payment_intents",
        moves_money_if=lambda verb, sent: sent.get("confirm") is True,
        undo=(Undo.CANCEL,),  # Stripe refuses once it has succeeded: then an operator decides about a refund
        actions={
            "confirm": Action(done=lambda remote, sent: remote.get("status") in CONFIRMED, moves_money=True),
            "capture": Action(done=lambda remote, sent: remote.get("status") == "succeeded", moves_money=True),
            "cancel": Action(done=lambda remote, sent: remote.get("status") == "canceled"),
        },
    )

    amount: int = IntField()
    currency: str = StringField()
    customer: str | None = StringField(unfilled=True)
    description: str | None = StringField(unfilled=True)
    receipt_email: str | None = StringField(unfilled=True)
    payment_method: str | None = StringField()
    allowed_payment_method_types: list[str] = Plain(StringField())
    payment_method_types: list[str] = Plain(StringField())
    automatic_payment_methods: AutomaticPaymentMethods | None = EmbeddedDocumentField(AutomaticPaymentMethods)
    capture_method: str | None = StringField()
    setup_future_usage: str | None = StringField()
    statement_descriptor: str | None = StringField()
    statement_descriptor_suffix: str | None = StringField()
    stripe_status: str = StringField(stripe_name="status")
    amount_received: int = IntField()
    amount_capturable: int = IntField()
    latest_charge: str | None = StringField()
    client_secret: str | None = StringField(help_text="For the buyer's browser.")
    cancellation_reason: str | None = StringField()
