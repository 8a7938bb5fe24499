"""A setup intent: prepares a card for later payments, without a payment."""

from typing import ClassVar

from mongoengine import EmbeddedDocumentField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.embedded import Plain
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.payment_intent import AutomaticPaymentMethods


class SetupIntent(SyncedDocument):
    says = "The setup of a card for later payments."
    meta: ClassVar = {"collection": "setup_intents"}
    resource: ClassVar = Resource(
        kind="setup_intent",
        path="/v1/setup_intents",
        undo=(Undo.CANCEL,),
        actions={
            "confirm": Action(
                done=lambda remote, sent: remote.get("status") in ("requires_action", "processing", "succeeded")
            ),
            "cancel": Action(done=lambda remote, sent: remote.get("status") == "canceled"),
        },
    )

    customer: str | None = StringField(unfilled=True)
    description: str | None = StringField(unfilled=True)
    payment_method: str | None = StringField()
    allowed_payment_method_types: list[str] = Plain(StringField())
    payment_method_types: list[str] = Plain(StringField())
    automatic_payment_methods: AutomaticPaymentMethods | None = EmbeddedDocumentField(AutomaticPaymentMethods)
    usage: str | None = StringField()
    stripe_status: str = StringField(stripe_name="status")
    client_secret: str | None = StringField(help_text="For the buyer's browser.")
    cancellation_reason: str | None = StringField()
