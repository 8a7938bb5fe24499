"""The phases of a subscription schedule: their rules, and what each gives the subscription."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import blank
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.objects.subscriptions import renewals, subscription_items
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import (
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    Moment,
    OneOf,
    Ref,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import INTERVAL
from stripe_mongo_sync.emulator.protocol.wire import Json

LENGTHS = ("duration", "end_date", "iterations")
GIVEN = ("collection_method", "default_payment_method", "description")  # what a subscription has from a phase on
EMPTY: Json = blank(
    "application_fee_percent billing_cycle_anchor billing_thresholds collection_method default_payment_method "
    "description invoice_settings on_behalf_of transfer_data trial_end"
) | {"add_invoice_items": [], "default_tax_rates": [], "discounts": [], "metadata": {}}
EMPTY_ITEM: Json = {"billing_thresholds": None, "discounts": [], "metadata": {}, "tax_rates": []}


def check(phases: list[Json]) -> None:
    """Check the rules that need no state."""
    for index, phase in enumerate(phases):
        ends = [name for name in LENGTHS if phase.get(name) is not None]
        lines.check(phase["items"], "subscription", f"phases[{index}][items]")
        if len(ends) > 1:
            message = "You may only specify one of these parameters: duration, end_date, iterations."
            raise errors.invalid(message, f"phases[{index}][{ends[1]}]")


def check_state(ctx: Effects, given: list[Json], schedule: Json | None) -> None:
    """Check the prices, and that the phase of now keeps its start."""
    for phase in given:
        subscription_items.prices(ctx, phase["items"])
    if schedule is None or schedule["status"] != "active":
        return
    first, now = _moment(ctx, given[0].get("start_date")), schedule["current_phase"]["start_date"]
    if first is None:
        raise errors.missing("phases[0][start_date]")
    if first not in {phase["start_date"] for phase in schedule["phases"] if phase["start_date"] <= now}:
        raise errors.invalid("You can not modify the start date of the current phase.", "phases[0][start_date]")


def made(ctx: Effects, given: list[Json], start: int) -> list[Json]:
    """Return the phases with their start and end: each begins when the one before ends."""
    phases: list[Json] = []
    for index, phase in enumerate(given):
        start = _moment(ctx, phase.get("start_date")) or start
        if phases:
            phases[-1]["end_date"] = start
        items = [_item(ctx, line) for line in phase["items"]]
        end = _end(ctx, phase, items, start)
        if end <= start:
            raise errors.invalid("The end date of a phase must be after its start date.", f"phases[{index}][end_date]")
        shown = {name: phase[name] for name in (*GIVEN, "metadata", "trial_end") if phase.get(name) is not None}
        shown |= {"trial_end": end} if phase.get("trial") else {}
        behavior = phase.get("proration_behavior") or "create_prorations"
        currency = ctx.need("price", items[0]["price"])["currency"]
        shown |= {"currency": currency, "items": items, "proration_behavior": behavior}
        phases.append({**copy.deepcopy(EMPTY), **shown, "start_date": start, "end_date": end})
        start = end
    return phases


def _moment(ctx: Effects, given: int | str | None) -> int | None:
    if given == "now":
        return ctx.second
    return None if given is None else int(given)


def _item(ctx: Effects, line: Json) -> Json:
    quantity = 1 if line.get("quantity") is None else line["quantity"]
    return {**EMPTY_ITEM, "price": lines.price_of(ctx, line)["id"], "quantity": quantity}


def _end(ctx: Effects, phase: Json, items: list[Json], start: int) -> int:
    if phase.get("end_date") is not None:
        return int(phase["end_date"])
    rhythm, times = ctx.need("price", items[0]["price"])["recurring"], phase.get("iterations") or 1
    if phase.get("duration"):
        rhythm, times = {"interval_count": 1, **phase["duration"]}, 1
    end = start
    for _ in range(times):
        end = renewals.after(end, rhythm, start)
    return end


def of(subscription: Json) -> Json:
    """Return the phase that a subscription is in by itself: until its period ends."""
    start, end = renewals.period(subscription)
    items = [
        {**EMPTY_ITEM, "price": item["price"]["id"], "quantity": item["quantity"]}
        for item in subscription["items"]["data"]
    ]
    shown = {"currency": subscription["currency"], "items": items, "proration_behavior": "create_prorations"}
    shown["trial_end"] = subscription["trial_end"] if subscription["status"] == "trialing" else None
    return {**copy.deepcopy(EMPTY), **shown, "start_date": start, "end_date": end}


def items_of(phase: Json) -> list[Json]:
    """Return the items of a phase, as a subscription is made with."""
    return [{"price": item["price"], "quantity": item["quantity"]} for item in phase["items"]]


def differs(phase: Json, subscription: Json) -> bool:
    """Whether the subscription has other items than the phase gives."""
    has = [{"price": item["price"]["id"], "quantity": item["quantity"]} for item in subscription["items"]["data"]]
    return has != items_of(phase)


PHASE: Fields = {
    "collection_method": OneOf(values=("charge_automatically", "send_invoice")),
    "default_payment_method": Ref(kind="payment_method"),
    "duration": Hash(fields={"interval": INTERVAL, "interval_count": Whole(least=1)}, fill=False),
    "end_date": Time(),
    "items": Many(
        each=Hash(fields={"price": Ref(kind="price"), "quantity": Whole(least=0)}, fill=False),
        required=True,
    ),
    "iterations": Whole(least=1, until="2025-09-30.clover"),
    "metadata": Metadata(),
    "proration_behavior": OneOf(values=("always_invoice", "create_prorations", "none")),
    "trial": Flag(),
    "trial_end": Time(),
}
CHANGED: Fields = {**PHASE, "start_date": Moment()}
