"""Subscription schedules: the phases of a subscription."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.lists import during
from stripe_mongo_sync.emulator.engine.resource import Action, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.engine.steps import DAY, change, expect
from stripe_mongo_sync.emulator.objects.billing import invoices
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

SOON = 7 * DAY  # between the `expiring` event and the end of a schedule


def _check(params: Json) -> None:
    if params.get("customer") is None:
        raise errors.missing("customer")
    if not params.get("phases"):
        raise errors.missing("phases")
    if params.get("start_date") is None:
        raise errors.missing("start_date")
    for index, phase in enumerate(params["phases"]):
        ends = [name for name in ("duration", "end_date", "iterations") if phase.get(name) is not None]
        lines.check(phase["items"], "subscription", f"phases[{index}][items]")
        if len(ends) > 1:
            message = "You may only specify one of these parameters: duration, end_date, iterations."
            raise errors.invalid(message, f"phases[{index}][{ends[1]}]")


def _check_state(ctx: Effects, params: Json, schedule: Json | None) -> None:
    if schedule is not None:
        expect(schedule, "update", "not_started", "active")
    for phase in params.get("phases") or []:
        subscription_items.prices(ctx, phase["items"])


def _phases(ctx: Effects, given: list[Json], start: int) -> list[Json]:
    """Return the phases with their start and end: each begins when the one before ends."""
    made = []
    for phase in given:
        first = ctx.need("price", phase["items"][0]["price"])
        end, rhythm, times = phase.get("end_date"), first["recurring"], phase.get("iterations") or 1
        if phase.get("duration"):
            rhythm, times = {"interval_count": 1, **phase["duration"]}, 1
        if end is None:
            end = start
            for _ in range(times):
                end = renewals.after(end, rhythm, start)
        items = [
            blank("billing_thresholds")
            | {"discounts": [], "metadata": {}, "price": line["price"], "tax_rates": []}
            | {"quantity": 1 if line.get("quantity") is None else line["quantity"]}
            for line in phase["items"]
        ]
        shown: Json = blank(
            "application_fee_percent billing_cycle_anchor billing_thresholds collection_method default_payment_method "
            "description invoice_settings on_behalf_of transfer_data trial_end"
        ) | {"add_invoice_items": [], "currency": first["currency"], "default_tax_rates": [], "discounts": []}
        shown |= {"end_date": end, "items": items, "metadata": {}, "proration_behavior": "create_prorations"}
        made.append(shown | {"start_date": start})
        start = end
    return made


def _finish(ctx: Effects, params: Json, schedule: Json) -> None:
    if "start_date" in params:
        start = ctx.second if params["start_date"] == "now" else params["start_date"]
        schedule["phases"] = _phases(ctx, params["phases"], start)
        schedule["end_behavior"] = schedule["end_behavior"] or "release"
        ctx.schedule(schedule, start)
        if start <= ctx.second:
            _begin(ctx, schedule)


def _begin(ctx: Effects, schedule: Json) -> None:
    """Begin the first phase: create the subscription, which is active even without a payment."""
    wanted = {"customer": schedule["customer"], "items": _wanted(schedule["phases"][0])}
    poor = invoices.payer(ctx, {**wanted, "default_payment_method": None, "parent": None}) is None
    made = ctx.create("subscription", wanted | ({"payment_behavior": "default_incomplete"} if poor else {}))
    subscription = {**copy.deepcopy(ctx.need("subscription", made["id"])), "schedule": schedule["id"]}
    if poor:
        subscription["status"] = "active"
        renewals.schedule(ctx, subscription)
    renewals.change(ctx, subscription, made)
    schedule |= {"status": "active", "subscription": made["id"]}
    _enter(ctx, schedule, 0)


def _wanted(phase: Json) -> list[Json]:
    return [{"price": item["price"], "quantity": item["quantity"]} for item in phase["items"]]


def _enter(ctx: Effects, schedule: Json, number: int) -> None:
    phase = schedule["phases"][number]
    schedule["current_phase"] = {name: phase[name] for name in ("end_date", "start_date")}
    last, end = number == len(schedule["phases"]) - 1, phase["end_date"]
    ctx.schedule(schedule, end - SOON if last and end - SOON > ctx.second else end)


def _on_due(ctx: Effects, schedule: Json) -> None:
    """Begin or end a phase, or announce that the last one ends soon."""
    old = copy.deepcopy(schedule)
    if schedule["status"] == "not_started":
        _begin(ctx, schedule)
    elif schedule["status"] != "active":
        return
    elif ctx.second < schedule["current_phase"]["end_date"]:
        ctx.announce("subscription_schedule.expiring", schedule)
        ctx.schedule(schedule, schedule["current_phase"]["end_date"])
        return
    else:
        following = [n for n, each in enumerate(schedule["phases"]) if each["start_date"] >= ctx.second]
        if not following:
            _complete(ctx, schedule)
            return
        _turn(ctx, schedule, following[0])
    ctx.keep("subscription_schedule", schedule)
    ctx.announce("subscription_schedule.updated", schedule, old)


def _turn(ctx: Effects, schedule: Json, number: int) -> None:
    """Give the subscription the items of the next phase."""
    subscription = copy.deepcopy(ctx.need("subscription", schedule["subscription"]))
    old = copy.deepcopy(subscription)
    for item in list(subscription["items"]["data"]):
        subscription_items.change(ctx, subscription, {"id": item["id"], "deleted": True})
    for line in _wanted(schedule["phases"][number]):
        subscription_items.add(ctx, subscription, line)
    renewals.change(ctx, subscription, old)
    _enter(ctx, schedule, number)


def _complete(ctx: Effects, schedule: Json) -> None:
    if schedule["end_behavior"] == "cancel":
        _end(ctx, schedule)
    else:
        _let_go(ctx, schedule)
    fields = {"status": "completed", "completed_at": ctx.second, "current_phase": None}
    change(ctx, schedule, "subscription_schedule.completed", **fields)


def _end(ctx: Effects, schedule: Json) -> None:
    found = ctx.realm.find("subscription", schedule["subscription"] or "")
    if found is not None and found["status"] not in renewals.OVER:
        renewals.end(ctx, copy.deepcopy(found))


def _let_go(ctx: Effects, schedule: Json) -> None:
    """Release the subscription from its schedule."""
    schedule |= {"released_subscription": schedule["subscription"], "subscription": None, "current_phase": None}
    found = ctx.realm.find("subscription", schedule["released_subscription"] or "")
    if found is not None:
        renewals.change(ctx, {**copy.deepcopy(found), "schedule": None}, found)


def _cancel(ctx: Effects, schedule: Json, params: Json) -> Json:
    expect(schedule, "cancel", "not_started", "active")
    ctx.schedule(schedule, None)
    _end(ctx, schedule)
    fields = {"status": "canceled", "canceled_at": ctx.second, "current_phase": None}
    return change(ctx, schedule, "subscription_schedule.canceled", **fields)


def _release(ctx: Effects, schedule: Json, params: Json) -> Json:
    expect(schedule, "release", "not_started", "active")
    ctx.schedule(schedule, None)
    _let_go(ctx, schedule)
    return change(ctx, schedule, "subscription_schedule.released", status="released", released_at=ctx.second)


PHASE: Fields = {
    "duration": Hash(fields={"interval": INTERVAL, "interval_count": Whole(least=1)}, fill=False),
    "end_date": Time(),
    "items": Many(
        each=Hash(fields={"price": Ref(kind="price"), "quantity": Whole(least=0)}, fill=False),
        required=True,
    ),
    "iterations": Whole(least=1, until="2025-09-30.clover"),
}
SHOWN: Fields = {"end_behavior": OneOf(values=("cancel", "none", "release", "renew")), "metadata": Metadata()}
SCHEDULE = Resource(
    kind="subscription_schedule",
    path="subscription_schedules",
    prefix="sub_sched_",
    label="subscription schedule",
    create={
        **SHOWN,
        "customer": Ref(kind="customer"),
        "phases": Many(each=Hash(fields=PHASE, fill=False), most=10, hidden=True),
        "start_date": Moment(hidden=True),
    },
    update=SHOWN,
    defaults=blank(
        "application canceled_at completed_at current_phase customer customer_account released_at "
        "released_subscription subscription test_clock"
    )
    | {
        "billing_mode": {"type": "classic"},
        "default_settings": blank(
            "application_fee_percent billing_thresholds default_payment_method description on_behalf_of transfer_data"
        )
        | {"billing_cycle_anchor": "automatic", "collection_method": "charge_automatically"}
        | {"invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}}},
        "end_behavior": "release",
        "metadata": {},
        "phases": [],
        "status": "not_started",
    },
    filters={
        **{name: during(name) for name in ("canceled_at", "completed_at", "released_at")},
        **{name: same(name) for name in ("customer", "customer_account")},
        "scheduled": Filter(Flag(), lambda each, wanted: (each["status"] == "not_started") == wanted),
    },
    expands={"customer": "customer", "subscription": "subscription"},
    events=("created", "updated"),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    on_due=_on_due,
    actions={
        "cancel": Action(_cancel, {"invoice_now": Flag(), "prorate": Flag()}),
        "release": Action(_release, {"preserve_cancel_date": Flag()}),
    },
)
