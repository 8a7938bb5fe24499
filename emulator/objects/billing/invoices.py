"""The transitions of invoices: finalize, pay, send, void, mark as uncollectible."""

from __future__ import annotations

import copy
from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import BILL, BILLED, intent_of, payments_of
from stripe_mongo_sync.emulator.objects.billing.invoice_shape import line, set_lines, subscription_of
from stripe_mongo_sync.emulator.objects.payments import balances, cards, payments
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json

HOUR = 3600  # seconds until Stripe advances a draft or an open invoice automatically
# Called when an invoice was paid or a payment failed: (effects, invoice, paid).
LISTENERS: list[Callable[[Effects, Json, bool], None]] = []


def change(ctx: Effects, invoice: Json, old: Json, *types: str) -> Json:
    """Store an invoice, and announce `invoice.updated` and these types."""
    ctx.keep("invoice", invoice)
    ctx.announce("invoice.updated", invoice, old)
    for type in types:
        ctx.announce(f"invoice.{type}", invoice)
    return invoice


def update_lines(ctx: Effects, invoice: Json) -> None:
    """Compute the lines of a draft and their sum from its items."""
    own = [item for item in ctx.realm.all("invoiceitem") if item["invoice"] == invoice["id"]]
    kept = [each for each in invoice["lines"]["data"] if each["parent"]["invoice_item_details"] is None]
    set_lines(invoice, kept + [line(ctx, invoice, item) for item in own])


def gather(ctx: Effects, invoice: Json) -> None:
    """Add the customer's pending items to a draft. Those of a subscription wait for an invoice of it."""
    own = ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")
    for item in ctx.realm.all("invoiceitem"):
        of = subscription_of(item)
        if item["customer"] == invoice["customer"] and item["invoice"] is None and of in (None, own):
            ctx.keep("invoiceitem", {**item, "invoice": invoice["id"]})


def wrong_status(invoice: Json, verb: str, code: str | None = None) -> Problem:
    message = f"You can't {verb} this invoice: it has a status of {invoice['status']}."
    return Problem(400, message, code=code)


def finalize(ctx: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] != "draft":
        message = f"This invoice is already finalized, you can't re-finalize a non-draft invoice: {invoice['status']}."
        raise Problem(400, message, code="invoice_not_editable")
    old = copy.deepcopy(invoice)
    customer = copy.deepcopy(ctx.need("customer", invoice["customer"]))
    if invoice["number"] is None:
        invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        counted = {**customer, "next_invoice_sequence": customer["next_invoice_sequence"] + 1}
        ctx.keep("customer", counted)
        ctx.announce("customer.updated", counted, customer)
    if params.get("auto_advance") is not None:
        invoice["auto_advance"] = params["auto_advance"]
    shown = {name: customer[name] for name in ("address", "email", "name", "phone", "shipping", "tax_exempt")}
    invoice |= {f"customer_{name}": value for name, value in shown.items()}
    page = f"https://invoice.stripe.com/i/{invoice['id']}"
    invoice |= {"hosted_invoice_url": page, "invoice_pdf": f"{page}/pdf", "status": "open"}
    invoice["effective_at"] = invoice["effective_at"] or ctx.second
    invoice["status_transitions"]["finalized_at"] = ctx.second
    _apply_balance(ctx, invoice)
    if invoice["amount_due"] > 0:
        _bill(ctx, invoice)
    change(ctx, invoice, old, "finalized")
    if invoice["amount_due"] <= 0:
        return settle(ctx, invoice)
    ctx.schedule(invoice, ctx.second + HOUR if _advances(invoice) else None)
    return invoice


def _apply_balance(ctx: Effects, invoice: Json) -> None:
    """Let the customer's credit pay what is due, or add what the customer owes; a negative total becomes credit."""
    before = balances.balance(ctx, invoice["customer"], invoice["currency"])
    used = min(invoice["total"], 0) or min(invoice["amount_due"], -before)
    due = invoice["amount_due"] - used if invoice["total"] >= 0 else 0
    invoice |= {"starting_balance": before, "ending_balance": before + used}
    invoice |= {"amount_due": due, "amount_remaining": due}
    _move_balance(ctx, invoice, used, "applied_to_invoice")


def _move_balance(ctx: Effects, invoice: Json, amount: int, type: str) -> None:
    if amount:
        balances.move(ctx, invoice["customer"], amount, invoice["currency"], type, invoice=invoice["id"])


