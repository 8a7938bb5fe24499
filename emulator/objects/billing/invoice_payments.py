"""Invoice payments: the payment intent of an invoice, as the invoice shows it."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, same
from stripe_mongo_sync.emulator.protocol.fields import OneOf
from stripe_mongo_sync.emulator.protocol.wire import Json

INVOICE_PAYMENT = Resource(
    kind="invoice_payment",
    path="invoice_payments",
    prefix="inpay_",
    filters={"invoice": same("invoice"), "status": same("status", OneOf(values=("canceled", "open", "paid")))},
    expands={"invoice": "invoice"},
    events=(),
)
BILL, BILLED = "bill", "billed"  # tables: invoice -> its intent and payment; payment intent -> its invoice


def intent_of(ctx: Effects, invoice: Json) -> Json | None:
    bill = ctx.realm.table(BILL).get(invoice["id"])
    return copy.deepcopy(ctx.need("payment_intent", bill["intent"])) if bill is not None else None


def payments_of(ctx: Effects, invoice: Json) -> Json:
    """Return the value of `expand=payments`: at most one invoice payment."""
    intent, data = intent_of(ctx, invoice), []
    if intent is not None:
        paid = intent["status"] == "succeeded"
        made = {
            "id": ctx.realm.table(BILL)[invoice["id"]]["payment"],
            "object": "invoice_payment",
            "amount_paid": intent["amount_received"] if paid else None,
            "amount_requested": intent["amount"],
            "created": intent["created"],
            "currency": intent["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": invoice["livemode"],
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "paid" if paid else "canceled" if intent["status"] == "canceled" else "open",
            "status_transitions": {"canceled_at": intent["canceled_at"], "paid_at": ctx.second if paid else None},
        }
        data.append(made)
    url = f"/v1/invoice_payments?invoice={invoice['id']}"
    return {"object": "list", "data": data, "has_more": False, "url": url}


def secret_of(ctx: Effects, invoice: Json) -> Json | None:
    """Return the value of `expand=confirmation_secret`, with which a page lets the customer pay."""
    intent = intent_of(ctx, invoice)
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent is not None else None
