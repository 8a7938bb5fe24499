"""How time and payments change a subscription: it renews, becomes past due, pauses and ends."""

from __future__ import annotations

import calendar
import copy
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import intent_of
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json

DAY = 86_400
NOTICE = 3 * DAY  # between `trial_will_end` and the end of a trial; a shorter trial is announced immediately
OVER = ("canceled", "incomplete_expired")
LIVE = ("active", "past_due", "trialing", "unpaid")
# Called with a subscription's schedule: before its next period begins, and when it was canceled.
BEFORE_RENEWAL: list[Callable[[Effects, str], None]] = []
ENDED: list[Callable[[Effects, str], None]] = []


def after(start: int, recurring: Json, anchor: int) -> int:
    """Return the end of a period. Months end on the anchor's day, or on their last day."""
    count = recurring["interval_count"]
    if recurring["interval"] in ("day", "week"):
        return int(start + count * DAY * (7 if recurring["interval"] == "week" else 1))
    then, day = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(anchor, UTC).day
    year, month = divmod(then.year * 12 + then.month - 1 + count * (12 if recurring["interval"] == "year" else 1), 12)
    last = calendar.monthrange(year, month + 1)[1]
    return int(then.replace(year=year, month=month + 1, day=min(day, last)).timestamp())


def period(subscription: Json) -> tuple[int, int]:
    """Return the period that all items share; (0, 0) if a test inserted a subscription without items."""
    first = next(iter(subscription["items"]["data"]), {"current_period_start": 0, "current_period_end": 0})
    return first["current_period_start"], first["current_period_end"]


def stretch(subscription: Json, start: int, end: int) -> None:
    for item in subscription["items"]["data"]:
        item |= {"current_period_start": start, "current_period_end": end}


def change(ctx: Effects, subscription: Json, old: Json, *verbs: str) -> None:
    ctx.keep("subscription", subscription)
    ctx.announce("customer.subscription.updated", subscription, old)
    for verb in verbs:
        ctx.announce(f"customer.subscription.{verb}", subscription)


def schedule(ctx: Effects, subscription: Json) -> None:
    """Schedule `on_due` for the end of the period, or what comes before: a notice, a cancellation, a resumption."""
    end = period(subscription)[1] if subscription["status"] in LIVE else 0
    notice = end - NOTICE if subscription["status"] == "trialing" else 0
    resumes = (subscription["pause_collection"] or {}).get("resumes_at")
    earlier = [at for at in (notice, subscription["cancel_at"], resumes) if at is not None and ctx.second < at < end]
    ctx.schedule(subscription, min(earlier, default=end) or None)


def draft(ctx: Effects, subscription: Json, reason: str, items: list[Json] | None = None) -> Json:
    """Create a draft invoice of what is pending, and of the current period of these items, by default of all."""
    ctx.keep("subscription", subscription)  # the invoice reads it
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    wanted = {
        "auto_advance": True,
        "billing_reason": reason,
        "lines": subscription["items"]["data"] if items is None else items,
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        **{name: subscription[name] for name in ("collection_method", "customer", "days_until_due")},
    }
    invoice = ctx.create("invoice", {name: value for name, value in wanted.items() if value is not None})
    subscription["latest_invoice"] = invoice["id"]
    return invoice


def collect(ctx: Effects, subscription: Json, wait: bool = False, away: bool = True) -> None:
    """Finalize the latest invoice and charge it, unless `wait` or a pause of collection prevents that."""
    invoice = copy.deepcopy(ctx.need("invoice", subscription["latest_invoice"]))
    pause = (subscription["pause_collection"] or {}).get("behavior")
    if pause == "keep_as_draft":
        ctx.schedule(invoice, None)
        return
    invoice = copy.deepcopy(invoices.finalize(ctx, invoice, {}))
    ctx.schedule(invoice, None)
    if invoice["status"] == "paid":
        return
    if pause == "void":
        invoices.void(ctx, invoice, {})
    elif pause == "mark_uncollectible":
        invoices.mark_uncollectible(ctx, invoice, {})
    elif wait or subscription["collection_method"] == "send_invoice":
        return
    elif invoices.payer(ctx, invoice) is None:
        invoices.failed(ctx, invoice)
    else:
        with suppress(Problem):  # a decline, which invoice and subscription show
            invoices.pay(ctx, invoice, {"off_session": away})


