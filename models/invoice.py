"""An invoice: items are added to a draft, which is finalized, and then paid, voided or marked uncollectible."""

from typing import Any, ClassVar

from mongoengine import BooleanField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part


class Finalization(Part):
    says = "Whether Stripe then collects the payment by itself."
    meta: ClassVar = {"strict": False}
    auto_advance: bool | None = BooleanField()


class Payment(Part):
    says = "How it is paid."
    meta: ClassVar = {"strict": False}
    payment_method: str | None = StringField(max_length=5000, references="payment_method", allow_unknown=True)
    off_session: bool | None = BooleanField()
    paid_out_of_band: bool | None = BooleanField()


def _has(*statuses: str) -> Any:
    return lambda remote, sent: remote.get("status") in statuses


class Invoice(SyncedDocument):
    says = "What a customer is asked to pay. Amounts are whole numbers in the currency's minor unit."
    meta: ClassVar = {"collection": "invoices"}
    resource: ClassVar = Resource(
        kind="invoice",
        path="/v1/invoices",
        undo=(Undo.DELETE, Undo.VOID),  # a draft can be deleted, an open one voided; for a paid one an operator decides
        parts={"lines": "/v1/invoices/{id}/lines"},
        deletable=True,
        deleted_while=lambda remote: remote.get("status") == "draft",  # Stripe refuses to delete any other
        actions={
            "finalize": Action(done=_has("open", "paid", "void", "uncollectible"), takes=Finalization),
            "pay": Action(done=_has("paid"), takes=Payment, moves_money=True),
            "send": Action(done=lambda remote, sent: False),  # an invoice does not show whether it was sent
            "void": Action(done=_has("void")),
            "mark_uncollectible": Action(done=_has("uncollectible", "void", "paid")),
        },
    )

    customer: str = StringField(max_length=5000, required=True, references="customer", sent="create")
    currency: str | None = StringField(regex=r"[A-Za-z]{3}$", sent="create")
    auto_advance: bool | None = BooleanField(sent="create update")
    collection_method: str | None = StringField(choices=["charge_automatically", "send_invoice"], sent="create update")
    days_until_due: int | None = IntField(min_value=0, sent="create update", write_only=True)
    due_date: int | None = IntField(min_value=0, sent="create update")  # in seconds
    default_payment_method: str | None = StringField(
        max_length=5000, references="payment_method", allow_unknown=True, sent="create update"
    )
    description: str | None = StringField(max_length=1500, sent="create update")
    footer: str | None = StringField(max_length=5000, sent="create update")
    statement_descriptor: str | None = StringField(max_length=22, sent="create update")
    pending_invoice_items_behavior: str | None = StringField(
        choices=["exclude", "include"], sent="create", write_only=True
    )
    stripe_status: str = StringField(sent="", stripe_name="status")  # draft, open, paid, uncollectible or void
    number: str | None = StringField(sent="")
    billing_reason: str | None = StringField(sent="")
    total: int = IntField(sent="")
    amount_due: int = IntField(sent="")
    amount_paid: int = IntField(sent="")
    amount_remaining: int = IntField(sent="")
    attempt_count: int = IntField(sent="")
    subscription: str | None = StringField(sent="")
    hosted_invoice_url: str | None = StringField(sent="")  # where the customer can pay it
    invoice_pdf: str | None = StringField(sent="")

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the invoice with its subscription, which since API 2025-03-31.basil is shown under `parent`."""
        parent = (remote.get("parent") or {}).get("subscription_details") or {}
        return {**remote, "subscription": parent.get("subscription")}
