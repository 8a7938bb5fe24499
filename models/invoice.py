"""An invoice: items are added to a draft, which is finalized, and then paid, voided or marked uncollectible."""

from typing import Any, ClassVar, NotRequired, TypedDict

from mongoengine import BooleanField, IntField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo


def _has(*statuses: str) -> Any:
    return lambda remote, sent: remote.get("status") in statuses


class Preview(TypedDict):
    """Of whom a preview is, besides Stripe's parameters."""

    username: NotRequired[str]


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
        types={
            "create_preview": (Preview, "InvoiceCreatePreviewParams"),
            "finalize": "InvoiceFinalizeInvoiceParams",
            "send": "InvoiceSendInvoiceParams",
            "void": "InvoiceVoidInvoiceParams",
        },
        actions={
            "finalize": Action(done=_has("open", "paid", "void", "uncollectible")),
            "pay": Action(done=_has("paid"), moves_money=True),
            "send": Action(done=lambda remote, sent: False),  # an invoice does not show whether it was sent
            "void": Action(done=_has("void")),
            "mark_uncollectible": Action(done=_has("uncollectible", "void", "paid")),
        },
    )

    customer: str = StringField()
    currency: str | None = StringField()
    auto_advance: bool | None = BooleanField()
    collection_method: str | None = StringField()
    due_date: int | None = IntField()  # in seconds
    default_payment_method: str | None = StringField()
    description: str | None = StringField()
    footer: str | None = StringField()
    statement_descriptor: str | None = StringField()
    stripe_status: str = StringField(stripe_name="status")  # draft, open, paid, uncollectible or void
    number: str | None = StringField()
    billing_reason: str | None = StringField()
    total: int = IntField()
    amount_due: int = IntField()
    amount_paid: int = IntField()
    amount_remaining: int = IntField()
    attempt_count: int = IntField()
    subscription: str | None = StringField()
    hosted_invoice_url: str | None = StringField()  # where the customer can pay it
    invoice_pdf: str | None = StringField()

    @classmethod
    def in_request_shape(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the invoice with its subscription, which since API 2025-03-31.basil is shown under `parent`."""
        parent = (remote.get("parent") or {}).get("subscription_details") or {}
        return {**remote, "subscription": parent.get("subscription")}
