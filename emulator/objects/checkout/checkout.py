"""Checkout sessions: a payment page of Stripe's, which the buyer completes or which expires."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.objects.checkout import totals
from stripe_mongo_sync.emulator.objects.checkout.purchases import CARD_ONLY
from stripe_mongo_sync.emulator.objects.payments import payments, setups
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Email,
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import ADDRESS, SHIPPING
from stripe_mongo_sync.emulator.protocol.values import LOCALES, METHODS_OF_SESSIONS
from stripe_mongo_sync.emulator.protocol.wire import Json

DAY = 86_400
SOONEST = 30 * 60  # seconds from now to the earliest end of a session


def _check(params: Json) -> None:
    mode = params.get("mode")
    if mode is None:
        raise errors.missing("mode")
    if params.get("success_url") is None:
        raise errors.missing("success_url")
    if mode == "setup":
        if params.get("line_items"):
            raise errors.invalid("You can not pass `line_items` in `setup` mode.", "line_items")
    elif not params.get("line_items"):
        raise errors.missing("line_items")
    if params.get("customer") is not None and params.get("customer_email") is not None:
        raise errors.both("customer", "customer_email")
    for name, only in (("payment_intent_data", "payment"), ("setup_intent_data", "setup")):
        if params.get(name) is not None and mode != only:
            raise errors.invalid(f"You can not pass `{name}` in `{mode}` mode.", name)
    if params.get("subscription_data") is not None and mode != "subscription":
        raise errors.invalid(f"You can not pass `subscription_data` in `{mode}` mode.", "subscription_data")
    lines.check(params.get("line_items") or [], "payment")
    totals.check(params)


def _check_state(ctx: Effects, params: Json, session: Json | None) -> None:
    if session is not None:
        return
    given = params.get("line_items") or []
    lines.check_state(ctx, given, params["mode"], params.get("currency"))
    if given:
        totals.check_state(ctx, params, params.get("currency") or lines.currency_of(ctx, given[0]))
    ends = params.get("expires_at")
    if ends is not None and not ctx.second + SOONEST <= ends <= ctx.second + DAY:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise errors.invalid(message, "expires_at")


def _finish(ctx: Effects, params: Json, session: Json) -> None:
    if "mode" not in params:
        return  # an update
    session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
    session["expires_at"] = session["expires_at"] or ctx.second + DAY
    session["payment_method_types"] = params.get("allowed_payment_method_types") or ["card"]
    ctx.schedule(session, session["expires_at"])
    if session["mode"] == "setup":
        given = params.get("setup_intent_data") or {}
        wanted = {name: given[name] for name in ("description", "metadata") if given.get(name) is not None}
        intent = ctx.create("setup_intent", {**wanted, **CARD_ONLY, "customer": session["customer"]})
        session |= {"setup_intent": intent["id"], "payment_status": "no_payment_required"}
        return
    made = lines.items(ctx, params["line_items"])
    lines.keep(ctx, session["id"], made)
    session["currency"] = made[0]["currency"]
    totals.finish(ctx, params, session)
    plans = {name: params.get(name) for name in ("payment_intent_data", "subscription_data")}
    ctx.realm.put("plans", session["id"], plans)  # used when the buyer pays


def _expire(ctx: Effects, session: Json, params: Json) -> Json:
    if session["status"] != "open":
        raise Problem(
            400,
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"{session['status']}.",
        )
    return _close(ctx, session)


def _close(ctx: Effects, session: Json) -> Json:
    session |= {"status": "expired", "url": None}
    ctx.schedule(session, None)
    ctx.keep("checkout.session", session)
    for kind, cancel in (("payment_intent", payments.cancel), ("setup_intent", setups.cancel)):
        if session[kind] is not None:  # the expired session was its only use
            cancel(ctx, copy.deepcopy(ctx.need(kind, session[kind])), {"cancellation_reason": "abandoned"})
    ctx.announce("checkout.session.expired", session)
    return session


def _on_due(ctx: Effects, session: Json) -> None:
    if session["status"] == "open":
        _close(ctx, session)


PAYMENT_DATA: Fields = {
    "capture_method": OneOf(values=("automatic", "automatic_async", "manual")),
    "description": Text(longest=1000),
    "metadata": Metadata(),
    "receipt_email": Email(),
    "setup_future_usage": OneOf(values=("off_session", "on_session")),
    "shipping": Hash(
        fields={**SHIPPING, "address": Hash(fields={**ADDRESS, "line1": Text(required=True)}, required=True)}
    ),
    "statement_descriptor": Text(longest=22),
    "statement_descriptor_suffix": Text(longest=22),
    "transfer_group": Text(),
}
SUBSCRIPTION_DATA: Fields = {
    "description": Text(longest=500),
    "metadata": Metadata(),
    "trial_period_days": Whole(least=1, most=730),
}
CREATE: Fields = {
    "allow_promotion_codes": Flag(),
    "allowed_payment_method_types": Many(each=OneOf(values=METHODS_OF_SESSIONS)),
    "billing_address_collection": OneOf(values=("auto", "required")),
    "cancel_url": Text(),
    "client_reference_id": Text(longest=200),
    "currency": Currency(),
    "customer": Ref(kind="customer"),
    "customer_creation": OneOf(values=("always", "if_required")),
    "customer_email": Email(),
    "expires_at": Time(),
    "line_items": Many(each=Hash(fields=lines.LINE, fill=False), most=100, hidden=True),
    "locale": OneOf(values=LOCALES),
    "metadata": Metadata(),
    "mode": OneOf(values=("payment", "setup", "subscription")),
    "payment_intent_data": Hash(fields=PAYMENT_DATA, fill=False, hidden=True),
    "setup_intent_data": Hash(
        fields={"description": Text(longest=1000), "metadata": Metadata()}, fill=False, hidden=True
    ),
    "submit_type": OneOf(values=("auto", "book", "donate", "pay", "subscribe")),
    "subscription_data": Hash(fields=SUBSCRIPTION_DATA, fill=False, hidden=True),
    "success_url": Text(),
}
SESSION = Resource(
    kind="checkout.session",
    path="checkout/sessions",
    prefix="cs_{mode}_",
    width=58,
    create=CREATE,
    update={"metadata": Metadata()},
    defaults=blank(
        "after_expiration allow_promotion_codes allowed_payment_method_types amount_subtotal amount_total "
        "billing_address_collection cancel_url client_reference_id client_secret consent consent_collection currency "
        "currency_conversion customer customer_account customer_creation customer_details customer_email expires_at "
        "invoice invoice_creation locale payment_intent payment_link payment_method_collection recovered_from "
        "setup_intent shipping_address_collection shipping_cost submit_type subscription success_url total_details url"
    )
    | {
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "custom_fields": [],
        "discounts": [],
        "custom_text": blank("after_submit shipping_address submit terms_of_service_acceptance"),
        "metadata": {},
        "mode": "payment",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "ui_mode": "hosted_page",
    },
    filters={
        **{name: same(name) for name in ("customer", "customer_account", "payment_intent", "payment_link")},
        "customer_details": Filter(
            Hash(fields={"email": Text(required=True)}),
            lambda session, who: bool((session["customer_details"] or {}).get("email") == who["email"]),
        ),
        "status": same("status", OneOf(values=("complete", "expired", "open"))),
        "subscription": same("subscription"),
    },
    expands={name: name for name in ("customer", "payment_intent", "setup_intent", "subscription", "invoice")},
    includes={"line_items": lines.expanded_items},
    events=(),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    on_due=_on_due,
    lists={"line_items": lines.of},
    actions={"expire": Action(_expire)},
)
