"""Payment intents: confirm, capture, cancel, and the outcome of a charge."""

from __future__ import annotations

import copy
from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.objects.payments import bank, cards, disputes, intents, money
from stripe_mongo_sync.emulator.objects.payments.charges import charge, give_back, transaction
from stripe_mongo_sync.emulator.objects.payments.intents import (
    CONFIRM_FIELDS,
    INTENT_FIELDS,
    METHOD,
    OPEN,
    RETURN,
    TYPES,
    unexpected,
)
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Currency, Email, Fields, Flag, Hash, Metadata, OneOf, Text, Whole
from stripe_mongo_sync.emulator.protocol.params import SHIPPING
from stripe_mongo_sync.emulator.protocol.wire import Json

# Minimum charge amounts that are not 50 (docs.stripe.com/currencies).
LEAST = {"gbp": 30, "jpy": 50, "sek": 300, "nok": 300, "dkk": 250, "czk": 1500, "huf": 17500, "hkd": 400}

# Called when an intent was paid or declined: (effects, intent, paid).
LISTENERS: list[Callable[[Effects, Json, bool], None]] = []


def confirm(ctx: Effects, intent: Json, params: Json) -> Json:
    """Charge the card, or wait for 3-D Secure. Raises a decline, after it is stored and announced."""
    if intent["status"] not in OPEN:
        raise unexpected(intent, "confirm")
    intents.redirects(intent["automatic_payment_methods"], "payment_intent", params)
    intent |= {name: params[name] for name in (*TYPES, *PAYMENT_FIELDS) if params.get(name) is not None}
    intent["payment_method_types"] = intent["allowed_payment_method_types"] or intent["payment_method_types"]
    method = intents.take_method(ctx, intent, params)
    if method["type"] == "sepa_debit":
        return bank.confirm(ctx, intent, method, params)
    card = cards.card_of(method)
    if card.asks and (params.get("off_session") or params.get("error_on_requires_action")):
        return fail(ctx, intent, method, "authentication_required")
    if card.asks:
        intents.ask(intent, params.get("return_url"))
        ctx.keep("payment_intent", intent)
        ctx.announce("payment_intent.requires_action", intent)
        return intent
    return pay(ctx, intent, method)


def pay(ctx: Effects, intent: Json, method: Json) -> Json:
    card = cards.card_of(method)
    if card.refused:
        return fail(ctx, intent, method, card.refused)
    made = charge(ctx, intent, method)
    manual = intent["capture_method"] == "manual"
    intent |= {"last_payment_error": None, "latest_charge": made["id"], "next_action": None}
    intent["status"] = "requires_capture" if manual else "succeeded"
    intent["amount_capturable" if manual else "amount_received"] = intent["amount"]
    if intent["setup_future_usage"] and intent["customer"]:
        cards.attach(ctx, method, intent["customer"])
    cards.spend(ctx, method)
    ctx.keep("payment_intent", intent)
    ctx.announce(f"payment_intent.{'amount_capturable_updated' if manual else 'succeeded'}", intent)
    if card.clears:
        money.earn(ctx, intent["currency"], intent["amount_received"])
    if not manual:
        _notify(ctx, intent, paid=True)
    if card.disputed and not manual:
        disputes.dispute(ctx, made["id"], reason=card.disputed, inquiry=card.inquiry)
    return intent


def fail(ctx: Effects, intent: Json, method: Json, reason: str) -> Json:
    """Raise the 402 of a declined card, after the intent is stored."""
    tried = charge(ctx, intent, method, reason)
    error = cards.refusal(reason, charge=tried["id"], payment_method=method)
    intent |= {"latest_charge": tried["id"], "next_action": None, "payment_method": None}
    intent |= {"last_payment_error": copy.deepcopy(error.error), "status": "requires_payment_method"}
    ctx.keep("payment_intent", intent)
    ctx.announce("payment_intent.payment_failed", intent)
    _notify(ctx, intent, paid=False)
    error.error["payment_intent"] = copy.deepcopy(intent)
    raise error


def _on_due(ctx: Effects, intent: Json) -> None:
    """Store a bank's answer to a debit."""
    paid = bank.debited(ctx, intent)
    if paid is not None:
        _notify(ctx, intent, paid)


def _notify(ctx: Effects, intent: Json, paid: bool) -> None:
    for listener in LISTENERS:
        listener(ctx, intent, paid)


