"""Charges and refunds."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.objects.payments import disputes
from stripe_mongo_sync.emulator.objects.payments.cards import BY_LAST4, CODES, MESSAGES
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Flag, Metadata, OneOf, Ref, Text, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json

CHARGE = Resource(
    kind="charge",
    path="charges",
    prefix="ch_",
    defaults=blank(
        "application application_fee application_fee_amount balance_transaction calculated_statement_descriptor "
        "customer description failure_balance_transaction failure_code failure_message on_behalf_of outcome "
        "payment_intent payment_method payment_method_details receipt_email receipt_number receipt_url review "
        "shipping source_transfer statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
    )
    | {
        "amount": 0,
        "amount_captured": 0,
        "amount_refunded": 0,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": True,
        "currency": "usd",
        "disputed": False,
        "fraud_details": {},
        "metadata": {},
        "paid": True,
        "refunded": False,
        "status": "succeeded",
    },
    filters={"customer": same("customer"), "payment_intent": same("payment_intent")},
    expands={"customer": "customer", "payment_intent": "payment_intent"},
    events=(),
)


def charge(ctx: Effects, intent: Json, method: Json, reason: str = "", pending: bool = False) -> Json:
    """Create the charge of a payment intent: failed with a `reason`, or `pending` until a bank answers."""
    manual, status = intent["capture_method"] == "manual", "failed" if reason else "pending" if pending else "succeeded"
    made = ctx.make(
        "charge",
        **{name: intent[name] for name in ("amount", "currency", "customer", "description", "shipping", "metadata")},
        amount_captured=0 if manual or reason else intent["amount"],
        balance_transaction=None if manual or reason or pending else transaction(ctx),
        billing_details=method["billing_details"],
        captured=not manual and not reason,
        failure_code=(reason if reason in CODES else "card_declined") if reason else None,
        failure_message=_said(reason) if reason else None,
        outcome=_outcome(reason),
        paid=not reason,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_details(method),
        receipt_email=intent["receipt_email"],
        receipt_url=None if reason else f"https://pay.stripe.com/receipts/payment/{ctx.draw(24, 'base62')}",
        status=status,
    )
    ctx.announce(f"charge.{status}", made)
    return made


def transaction(ctx: Effects) -> str:
    """Return the id of a new balance transaction. The object that has it says what it moved (`ledger.py`)."""
    return "txn_" + ctx.draw(24, "base62")


def _said(reason: str) -> str:
    return CODES[reason][0] if reason in CODES else MESSAGES.get(reason, "Your card was declined.")


def _outcome(reason: str) -> Json:
    good: Json = blank("advice_code network_advice_code network_decline_code reason") | {
        "network_status": "approved_by_network",
        "risk_level": "normal",
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if not reason:
        return good
    why = {"network_status": "declined_by_network", "reason": reason, "type": "issuer_declined"}
    return good | why | {"seller_message": "The bank did not return any further details with this decline."}


def _details(method: Json) -> Json:
    """Return the `payment_method_details` of a charge."""
    if method["type"] == "card":
        return {"type": "card", "card": _seen(method["card"])}
    shown = ("bank_code", "branch_code", "country", "fingerprint", "last4")
    return {
        "type": "sepa_debit",
        "sepa_debit": {name: method["sepa_debit"][name] for name in shown} | {"mandate": None},
    }


def _seen(card: Json) -> Json:
    shown = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")
    return {name: card[name] for name in shown} | {
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "three_d_secure": None,
    }


def give_back(ctx: Effects, id: str, amount: int) -> None:
    """Add a refunded amount to a charge, and announce that."""
    paid = copy.deepcopy(ctx.need("charge", id))
    paid["amount_refunded"] += amount
    paid["refunded"] = paid["amount_refunded"] >= paid["amount"]
    ctx.keep("charge", paid)
    ctx.announce("charge.refunded", paid)


# refund


LATER = 3600  # seconds until the bank of a card that keeps no refund returns it


def _check(params: Json) -> None:
    if params.get("charge") is None and params.get("payment_intent") is None:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise Problem(400, message)


def _source(ctx: Effects, params: Json) -> Json:
    """Return the charge to refund. Raises Stripe's error if none can be refunded."""
    intent, id = params.get("payment_intent"), params.get("charge")
    if id is None:
        id = ctx.need("payment_intent", params["payment_intent"])["latest_charge"]
    paid = ctx.realm.find("charge", id) if id is not None else None
    if paid is None or paid["status"] != "succeeded" or (intent is not None and paid["payment_intent"] != intent):
        what = f"PaymentIntent ({intent})" if intent is not None else f"charge ({params['charge']})"
        param = "charge" if intent is None else "payment_intent"
        raise errors.invalid(f"This {what} does not have a successful charge to refund.", param)
    return paid


