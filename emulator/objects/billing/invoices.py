"""Invoices: a draft gathers items, is finalized into something to pay, and is paid, voided or given up."""

from __future__ import annotations

import copy
from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import BILL, BILLED, intent_of, payments_of
from stripe_mongo_sync.emulator.objects.billing.invoice_shape import line, summed
from stripe_mongo_sync.emulator.objects.payments import cards, payments
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json

HOUR = 3600  # how long Stripe waits before it advances a draft or an open invoice by itself
# Who wants to know whether an invoice was paid: (act, invoice, paid).
WATCHERS: list[Callable[[Effects, Json, bool], None]] = []


def change(act: Effects, invoice: Json, old: Json, *types: str) -> Json:
    """Keep it, and announce the change and what it means."""
    act.keep("invoice", invoice)
    act.announce("invoice.updated", invoice, old)
    for type in types:
        act.announce(f"invoice.{type}", invoice)
    return invoice


def owed(act: Effects, invoice: Json) -> None:
    """Gather the lines of a draft again from its items, and add them up."""
    own = [item for item in act.realm.all("invoiceitem") if item["invoice"] == invoice["id"]]
    kept = [each for each in invoice["lines"]["data"] if each["parent"]["invoice_item_details"] is None]
    summed(invoice, kept + [line(act, invoice, item) for item in own])


def gather(act: Effects, invoice: Json) -> None:
    """Take the customer's pending items into a draft."""
    for item in act.realm.all("invoiceitem"):
        if item["customer"] == invoice["customer"] and item["invoice"] is None:
            act.keep("invoiceitem", {**item, "invoice": invoice["id"]})


def refused(invoice: Json, verb: str, code: str | None = None) -> Problem:
    message = f"You can't {verb} this invoice: it has a status of {invoice['status']}."
    return Problem(400, message, code=code)


def finalize(act: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] != "draft":
        message = f"This invoice is already finalized, you can't re-finalize a non-draft invoice: {invoice['status']}."
        raise Problem(400, message, code="invoice_not_editable")
    old = copy.deepcopy(invoice)
    customer = copy.deepcopy(act.need("customer", invoice["customer"]))
    if invoice["number"] is None:
        invoice["number"] = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        counted = {**customer, "next_invoice_sequence": customer["next_invoice_sequence"] + 1}
        act.keep("customer", counted)
        act.announce("customer.updated", counted, customer)
    if params.get("auto_advance") is not None:
        invoice["auto_advance"] = params["auto_advance"]
    shown = {name: customer[name] for name in ("address", "email", "name", "phone", "shipping", "tax_exempt")}
    invoice |= {f"customer_{name}": value for name, value in shown.items()}
    page = f"https://invoice.stripe.com/i/{invoice['id']}"
    invoice |= {"hosted_invoice_url": page, "invoice_pdf": f"{page}/pdf", "status": "open", "ending_balance": 0}
    invoice["effective_at"] = invoice["effective_at"] or act.second
    invoice["status_transitions"]["finalized_at"] = act.second
    if invoice["amount_due"] > 0:
        _bill(act, invoice)
    change(act, invoice, old, "finalized")
    if invoice["amount_due"] <= 0:
        return settle(act, invoice)
    act.wake(invoice, act.second + HOUR if _advances(invoice) else None)
    return invoice