def _capture(ctx: Effects, intent: Json, params: Json) -> Json:
    if intent["status"] != "requires_capture":
        raise unexpected(intent, "capture")
    amount = params.get("amount_to_capture") or intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        message = "The amount to capture must be less than or equal to the amount that is capturable."
        raise errors.invalid(message, "amount_to_capture", "amount_too_large")
    paid = copy.deepcopy(ctx.need("charge", intent["latest_charge"]))
    paid |= {"captured": True, "amount_captured": amount, "amount_refunded": paid["amount"] - amount}
    paid["balance_transaction"] = transaction(ctx)
    ctx.keep("charge", paid)
    ctx.announce("charge.captured", paid)
    intent |= {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
    intent["metadata"] |= params.get("metadata") or {}
    ctx.keep("payment_intent", intent)
    ctx.announce("payment_intent.succeeded", intent)
    return intent


def cancel(ctx: Effects, intent: Json, params: Json) -> Json:
    if intent["status"] not in (*OPEN, "requires_capture"):
        raise unexpected(intent, "cancel")
    if intent["status"] == "requires_capture" and intent["latest_charge"] is not None:
        give_back(ctx, intent["latest_charge"], intent["amount"])
    intent |= {"status": "canceled", "canceled_at": ctx.second, "amount_capturable": 0, "next_action": None}
    intent["cancellation_reason"] = params.get("cancellation_reason")
    ctx.keep("payment_intent", intent)
    ctx.announce("payment_intent.canceled", intent)
    return intent


def authenticated(ctx: Effects, intent: Json, agrees: bool) -> Json:
    """Continue after 3-D Secure. Raises the 402 if the cardholder refused."""
    method = copy.deepcopy(ctx.need("payment_method", intent["payment_method"]))
    if agrees:
        return pay(ctx, intent, method)
    return fail(ctx, intent, method, "authentication_required")


def _check(params: Json) -> None:
    intents.check_method(params)
    if params["amount"] < LEAST.get(params["currency"], 50):
        raise errors.invalid("Amount must be no less than the minimum charge amount.", "amount", "amount_too_small")
    errors.within(params["amount"], params["currency"], "amount")


def _check_state(ctx: Effects, params: Json, intent: Json | None) -> None:
    intents.state_check("payment_intent")(ctx, params, intent)
    if intent is not None:
        errors.within(params.get("amount"), params.get("currency") or intent["currency"], "amount")


def _after(ctx: Effects, params: Json, intent: Json) -> None:
    if params.get("confirm"):
        confirm(ctx, intent, {name: value for name, value in params.items() if name != "payment_method"})


PAYMENT_FIELDS: Fields = {
    "capture_method": OneOf(values=("automatic", "automatic_async", "manual")),
    "receipt_email": Email(),
    "setup_future_usage": OneOf(values=("off_session", "on_session")),
    "shipping": Hash(fields={**SHIPPING, "carrier": Text(), "tracking_number": Text()}),
}
OFF_SESSION_FIELDS: Fields = {"off_session": Flag(hidden=True), "error_on_requires_action": Flag(hidden=True)}
SHOWN: Fields = {
    **INTENT_FIELDS,
    **PAYMENT_FIELDS,
    "statement_descriptor": Text(longest=22),
    "statement_descriptor_suffix": Text(longest=22),
    "transfer_group": Text(),
}
AMOUNT = Whole(least=1)
REASON = OneOf(values=("duplicate", "fraudulent", "requested_by_customer", "abandoned"))
CREATE: Fields = {
    **SHOWN,
    **CONFIRM_FIELDS,
    **RETURN,
    **OFF_SESSION_FIELDS,
    **bank.mandate(new=True),
    "amount": Whole(least=1, required=True),
    "currency": Currency(required=True),
    "confirmation_method": OneOf(values=("automatic", "manual")),
}
PAYMENT_INTENT = Resource(
    kind="payment_intent",
    path="payment_intents",
    prefix="pi_",
    create=CREATE,
    update={**SHOWN, "amount": AMOUNT, "currency": Currency(unset=False)},
    defaults=blank(
        "allowed_payment_method_types application application_fee_amount canceled_at cancellation_reason "
        "client_secret customer customer_account description last_payment_error latest_charge next_action "
        "on_behalf_of payment_method processing receipt_email review setup_future_usage shipping "
        "statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
    )
    | {
        "amount": 0,
        "amount_capturable": 0,
        "amount_received": 0,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
        "currency": "usd",
        "metadata": {},
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    },
    filters={"customer": same("customer"), "customer_account": same("customer_account")},
    expands={"customer": "customer", "payment_method": "payment_method", "latest_charge": "charge"},
    events=("created",),
    check=_check,
    check_state=_check_state,
    finish=intents.finish,
    after=_after,
    on_due=_on_due,
    actions={
        "confirm": Action(
            intents.by_caller(confirm, "confirm"), {**METHOD, **TYPES, **PAYMENT_FIELDS, **RETURN, **OFF_SESSION_FIELDS}
        ),
        "capture": Action(_capture, {"amount_to_capture": AMOUNT, "metadata": Metadata()}),
        "cancel": Action(intents.by_caller(cancel, "cancel"), {"cancellation_reason": REASON}),
    },
)