def _check_state(ctx: Effects, params: Json, refund: Json | None) -> None:
    if refund is not None:
        return
    paid = _source(ctx, params)
    disputes.refundable(ctx, paid["id"])
    left = paid["amount"] - paid["amount_refunded"]  # an amount that was not captured counts as refunded
    if left <= 0:
        raise Problem(400, f"Charge {paid['id']} has already been refunded.", code="charge_already_refunded")
    if params.get("amount") is not None and params["amount"] > left:
        raise errors.invalid(
            f"Refund amount ({money(params['amount'])}) is greater than unrefunded amount on charge ({money(left)})",
            "amount",
        )
    if not paid["captured"] and params.get("amount") not in (None, left):
        raise errors.invalid("You cannot partially refund an uncaptured charge.", "amount")


def money(cents: int) -> str:
    return f"${cents / 100:.2f}"


def _finish(ctx: Effects, params: Json, refund: Json) -> None:
    if "charge" not in params and "payment_intent" not in params:
        return  # an update
    paid = _source(ctx, params)
    refund |= {name: paid[name] for name in ("currency", "payment_intent", "customer", "payment_method")}
    refund["charge"] = paid["id"]
    refund["amount"] = params.get("amount") or paid["amount"] - paid["amount_refunded"]
    refund["balance_transaction"] = transaction(ctx)


def _after(ctx: Effects, params: Json, refund: Json) -> None:
    give_back(ctx, refund["charge"], refund["amount"])
    card = ctx.need("charge", refund["charge"])["payment_method_details"].get("card")
    if card is not None and BY_LAST4[card["last4"]].keeps:
        ctx.schedule(refund, ctx.second + LATER)


def _on_due(ctx: Effects, refund: Json) -> None:
    """Let a refund fail that succeeded: the bank returned it, and its amount is the charge's again."""
    old = copy.deepcopy(refund)
    failed = {"failure_reason": "expired_or_canceled_card", "failure_balance_transaction": transaction(ctx)}
    refund |= {"status": "failed", **failed}
    ctx.keep("refund", refund)
    paid = copy.deepcopy(ctx.need("charge", refund["charge"]))
    ctx.keep("charge", paid | {"amount_refunded": paid["amount_refunded"] - refund["amount"], "refunded": False})
    for type in ("refund.failed", "refund.updated", "charge.refund.updated"):
        ctx.announce(type, refund, old)


def _cancel(ctx: Effects, refund: Json, params: Json) -> Json:
    if refund["status"] != "requires_action":
        raise Problem(400, f"You cannot cancel a refund that has a status of {refund['status']}.")
    old = copy.deepcopy(refund)
    refund["status"] = "canceled"
    ctx.keep("refund", refund)
    for type in ("refund.updated", "charge.refund.updated"):
        ctx.announce(type, refund, old)
    return refund


REFUND_CREATE: Fields = {
    "amount": Whole(least=1, unset=False),
    "charge": Ref(kind="charge"),
    "currency": Currency(hidden=True),
    "metadata": Metadata(),
    "payment_intent": Ref(kind="payment_intent"),
    "reason": OneOf(values=("duplicate", "fraudulent", "requested_by_customer")),
    "reverse_transfer": Flag(hidden=True),
    "refund_application_fee": Flag(hidden=True),
}
REFUND = Resource(
    kind="refund",
    path="refunds",
    prefix="re_",
    has_livemode=False,
    create=REFUND_CREATE,
    update={"metadata": Metadata()},
    defaults=blank(
        "balance_transaction charge customer customer_account payment_intent payment_method reason receipt_number "
        "source_transfer_reversal transfer_reversal"
    )
    | {
        "amount": 0,
        "currency": "usd",
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "status": "succeeded",
    },
    filters={"charge": same("charge", Text()), "payment_intent": same("payment_intent")},
    expands={"charge": "charge", "payment_intent": "payment_intent", "customer": "customer"},
    events=("created", "updated"),
    extra_event={"updated": "charge.refund.updated"},
    check=_check,
    check_state=_check_state,
    finish=_finish,
    after=_after,
    on_due=_on_due,
    actions={"cancel": Action(_cancel)},
)