def _advances(invoice: Json) -> bool:
    return bool(invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically")


def _bill(ctx: Effects, invoice: Json) -> None:
    """Create the payment intent of an invoice."""
    wanted = {name: invoice[name] for name in ("currency", "customer")} | {"amount": invoice["amount_due"]}
    wanted["automatic_payment_methods"] = {"allow_redirects": "never", "enabled": True}
    if invoice["parent"] is not None:
        wanted["setup_future_usage"] = "off_session"  # the next invoice is charged without the customer
    intent = ctx.create("payment_intent", wanted)["id"]
    payment = "inpay_" + ctx.draw(24, "base62")
    ctx.realm.put(BILL, invoice["id"], {"intent": intent, "payment": payment})
    ctx.realm.put(BILLED, intent, {"invoice": invoice["id"]})


def payer(ctx: Effects, invoice: Json) -> str | None:
    """Return the payment method to charge: the invoice's, its subscription's or the customer's default; or None."""
    details = (invoice["parent"] or {}).get("subscription_details") or {"subscription": ""}
    owner = ctx.realm.find("subscription", details["subscription"]) or {}
    customer = ctx.realm.find("customer", invoice["customer"]) or {"invoice_settings": {}}
    mine = customer["invoice_settings"].get("default_payment_method") or customer.get("default_source")
    found: str | None = invoice["default_payment_method"] or owner.get("default_payment_method") or mine
    return found


def pay(ctx: Effects, invoice: Json, params: Json) -> Json:
    """Charge an invoice. Raises a decline, after it is stored on the invoice and its subscription."""
    if invoice["status"] == "draft":
        invoice = copy.deepcopy(finalize(ctx, invoice, {}))
        if invoice["status"] == "paid":
            return invoice
    if invoice["status"] == "paid":
        raise Problem(400, "Invoice is already paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise wrong_status(invoice, "pay")
    if params.get("paid_out_of_band"):
        _release(ctx, invoice)
        return settle(ctx, invoice, off_stripe=True)
    method = params.get("payment_method") or payer(ctx, invoice)
    if method is None:
        raise Problem(
            400,
            "There is no `default_payment_method` set on this Customer or Invoice. Please set either a "
            "`default_payment_method` on this Customer or Invoice, or provide the ID of a PaymentMethod belonging to "
            "this Customer as `payment_method`.",
        )
    if params.get("payment_method") is not None:
        cards.belongs(ctx, method, invoice["customer"], "payment_method")
    if intent_of(ctx, invoice) is None:  # a test inserted it
        _bill(ctx, invoice)
    intent = intent_of(ctx, invoice)
    if intent is None:
        raise LookupError("an open invoice has a payment intent")
    how = {"payment_method": method, "off_session": params.get("off_session")}
    if payments.confirm(ctx, intent, how)["status"] == "requires_action":
        ctx.announce("invoice.payment_action_required", invoice)
        raise Problem(
            402,
            "This payment requires additional user action before it can be completed successfully. Payment can be "
            "completed using the PaymentIntent associated with the invoice.",
            code="invoice_payment_intent_requires_action",
            type="card_error",
            about={"payment_intent": intent},
        )
    return ctx.need("invoice", invoice["id"])


def settle(ctx: Effects, invoice: Json, off_stripe: bool = False) -> Json:
    """Mark an invoice as paid."""
    old, due = copy.deepcopy(invoice), invoice["amount_due"]
    invoice |= {"status": "paid", "amount_remaining": 0, "amount_paid": due, "auto_advance": False}
    invoice |= {"attempted": True, "next_payment_attempt": None, "amount_paid_off_stripe": due if off_stripe else 0}
    invoice["attempt_count"] += 1 if due and not off_stripe else 0
    invoice["status_transitions"]["paid_at"] = ctx.second
    ctx.schedule(invoice, None)
    change(ctx, invoice, old, "paid", "payment_succeeded")
    if intent_of(ctx, invoice) is not None and not off_stripe:
        payment = payments_of(ctx, invoice)["data"][0]
        ctx.keep("invoice_payment", payment)
        ctx.announce("invoice_payment.paid", payment)
    for listener in LISTENERS:
        listener(ctx, invoice, True)
    return invoice


def _on_payment(ctx: Effects, intent: Json, paid: bool) -> None:
    """Store the outcome of a payment intent on its invoice."""
    billed = ctx.realm.table(BILLED).get(intent["id"])
    if billed is None:
        return
    invoice = copy.deepcopy(ctx.need("invoice", billed["invoice"]))
    if paid:
        settle(ctx, invoice)
        return
    failed(ctx, invoice)


def failed(ctx: Effects, invoice: Json) -> None:
    """Store a failed payment on an invoice."""
    old = copy.deepcopy(invoice)
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    change(ctx, invoice, old, "payment_failed")
    for listener in LISTENERS:
        listener(ctx, invoice, False)


payments.LISTENERS.append(_on_payment)


def _release(ctx: Effects, invoice: Json) -> None:
    """Cancel the open payment intent of an invoice."""
    intent = intent_of(ctx, invoice)
    if intent is not None and intent["status"] not in ("succeeded", "canceled"):
        payments.cancel(ctx, intent, {"cancellation_reason": "void_invoice"})
    ctx.schedule(invoice, None)


def send(ctx: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] == "draft":
        invoice = copy.deepcopy(finalize(ctx, invoice, {}))
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise wrong_status(invoice, "send")
    ctx.announce("invoice.sent", invoice)
    return invoice


def void(ctx: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] not in ("open", "uncollectible"):
        raise wrong_status(invoice, "void")
    old = copy.deepcopy(invoice)
    _release(ctx, invoice)
    _move_balance(ctx, invoice, invoice["starting_balance"] - invoice["ending_balance"], "unapplied_from_invoice")
    invoice |= {"status": "void", "auto_advance": False}
    invoice["status_transitions"]["voided_at"] = ctx.second
    return change(ctx, invoice, old, "voided")


def mark_uncollectible(ctx: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] != "open":
        raise wrong_status(invoice, "mark as uncollectible")
    old = copy.deepcopy(invoice)
    ctx.schedule(invoice, None)
    invoice |= {"status": "uncollectible", "auto_advance": False}
    invoice["status_transitions"]["marked_uncollectible_at"] = ctx.second
    return change(ctx, invoice, old, "marked_uncollectible")
