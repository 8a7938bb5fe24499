"""What a change of a subscription's items costs now: prorations, a new period, and the invoice of both."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.billing.invoice_shape import subscription_of
from stripe_mongo_sync.emulator.objects.payments import cards
from stripe_mongo_sync.emulator.objects.subscriptions import prorations, renewals
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json

CHARGED = ("active", "past_due", "unpaid")  # a trial is free, and an incomplete one is not paid yet


def check(ctx: Effects, params: Json, subscription: Json) -> None:
    """Check when it is prorated, and, where the caller wants no unpaid change, that the payment would succeed."""
    start, end = renewals.period(subscription)
    at = params.get("proration_date")
    if at is not None and not start <= at <= end:
        message = "Invalid proration date: it must be within the current period of the subscription."
        raise errors.invalid(message, "proration_date")
    behavior = params.get("payment_behavior")
    if behavior not in ("error_if_incomplete", "pending_if_incomplete") or "items" not in params:
        return
    method = invoices.payer(ctx, renewals.like_invoice(subscription))
    card = cards.card_of(ctx.need("payment_method", method)) if method is not None else None
    if card is not None and not (card.refused or card.asks):
        return
    if behavior == "pending_if_incomplete":
        raise Problem(400, "The emulator has no pending updates: here the payment of this change would fail.")
    raise cards.refusal((card.refused if card is not None else None) or "authentication_required")


def apply(
    ctx: Effects, subscription: Json, before: list[Json], params: Json, *, restart: bool = False, wait: bool = False
) -> None:
    """Prorate the change from the items of before, and invoice it where that is wanted or a new period begins."""
    if subscription["status"] not in CHARGED:
        return
    behavior = params.get("proration_behavior") or "create_prorations"
    after, at = subscription["items"]["data"], params.get("proration_date") or ctx.second
    restart = restart or _rhythm(before) != _rhythm(after)
    old, new = (before, []) if restart else prorations.changed(before, after)
    if behavior != "none":
        prorations.credit(ctx, subscription, old, at)
        prorations.bill(ctx, subscription, new, at)
    if restart:
        subscription["billing_cycle_anchor"] = ctx.second
        end = renewals.after(ctx.second, after[0]["price"]["recurring"], ctx.second)
        renewals.stretch(subscription, ctx.second, end)
    elif behavior != "always_invoice" or not (old or new):
        return
    invoice(ctx, subscription, subscription["items"]["data"] if restart else [], wait)


def invoice(ctx: Effects, subscription: Json, items: list[Json], wait: bool = False) -> None:
    """Invoice what is pending, and a period of these items; collect it, and take over what that changes."""
    renewals.draft(ctx, subscription, "subscription_update", items)
    renewals.schedule(ctx, subscription)
    renewals.collect(ctx, subscription, wait, away=False)
    subscription.update(copy.deepcopy(ctx.need("subscription", subscription["id"])))


def end(ctx: Effects, subscription: Json, *, prorate: bool, invoice_now: bool) -> Json:
    """End it immediately, with a last invoice of what is pending and the credit of the time that is paid, if wanted."""
    if prorate and subscription["status"] in CHARGED:
        prorations.credit(ctx, subscription, subscription["items"]["data"], ctx.second)
    ended = renewals.end(ctx, subscription)
    if not invoice_now or not any(_is_pending(item, subscription) for item in ctx.realm.all("invoiceitem")):
        return ended
    last = copy.deepcopy(ended)
    renewals.draft(ctx, last, "subscription_update", [])
    renewals.change(ctx, last, ended)
    renewals.collect(ctx, last, away=True)
    return ctx.need("subscription", last["id"])


def _is_pending(item: Json, subscription: Json) -> bool:
    mine = item["customer"] == subscription["customer"] and item["invoice"] is None
    return mine and subscription_of(item) in (None, subscription["id"])


def _rhythm(items: list[Json]) -> list[Json]:
    """Return how often the items recur, which is the same for all."""
    return [{name: item["price"]["recurring"][name] for name in ("interval", "interval_count")} for item in items[:1]]
