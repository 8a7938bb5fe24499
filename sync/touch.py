"""Touch: what Stripe changes without an event of its own is looked at again when the event of another object tells.

An invoice that is made takes the customer's pending items in, and one that is deleted lets them go: Stripe has no event
`invoiceitem.updated` that would say so.
"""

from models import Invoice, InvoiceItem, SyncedDocument
from sync.composed import FOLLOWERS


def touch_items(invoice: SyncedDocument) -> None:
    """Make the items due that an invoice has taken in or let go."""
    assert isinstance(invoice, Invoice)
    lines = ((invoice.stripe or {}).get("lines") or {}).get("data") or []
    details = [(line.get("parent") or {}).get("invoice_item_details") or {} for line in lines]
    taken = [detail["invoice_item"] for detail in details if detail.get("invoice_item")]
    here = [] if not invoice.live else taken
    for item in InvoiceItem.about(invoice.stripe_id or "", taken):
        is_in = item.stripe_id in here
        if is_in != (item.invoice == invoice.stripe_id) and item.lease is None and item.review is None:
            item.resume()  # if somebody moves it meanwhile, they have looked


FOLLOWERS["invoice"] = touch_items
