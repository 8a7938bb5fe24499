"""A setup intent: prepares a card for later payments, without a payment."""

from typing import ClassVar

from mongoengine import BooleanField, EmbeddedDocumentField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.payment_intent import AutomaticPaymentMethods
from stripe_mongo_sync.models.rows.database import Part


class Confirmation(Part):
    says = "How the card is confirmed."
    meta: ClassVar = {"strict": False}
    payment_method: str | None = StringField(max_length=5000, references="payment_method", allow_unknown=True)
    return_url: str | None = StringField(max_length=5000)


class Cancellation(Part):
    says = "Why the setup is canceled."
    meta: ClassVar = {"strict": False}
    cancellation_reason: str | None = StringField(choices=["abandoned", "duplicate", "requested_by_customer"])


class SetupIntent(SyncedDocument):
    says = "The setup of a card for later payments."
    meta: ClassVar = {"collection": "setup_intents"}
    resource: ClassVar = Resource(
        kind="setup_intent",
        path="/v1/setup_intents",
        undo=(Undo.CANCEL,),
        actions={
            "confirm": Action(
                done=lambda remote, sent: remote.get("status") in ("requires_action", "processing", "succeeded"),
                takes=Confirmation,
            ),
            "cancel": Action(done=lambda remote, sent: remote.get("status") == "canceled", takes=Cancellation),
        },
    )

    customer: str | None = StringField(max_length=5000, references="customer", sent="create update", unfilled=True)
    description: str | None = StringField(max_length=1000, sent="create update", unfilled=True)
    payment_method: str | None = StringField(
        max_length=5000, references="payment_method", allow_unknown=True, sent="create update"
    )
    allowed_payment_method_types: list[str] = Plain(StringField(max_length=5000), max_length=40, sent="create")
    payment_method_types: list[str] = Plain(StringField(), sent="")
    automatic_payment_methods: AutomaticPaymentMethods | None = EmbeddedDocumentField(
        AutomaticPaymentMethods, sent="create"
    )
    usage: str | None = StringField(choices=["off_session", "on_session"], sent="create")
    confirm: bool = BooleanField(sent="create", write_only=True)
    return_url: str | None = StringField(max_length=5000, sent="create", write_only=True)
    stripe_status: str = StringField(sent="", stripe_name="status")
    client_secret: str | None = StringField(sent="", help_text="For the buyer's browser.")
    cancellation_reason: str | None = StringField(sent="")