def _advances(invoice: Json) -> bool:
    return bool(invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically")


def _bill(act: Effects, invoice: Json) -> None:
    """A finalized invoice has a payment intent of its own."""
    wanted = {name: invoice[name] for name in ("currency", "customer")} | {"amount": invoice["amount_due"]}
    wanted["automatic_payment_methods"] = {"allow_redirects": "never", "enabled": True}
    if invoice["parent"] is not None:
        wanted["setup_future_usage"] = "off_session"  # the next one will be taken without the customer
    intent = act.create("payment_intent", wanted)["id"]
    payment = "inpay_" + act.draw(24, "base62")
    act.realm.put(BILL, invoice["id"], {"intent": intent, "payment": payment})
    act.realm.put(BILLED, intent, {"invoice": invoice["id"]})


def payer(act: Effects, invoice: Json) -> str | None:
    """The method to charge: the invoice's, else its subscription's, else the customer's."""
    details = (invoice["parent"] or {}).get("subscription_details") or {"subscription": ""}
    owner = act.realm.find("subscription", details["subscription"]) or {}
    customer = act.realm.find("customer", invoice["customer"]) or {"invoice_settings": {}}
    mine = customer["invoice_settings"].get("default_payment_method") or customer.get("default_source")
    found: str | None = invoice["default_payment_method"] or owner.get("default_payment_method") or mine
    return found


def pay(act: Effects, invoice: Json, params: Json) -> Json:
    """Charge for it now; a decline raises, after the invoice and its subscription have taken note."""
    if invoice["status"] == "draft":
        invoice = copy.deepcopy(finalize(act, invoice, {}))
        if invoice["status"] == "paid":
            return invoice
    if invoice["status"] == "paid":
        raise Problem(400, "Invoice is already paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise refused(invoice, "pay")
    if params.get("paid_out_of_band"):
        _release(act, invoice)
        return settle(act, invoice, off_stripe=True)
    method = params.get("payment_method") or payer(act, invoice)
    if method is None:
        raise Problem(
            400,
            "There is no `default_payment_method` set on this Customer or Invoice. Please set either a "
            "`default_payment_method` on this Customer or Invoice, or provide the ID of a PaymentMethod belonging to "
            "this Customer as `payment_method`.",
        )
    if params.get("payment_method") is not None:
        cards.belongs(act, method, invoice["customer"], "payment_method")
    if intent_of(act, invoice) is None:  # a test inserted it
        _bill(act, invoice)
    intent = intent_of(act, invoice)
    if intent is None:
        raise LookupError("an open invoice has a payment intent")
    how = {"payment_method": method, "off_session": params.get("off_session")}
    if payments.confirm(act, intent, how)["status"] == "requires_action":
        act.announce("invoice.payment_action_required", invoice)
        raise Problem(
            402,
            "This payment requires additional user action before it can be completed successfully. Payment can be "
            "completed using the PaymentIntent associated with the invoice.",
            code="invoice_payment_intent_requires_action",
            type="card_error",
            about={"payment_intent": intent},
        )
    return act.need("invoice", invoice["id"])


def settle(act: Effects, invoice: Json, off_stripe: bool = False) -> Json:
    """It is paid."""
    old, due = copy.deepcopy(invoice), invoice["amount_due"]
    invoice |= {"status": "paid", "amount_remaining": 0, "amount_paid": due, "auto_advance": False}
    invoice |= {"attempted": True, "next_payment_attempt": None, "amount_paid_off_stripe": due if off_stripe else 0}
    invoice["attempt_count"] += 1 if due and not off_stripe else 0
    invoice["status_transitions"]["paid_at"] = act.second
    act.wake(invoice, None)
    change(act, invoice, old, "paid", "payment_succeeded")
    if intent_of(act, invoice) is not None and not off_stripe:
        payment = payments_of(act, invoice)["data"][0]
        act.keep("invoice_payment", payment)
        act.announce("invoice_payment.paid", payment)
    for told in WATCHERS:
        told(act, invoice, True)
    return invoice


def _watch(act: Effects, intent: Json, paid: bool) -> None:
    """A payment intent was paid or declined: so was the invoice it is for."""
    billed = act.realm.table(BILLED).get(intent["id"])
    if billed is None:
        return
    invoice = copy.deepcopy(act.need("invoice", billed["invoice"]))
    if paid:
        settle(act, invoice)
        return
    failed(act, invoice)


def failed(act: Effects, invoice: Json) -> None:
    """Nobody could be charged."""
    old = copy.deepcopy(invoice)
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    change(act, invoice, old, "payment_failed")
    for told in WATCHERS:
        told(act, invoice, False)


payments.WATCHERS.append(_watch)


def _release(act: Effects, invoice: Json) -> None:
    """Nobody needs to pay any more."""
    intent = intent_of(act, invoice)
    if intent is not None and intent["status"] not in ("succeeded", "canceled"):
        payments.cancel(act, intent, {"cancellation_reason": "void_invoice"})
    act.wake(invoice, None)


def send(act: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] == "draft":
        invoice = copy.deepcopy(finalize(act, invoice, {}))
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise refused(invoice, "send")
    act.announce("invoice.sent", invoice)
    return invoice


def void(act: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] not in ("open", "uncollectible"):
        raise refused(invoice, "void")
    old = copy.deepcopy(invoice)
    _release(act, invoice)
    invoice |= {"status": "void", "auto_advance": False}
    invoice["status_transitions"]["voided_at"] = act.second
    return change(act, invoice, old, "voided")


def mark_uncollectible(act: Effects, invoice: Json, params: Json) -> Json:
    if invoice["status"] != "open":
        raise refused(invoice, "mark as uncollectible")
    old = copy.deepcopy(invoice)
    act.wake(invoice, None)
    invoice |= {"status": "uncollectible", "auto_advance": False}
    invoice["status_transitions"]["marked_uncollectible_at"] = act.second
    return change(act, invoice, old, "marked_uncollectible")
