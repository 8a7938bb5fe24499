"""A payment intent: one payment, from its amount to its success. Amounts are whole numbers in the minor unit."""

from typing import ClassVar

from mongoengine import (
    BooleanField,
    EmbeddedDocumentField,
    IntField,
    StringField,
)

from stripe_mongo_sync.models.amounts import LARGEST
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part

CONFIRMED = ("requires_action", "processing", "requires_capture", "succeeded")


class AutomaticPaymentMethods(Part):
    """Whether Stripe chooses the payment methods."""

    meta: ClassVar = {"strict": False}
    enabled: bool = BooleanField(required=True)
    allow_redirects: str | None = StringField(choices=["always", "never"])


class Confirmation(Part):
    says = "How the payment is confirmed."
    meta: ClassVar = {"strict": False}
    payment_method: str | None = StringField(max_length=5000, references="payment_method", allow_unknown=True)
    return_url: str | None = StringField(max_length=5000)
    off_session: bool | None = BooleanField()


class Capture(Part):
    says = "The amount to capture; by default all of it."
    meta: ClassVar = {"strict": False}
    amount_to_capture: int | None = IntField(min_value=1, max_value=LARGEST)


class Cancellation(Part):
    says = "Why the payment is canceled."
    meta: ClassVar = {"strict": False}
    cancellation_reason: str | None = StringField(
        choices=["duplicate", "fraudulent", "requested_by_customer", "abandoned"]
    )


class PaymentIntent(SyncedDocument):
    says = "A payment."
    meta: ClassVar = {"collection": "payment_intents"}
    resource: ClassVar = Resource(
        kind="payment_intent",
        path="/v1/payment_intents",
        moves_money_if=lambda verb, sent: sent.get("confirm") is True,
        undo=(Undo.CANCEL,),  # Stripe refuses once it has succeeded: then an operator decides about a refund
        actions={
            "confirm": Action(
                done=lambda remote, sent: remote.get("status") in CONFIRMED,
                takes=Confirmation,
                moves_money=True,
            ),
            "capture": Action(
                done=lambda remote, sent: remote.get("status") == "succeeded", takes=Capture, moves_money=True
            ),
            "cancel": Action(done=lambda remote, sent: remote.get("status") == "canceled", takes=Cancellation),
        },
    )

    amount: int = IntField(min_value=1, max_value=LARGEST, required=True, sent="create update")
    currency: str = StringField(regex=r"[A-Za-z]{3}$", required=True, sent="create update")
    customer: str | None = StringField(max_length=5000, references="customer", sent="create update", unfilled=True)
    description: str | None = StringField(max_length=1000, sent="create update", unfilled=True)
    receipt_email: str | None = StringField(max_length=800, sent="create update", unfilled=True)
    payment_method: str | None = StringField(
        max_length=5000, references="payment_method", allow_unknown=True, sent="create update"
    )
    allowed_payment_method_types: list[str] = Plain(StringField(max_length=5000), max_length=40, sent="create")
    payment_method_types: list[str] = Plain(StringField(), sent="")
    automatic_payment_methods: AutomaticPaymentMethods | None = EmbeddedDocumentField(
        AutomaticPaymentMethods, sent="create"
    )
    capture_method: str | None = StringField(choices=["automatic", "automatic_async", "manual"], sent="create update")
    setup_future_usage: str | None = StringField(choices=["off_session", "on_session"], sent="create update")
    statement_descriptor: str | None = StringField(max_length=22, sent="create update")
    statement_descriptor_suffix: str | None = StringField(max_length=22, sent="create update")
    confirm: bool = BooleanField(sent="create", write_only=True)
    off_session: bool | None = BooleanField(sent="create", write_only=True)
    return_url: str | None = StringField(max_length=5000, sent="create", write_only=True)
    stripe_status: str = StringField(sent="", stripe_name="status")
    amount_received: int = IntField(sent="")
    amount_capturable: int = IntField(sent="")
    latest_charge: str | None = StringField(sent="")
    client_secret: str | None = StringField(sent="", help_text="For the buyer's browser.")
    cancellation_reason: str | None = StringField(sent="")
