"""Subscriptions: the row of the type, and the calls that create, change and end one."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.objects.payments import cards
from stripe_mongo_sync.emulator.objects.subscriptions import changes, prorations, renewals, subscription_items
from stripe_mongo_sync.emulator.objects.subscriptions.renewals import OVER, change
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import (
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    Moment,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.wire import Json

DAY = 86_400
FIRST_PAYMENT_TIMEOUT = 23 * 3600  # seconds until an unpaid subscription becomes incomplete_expired


def _check(params: Json) -> None:
    for name in ("customer", "items"):
        if not params.get(name):
            raise errors.missing(name)
    lines.check(params["items"], "subscription", "items")
    if params.get("trial_end") is not None and params.get("trial_period_days") is not None:
        raise errors.both("trial_end", "trial_period_days")
    if params.get("payment_behavior") == "pending_if_incomplete":
        message = "`pending_if_incomplete` is only for updates of a subscription."
        raise errors.invalid(message, "payment_behavior")
    sent = params.get("collection_method") == "send_invoice"
    if sent != (params.get("days_until_due") is not None):
        message = "`days_until_due` must be set when, and only when, `collection_method` is `send_invoice`."
        raise errors.invalid(message, "days_until_due")


def _check_state(ctx: Effects, params: Json, subscription: Json | None) -> None:
    others = params.keys() - {"metadata", "cancellation_details"}
    if subscription is not None and subscription["status"] in OVER and others:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise errors.invalid(message, min(others))
    customer = (subscription or params)["customer"]
    if params.get("default_payment_method") is not None:
        cards.belongs(ctx, params["default_payment_method"], customer, "default_payment_method")
    if subscription is not None:
        _check_change(ctx, params, subscription)
        return
    subscription_items.prices(ctx, params["items"])
    first = {"parent": None, "default_payment_method": params.get("default_payment_method"), "customer": customer}
    total = sum(subscription_items.cost(ctx, line) for line in params["items"])
    free = _trial_end(ctx, params) is not None or not total
    behavior = params.get("payment_behavior") or "allow_incomplete"
    if free or behavior == "default_incomplete" or params.get("collection_method") == "send_invoice":
        return
    method = invoices.payer(ctx, first)
    if method is None:
        raise Problem(
            400,
            "This customer has no attached payment source or default payment method. Please consider adding a default "
            "payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/"
            "payment-methods-setting#payment-method-priority.",
            code="resource_missing",
        )
    card = cards.card_of(ctx.need("payment_method", method))
    if behavior == "error_if_incomplete" and (card.refused or card.asks):
        raise cards.refusal(card.refused or "authentication_required")


def _check_change(ctx: Effects, params: Json, subscription: Json) -> None:
    if subscription["schedule"] is not None and params.keys() & {"cancel_at", "cancel_at_period_end"}:
        message = f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and "
        message += "updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        raise Problem(400, message)
    at = params.get("cancel_at")
    if isinstance(at, int) and at <= ctx.second:
        raise errors.invalid("`cancel_at` must be in the future.", "cancel_at")
    subscription_items.check_state(ctx, params, subscription)
    changes.check(ctx, params, subscription)


def _trial_end(ctx: Effects, params: Json) -> int | None:
    days = params.get("trial_period_days")
    end: int | None = ctx.second + days * DAY if days else params.get("trial_end")
    return end


def _finish(ctx: Effects, params: Json, subscription: Json) -> None:
    if "customer" in params:  # only a create has this parameter
        _begin(ctx, params, subscription)
        return
    old = ctx.need("subscription", subscription["id"])
    if params.get("cancel_at_period_end") or params.get("cancel_at"):
        given = params.get("cancel_at")
        at = given if isinstance(given, int) else renewals.period(subscription)[1]
        subscription |= {"cancel_at": at, "canceled_at": ctx.second}
        subscription["cancellation_details"]["reason"] = "cancellation_requested"
    elif "cancel_at" in params or (old["cancel_at_period_end"] and not subscription["cancel_at_period_end"]):
        subscription |= {"cancel_at": None, "canceled_at": None, "cancel_at_period_end": False}
        subscription["cancellation_details"] |= blank("comment feedback reason")
    if params.get("trial_end") is not None:  # the end of the trial runs before the next request
        _try_until(ctx, params, subscription)
    renewals.schedule(ctx, subscription)
    for line in params.get("items") or []:
        subscription_items.change(ctx, subscription, line)
    anchor = params.get("billing_cycle_anchor")
    restart = (anchor.get("type") if isinstance(anchor, dict) else anchor) == "now"
    if params.get("items") or restart:
        wait = params.get("payment_behavior") == "default_incomplete"
        before = copy.deepcopy(old["items"]["data"])
        changes.apply(ctx, subscription, before, params, restart=restart, wait=wait)


def _try_until(ctx: Effects, params: Json, subscription: Json) -> None:
    """End the trial at another second, or begin one: the time that is paid is credited."""
    end = ctx.second if params["trial_end"] == "now" else params["trial_end"]
    if subscription["status"] in changes.CHARGED and end > ctx.second:
        if params.get("proration_behavior") != "none":
            prorations.credit(ctx, subscription, subscription["items"]["data"], ctx.second)
        subscription |= {"status": "trialing", "trial_start": ctx.second}
        renewals.stretch(subscription, ctx.second, end)
    subscription |= {"trial_end": end, "billing_cycle_anchor": end}
    renewals.stretch(subscription, renewals.period(subscription)[0], end)


def _begin(ctx: Effects, params: Json, subscription: Json) -> None:
    trial = _trial_end(ctx, params)
    subscription |= {"start_date": ctx.second, "billing_cycle_anchor": trial or ctx.second}
    if trial:
        subscription |= {"trial_start": ctx.second, "trial_end": trial, "status": "trialing"}
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    subscription["items"] = {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": url}
    for line in params["items"]:
        subscription_items.add(ctx, subscription, line)
    subscription["currency"] = subscription["items"]["data"][0]["price"]["currency"]
    end = trial or renewals.period(subscription)[1]
    renewals.stretch(subscription, ctx.second, end)
    if subscription["cancel_at_period_end"]:
        subscription |= {"cancel_at": end, "canceled_at": ctx.second}
    renewals.schedule(ctx, subscription)
    if not trial and subscription["collection_method"] == "charge_automatically":
        subscription["status"] = "incomplete"  # until its first invoice is paid
        ctx.schedule(subscription, ctx.second + FIRST_PAYMENT_TIMEOUT)
    renewals.draft(ctx, subscription, "subscription_create")


def _after(ctx: Effects, params: Json, subscription: Json) -> None:
    """Charge the first invoice, unless the caller confirms the payment itself."""
    wait = params.get("payment_behavior") == "default_incomplete"
    renewals.collect(ctx, subscription, wait, away=False)
    if subscription["status"] == "trialing" and subscription["trial_end"] - ctx.second <= renewals.NOTICE:
        ctx.announce("customer.subscription.trial_will_end", ctx.need("subscription", subscription["id"]))


def _end(ctx: Effects, subscription: Json, params: Json) -> Json:
    if subscription["status"] in OVER:
        raise errors.no_such("subscription", subscription["id"])
    details = {name: value for name, value in (params.get("cancellation_details") or {}).items() if value is not None}
    subscription["cancellation_details"] |= {**details, "reason": "cancellation_requested"}
    now = {name: bool(params.get(name)) for name in ("prorate", "invoice_now")}
    return changes.end(ctx, subscription, **now)


def _resume(ctx: Effects, subscription: Json, params: Json) -> Json:
    if subscription["status"] != "paused":
        message = "You can only resume a subscription that has a status of paused; this one has a status of "
        raise Problem(400, message + f"{subscription['status']}.")
    old = copy.deepcopy(subscription)
    subscription |= {"status": "active", "billing_cycle_anchor": ctx.second}
    change(ctx, subscription, old, "resumed")
    renewals.renew(ctx, subscription, ctx.second)
    return ctx.need("subscription", subscription["id"])


DETAILS: Fields = {
    "comment": Text(),
    "feedback": OneOf(
        values=(
            *("customer_service", "low_quality", "missing_features", "other"),
            *("switched_service", "too_complex", "too_expensive", "unused"),
        )
    ),
}
SHOWN: Fields = {
    "cancel_at_period_end": Flag(),
    "collection_method": OneOf(values=("charge_automatically", "send_invoice")),
    "days_until_due": Whole(least=0),
    "default_payment_method": Ref(kind="payment_method"),
    "description": Text(longest=500),
    "metadata": Metadata(),
    "payment_settings": Hash(
        fields={"save_default_payment_method": OneOf(values=("off", "on_subscription"))}, merge=True
    ),
    "proration_behavior": OneOf(values=("always_invoice", "create_prorations", "none"), hidden=True),
    "trial_settings": Hash(
        fields={
            "end_behavior": Hash(
                fields={"missing_payment_method": OneOf(values=("cancel", "create_invoice", "pause"), required=True)},
                required=True,
            )
        }
    ),
}
BEHAVIOR = OneOf(
    values=("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"), hidden=True
)
PAUSE = Hash(
    fields={
        "behavior": OneOf(values=("keep_as_draft", "mark_uncollectible", "void"), required=True),
        "resumes_at": Time(),
    }
)
STATUSES = ("active", "incomplete", "past_due", "paused", "trialing", "unpaid", *OVER)


def _is_in(subscription: Json, status: str) -> bool:
    now = subscription["status"]
    return status in ("all", now) or (status == "ended" and now in OVER)


SUBSCRIPTION = Resource(
    kind="subscription",
    path="subscriptions",
    prefix="sub_",
    event_name="customer.subscription",
    create={
        **SHOWN,
        "customer": Ref(kind="customer"),
        "items": Many(each=Hash(fields=subscription_items.ITEM, fill=False), most=20, hidden=True),
        "payment_behavior": BEHAVIOR,
        "trial_end": Time(hidden=True),
        "trial_period_days": Whole(least=1, most=730, hidden=True),
    },
    update={
        **SHOWN,
        "cancellation_details": Hash(fields=DETAILS, merge=True),
        "items": Many(each=Hash(fields=subscription_items.CHANGED, fill=False), most=20, hidden=True),
        "pause_collection": PAUSE,
        "trial_end": Moment(hidden=True),
    },
    defaults=blank(
        "application application_fee_percent billing_thresholds cancel_at canceled_at customer customer_account "
        "days_until_due default_payment_method default_source description ended_at latest_invoice "
        "next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval "
        "pending_setup_intent pending_update schedule test_clock transfer_data trial_end trial_start"
    )
    | {
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_cycle_anchor": 0,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": blank("comment feedback reason"),
        "collection_method": "charge_automatically",
        "currency": "usd",
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": "/v1/subscription_items"},
        "metadata": {},
        "payment_settings": blank("payment_method_options payment_method_types save_default_payment_method"),
        "start_date": 0,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    },
    filters={
        "collection_method": same("collection_method", SHOWN["collection_method"]),
        **{name: same(name) for name in ("customer", "customer_account", "test_clock")},
        "price": Filter(Text(), lambda owner, id: any(item["price"]["id"] == id for item in owner["items"]["data"])),
        "status": Filter(OneOf(values=("all", "ended", *STATUSES)), _is_in),
    },
    expands={
        "customer": "customer",
        "default_payment_method": "payment_method",
        "latest_invoice": "invoice",
    },
    check=_check,
    check_state=_check_state,
    finish=_finish,
    after=_after,
    shows=lambda ctx, subscription, asked: "status" in asked or subscription["status"] != "canceled",
    on_due=renewals.on_due,
    delete_action=Action(
        _end, {"cancellation_details": Hash(fields=DETAILS), "invoice_now": Flag(), "prorate": Flag()}
    ),
    actions={"resume": Action(_resume)},
)
