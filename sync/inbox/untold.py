"""Requeues what changes with another object, as Stripe sends no event: items of invoices, disputed charges, intents.

A new invoice takes the customer's pending items, and a deleted one releases them, without `invoiceitem.updated`. A
dispute sets `disputed` on its charge without `charge.updated`. A credit note changes the amount of the payment intent
of its open invoice.
"""

from collections.abc import Mapping
from typing import Any

from stripe_mongo_sync.models import Invoice, InvoiceItem, PaymentIntent, Status, SyncedDocument, synced_kind
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.engine.dependents import Dependent, follows

UNPAID = ["requires_payment_method", "requires_confirmation", "requires_action"]


def requeue_items_of(invoice: SyncedDocument) -> None:
    """Make the items due that an invoice has taken or released."""
    invoice = sure(invoice, Invoice)
    lines = ((invoice.stripe or {}).get("lines") or {}).get("data") or []
    details = [(line.get("parent") or {}).get("invoice_item_details") or {} for line in lines]
    taken = [detail["invoice_item"] for detail in details if detail.get("invoice_item")]
    here = [] if not invoice.is_current else taken
    # A deletion counts from the second of its event.
    second = max(invoice.snapshot_latest or 0, 0 if invoice.is_current else int(invoice.updated_at.timestamp()))
    for item in InvoiceItem.about(invoice.stripe_id or "", taken):
        is_in = item.stripe_id in here
        if is_in != (item.invoice == invoice.stripe_id):
            _suspect(item, second)


def requeue_if_taken(item: SyncedDocument) -> None:
    """Make an item due that looks pending, and that an invoice here has taken: its creation event may come late."""
    item = sure(item, InvoiceItem)
    if item.is_current and item.invoice is None:
        line = {"stripe.lines.data.parent.invoice_item_details.invoice_item": item.stripe_id}
        for invoice in Invoice.objects(__raw__={"owners": item.customer, "status": Status.ACTIVE, **line}):
            requeue_items_of(invoice)


def _pending(items: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
    return {key for key, remote in items.items() if remote.get("invoice") is None}


def _suspect(item: SyncedDocument, second: int) -> None:
    """Make a document due even if it is busy, because a reply to its own update may be older than that second."""
    while item.is_current and not ((item.due_at or item.review_reason) and (item.snapshot_latest or 0) >= second):
        item = item.suspect(second) or item.fetch_latest()


def touch_charge(dispute: SyncedDocument) -> None:
    """Make the charge due that a dispute is about, unless its snapshot shows it: `disputed` never becomes false."""
    id = (dispute.stripe or {}).get("charge")
    charge = sure(synced_kind("charge")).by_stripe_id(id) if isinstance(id, str) else None
    if charge is None or not charge.is_current or (charge.stripe or {}).get("disputed"):
        return
    if charge.due_at is None and charge.review_reason is None:
        charge.requeue(DueReason.REFRESH)


def touch_intents(note: SyncedDocument) -> None:
    """Make the customer's unpaid payment intents due that were not seen since: no intent names its invoice."""
    shown = note.stripe or {}
    second = min(max(shown.get("created") or 0, shown.get("voided_at") or 0), note.snapshot_latest or 0)
    if shown.get("pre_payment_amount"):
        unseen = {"stripe_status": {"$in": UNPAID}, "snapshot_earliest": {"$lte": second}}
        for intent in PaymentIntent.objects(
            __raw__={"owners": shown.get("customer"), "status": Status.ACTIVE, **unseen}
        ):
            _suspect(intent, second)


follows(Dependent(requeue_items_of), "invoice")
follows(Dependent(requeue_if_taken, _pending), "invoiceitem")
follows(Dependent(touch_intents), "credit_note")
follows(Dependent(touch_charge), "dispute")
