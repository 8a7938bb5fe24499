"""A credit note: what is taken off a finalized invoice. One of an open invoice can be voided, any other is for good."""

from typing import ClassVar

from mongoengine import EmbeddedDocumentField, IntField, ListField, StringField

from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.resource import Action, Resource, Undo
from stripe_mongo_sync.models.rows.database import Part

MINOR = "In the currency's minor unit."
# What is paid back, or credited, of an invoice that was paid: Stripe voids no such note.
FOR_GOOD = ("refund_amount", "credit_amount", "out_of_band_amount")


class CreditedRefund(Part):
    """A refund that belongs to the credit note."""

    refund: str = StringField()
    amount_refunded: int | None = IntField(help_text=MINOR)


class CreditNote(SyncedDocument):
    says = "What is taken off a finalized invoice: what is still to be paid of it first, and then what was paid."
    meta: ClassVar = {"collection": "credit_notes"}
    resource: ClassVar = Resource(
        kind="credit_note",
        path="/v1/credit_notes",
        undo=(Undo.VOID,),
        parts={"lines": "/v1/credit_notes/{id}/lines"},
        types={"void": "CreditNoteVoidCreditNoteParams"},
        moves_money_if=lambda verb, sent: verb == "create" and any(sent.get(name) for name in FOR_GOOD),
        actions={"void": Action(done=lambda remote, sent: remote.get("status") == "void")},
    )

    invoice: str = StringField()
    customer: str = StringField()
    currency: str = StringField()
    amount: int = IntField(help_text=f"With tax. {MINOR}")
    pre_payment_amount: int = IntField(help_text=f"By how much the invoice is to be paid less. {MINOR}")
    post_payment_amount: int = IntField(help_text=f"How much is refunded, credited, or paid back elsewhere. {MINOR}")
    out_of_band_amount: int | None = IntField(help_text=MINOR)
    refunds: list[CreditedRefund] = ListField(EmbeddedDocumentField(CreditedRefund))
    customer_balance_transaction: str | None = StringField(help_text="Which credited the customer's balance.")
    type: str = StringField()
    stripe_status: str = StringField(stripe_name="status")
    reason: str | None = StringField()
    memo: str | None = StringField()
    number: str = StringField()
    effective_at: int | None = IntField(help_text="In Unix seconds.")
    voided_at: int | None = IntField(help_text="In Unix seconds.")
    pdf: str = StringField()
