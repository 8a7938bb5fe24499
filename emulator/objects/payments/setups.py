"""Setup intents, which save a payment method without a charge."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.objects.payments import cards, intents
from stripe_mongo_sync.emulator.objects.payments.intents import (
    CONFIRM_FIELDS,
    INTENT_FIELDS,
    METHOD,
    OPEN,
    RETURN,
    unexpected,
)
from stripe_mongo_sync.emulator.protocol.fields import Fields, OneOf
from stripe_mongo_sync.emulator.protocol.wire import Json


def confirm(ctx: Effects, intent: Json, params: Json) -> Json:
    if intent["status"] not in OPEN:
        raise unexpected(intent, "confirm")
    intents.redirects(intent["automatic_payment_methods"], "setup_intent", params)
    method = intents.take_method(ctx, intent, params)
    card = cards.card_of(method)
    if card.asks:
        intents.ask(intent, params.get("return_url"))
        ctx.keep("setup_intent", intent)
        ctx.announce("setup_intent.requires_action", intent)
        return intent
    return _save(ctx, intent, method)


def _save(ctx: Effects, intent: Json, method: Json) -> Json:
    card = cards.card_of(method)
    if card.refused and not card.attaches:
        return _fail(ctx, intent, method, card.refused)
    intent |= {"last_setup_error": None, "next_action": None, "status": "succeeded"}
    if intent["customer"]:
        cards.attach(ctx, method, intent["customer"])
    ctx.keep("setup_intent", intent)
    ctx.announce("setup_intent.succeeded", intent)
    return intent


def _fail(ctx: Effects, intent: Json, method: Json, reason: str) -> Json:
    """Raise the 402 of a declined card, after the intent is stored."""
    error = cards.refusal(reason, payment_method=method)
    intent |= {"next_action": None, "payment_method": None, "status": "requires_payment_method"}
    intent["last_setup_error"] = copy.deepcopy(error.error)
    ctx.keep("setup_intent", intent)
    ctx.announce("setup_intent.setup_failed", intent)
    error.error["setup_intent"] = copy.deepcopy(intent)
    raise error


def authenticated(ctx: Effects, intent: Json, agrees: bool) -> Json:
    """Continue after 3-D Secure. Raises the 402 if the cardholder refused."""
    method = copy.deepcopy(ctx.need("payment_method", intent["payment_method"]))
    if agrees:
        return _save(ctx, intent, method)
    return _fail(ctx, intent, method, "authentication_required")


def cancel(ctx: Effects, intent: Json, params: Json) -> Json:
    if intent["status"] not in OPEN:
        raise unexpected(intent, "cancel")
    intent |= {"status": "canceled", "next_action": None, "cancellation_reason": params.get("cancellation_reason")}
    ctx.keep("setup_intent", intent)
    ctx.announce("setup_intent.canceled", intent)
    return intent


def _after(ctx: Effects, params: Json, intent: Json) -> None:
    if params.get("confirm"):
        confirm(ctx, intent, {name: value for name, value in params.items() if name != "payment_method"})


CREATE: Fields = {**INTENT_FIELDS, **CONFIRM_FIELDS, **RETURN, "usage": OneOf(values=("off_session", "on_session"))}
REASON = OneOf(values=("abandoned", "requested_by_customer", "duplicate"))
SETUP_INTENT = Resource(
    kind="setup_intent",
    path="setup_intents",
    prefix="seti_",
    label="setupintent",
    create=CREATE,
    update=INTENT_FIELDS,
    defaults=blank(
        "allowed_payment_method_types application cancellation_reason client_secret customer customer_account "
        "description flow_directions last_setup_error latest_attempt mandate next_action on_behalf_of payment_method "
        "single_use_mandate"
    )
    | {
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "metadata": {},
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        "usage": "off_session",
    },
    filters={name: same(name) for name in ("customer", "customer_account", "payment_method")},
    expands={"customer": "customer", "payment_method": "payment_method"},
    events=("created",),
    check=intents.check_method,
    check_state=intents.state_check("setup_intent"),
    finish=intents.finish,
    after=_after,
    actions={
        "confirm": Action(intents.by_caller(confirm, "confirm"), {**METHOD, **RETURN}),
        "cancel": Action(intents.by_caller(cancel, "cancel"), {"cancellation_reason": REASON}),
    },
)
