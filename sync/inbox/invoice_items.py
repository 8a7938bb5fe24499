"""Requeues invoice items when their invoice changes, and charges when they are disputed, as Stripe sends no event.

A new invoice takes the customer's pending items, and a deleted one releases them, without `invoiceitem.updated`. A
dispute sets `disputed` on its charge without `charge.updated`.
"""

from stripe_mongo_sync.models import Invoice, InvoiceItem, SyncedDocument, synced_kind
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.engine.dependents import Dependent, follows


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


def _suspect(item: InvoiceItem, second: int) -> None:
    """Make an item due even if it is busy, because a reply to its own update may be older than that second."""
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


follows(Dependent(requeue_items_of), "invoice")
follows(Dependent(touch_charge), "dispute")