def begin(ctx: Effects, subscription: Json, at: int) -> Json:
    """Begin the next period, and return its draft invoice."""
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    stretch(subscription, at, after(at, recurring, subscription["billing_cycle_anchor"]))
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    return draft(ctx, subscription, "subscription_cycle")


def renew(ctx: Effects, subscription: Json, at: int) -> None:
    old = copy.deepcopy(subscription)
    begin(ctx, subscription, at)
    change(ctx, subscription, old)
    schedule(ctx, subscription)
    collect(ctx, subscription)


def turned(ctx: Effects, subscription: Json) -> Json:
    """Return the subscription after its schedule, if it has one, began the phase of now."""
    for turn in BEFORE_RENEWAL if subscription["schedule"] else ():
        turn(ctx, subscription["schedule"])
        subscription = copy.deepcopy(ctx.need("subscription", subscription["id"]))
    return subscription


def on_due(ctx: Effects, subscription: Json) -> None:
    subscription = turned(ctx, subscription)
    if subscription["status"] in OVER:
        return
    old = copy.deepcopy(subscription)
    if subscription["status"] == "incomplete":
        subscription |= {"status": "incomplete_expired", "ended_at": ctx.second}
        change(ctx, subscription, old)
        _void_first(ctx, subscription)
        return
    resumes = (subscription["pause_collection"] or {}).get("resumes_at")
    if resumes is not None and resumes <= ctx.second:
        subscription["pause_collection"] = None
        change(ctx, subscription, old)
    if (subscription["cancel_at"] or ctx.second + 1) <= ctx.second:
        end(ctx, subscription)
        return
    if ctx.second < period(subscription)[1]:
        if subscription["status"] == "trialing" and ctx.second == period(subscription)[1] - NOTICE:
            ctx.announce("customer.subscription.trial_will_end", subscription)
        schedule(ctx, subscription)
        return
    lacking = subscription["status"] == "trialing" and invoices.payer(ctx, like_invoice(subscription)) is None
    missing = subscription["trial_settings"]["end_behavior"]["missing_payment_method"] if lacking else ""
    if missing == "cancel":
        end(ctx, subscription)
    elif missing == "pause":
        subscription["status"] = "paused"
        change(ctx, subscription, old, "paused")
    elif subscription["status"] in LIVE:
        renew(ctx, subscription, ctx.second)


def like_invoice(subscription: Json) -> Json:
    """Return the fields of an invoice that `payer` reads."""
    return {
        "customer": subscription["customer"],
        "default_payment_method": subscription["default_payment_method"],
        "parent": None,
    }


def _void_first(ctx: Effects, subscription: Json) -> None:
    invoice = ctx.realm.find("invoice", subscription["latest_invoice"] or "")
    if invoice is not None and invoice["status"] == "open":
        invoices.void(ctx, copy.deepcopy(invoice), {})


def end(ctx: Effects, subscription: Json) -> Json:
    """End it immediately. An open invoice stays, unless it was the first one (stripe-facts.md#deletions)."""
    begun = subscription["status"] != "incomplete"
    subscription["status"] = "canceled" if begun else "incomplete_expired"
    subscription |= {"canceled_at": subscription["canceled_at"] or ctx.second, "ended_at": ctx.second}
    ctx.schedule(subscription, None)
    ctx.keep("subscription", subscription)
    ctx.announce("customer.subscription.deleted", subscription)
    if not begun:
        _void_first(ctx, subscription)
    for ended in ENDED if subscription["schedule"] else ():
        ended(ctx, subscription["schedule"])
    return subscription


def _on_payment(ctx: Effects, invoice: Json, paid: bool) -> None:
    """Make a subscription active or past due after the payment of its invoice."""
    details = (invoice["parent"] or {}).get("subscription_details")
    found = ctx.realm.find("subscription", details["subscription"]) if details else None
    if found is None:
        return
    subscription, old = copy.deepcopy(found), copy.deepcopy(found)
    latest = subscription["latest_invoice"] == invoice["id"]
    if paid and latest and subscription["status"] in ("incomplete", "past_due", "unpaid"):
        subscription["status"] = "active"
        intent = intent_of(ctx, invoice)
        saves = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
        if saves and intent is not None:
            subscription["default_payment_method"] = intent["payment_method"]
        schedule(ctx, subscription)
    elif not paid and subscription["status"] in ("active", "trialing"):
        subscription["status"] = "past_due"
    if subscription != old:
        change(ctx, subscription, old)


invoices.LISTENERS.append(_on_payment)
