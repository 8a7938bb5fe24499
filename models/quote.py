"""A quote: an offer to a customer. It is finalized, and accepted or canceled; accepting it makes what was offered."""

from typing import Any, ClassVar

from mongoengine import EmbeddedDocumentField, IntField, StringField
from pymongo import IndexModel

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part
from stripe_mongo_sync.models.rows.indexes import A_STRING

SECONDS = "In Unix seconds."


class Transitions(Part):
    """When it became what it is."""

    finalized_at: int | None = IntField(help_text=SECONDS)
    accepted_at: int | None = IntField(help_text=SECONDS)
    canceled_at: int | None = IntField(help_text=SECONDS)


def _was(transition: str, *statuses: str) -> Any:
    def done(remote: dict[str, Any], sent: dict[str, Any]) -> bool:
        moments = remote.get("status_transitions") or {}
        return remote.get("status") in statuses or moments.get(transition) is not None

    return done


class Quote(SyncedDocument):
    says = "An offer to a customer. Amounts are whole numbers in the currency's minor unit."
    meta: ClassVar = {"collection": "quotes"}
    indexes: ClassVar = [
        *SyncedDocument.indexes,
        *(IndexModel(name, partialFilterExpression={name: A_STRING}) for name in ("subscription_schedule", "invoice")),
    ]
    resource: ClassVar = Resource(
        kind="quote",
        path="/v1/quotes",
        undo=(Undo.CANCEL,),  # Stripe refuses once it is accepted: then an operator decides
        created_filter=False,
        types={"finalize": "QuoteFinalizeQuoteParams"},
        actions={
            "finalize": Action(done=_was("finalized_at", "open", "accepted")),
            # It starts a subscription, a schedule or an invoice, which may charge the customer at once.
            "accept": Action(done=_was("accepted_at", "accepted"), moves_money=True),
            "cancel": Action(done=_was("canceled_at", "canceled")),
        },
    )

    customer: str | None = StringField(help_text="Needed before it is finalized.")
    description: str | None = StringField()
    header: str | None = StringField()
    footer: str | None = StringField()
    expires_at: int | None = IntField(help_text="When Stripe cancels it unless it is accepted, in Unix seconds.")
    collection_method: str | None = StringField()
    currency: str | None = StringField()
    amount_subtotal: int | None = IntField()
    amount_total: int | None = IntField(help_text="With discounts and taxes.")
    number: str | None = StringField(help_text="Stripe gives it when it is finalized.")
    stripe_status: str = StringField(stripe_name="status")  # draft, open, accepted or canceled
    status_transitions: Transitions | None = EmbeddedDocumentField(Transitions)
    subscription: str | None = StringField(help_text="What accepting it has made.")
    subscription_schedule: str | None = StringField(help_text="Made in place of a subscription that begins later.")
    invoice: str | None = StringField(help_text="What accepting it has made; of a subscription, its first.")
