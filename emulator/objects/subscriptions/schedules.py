"""Subscription schedules: they begin a subscription, or take one over, and lead it through their phases."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.lists import during
from stripe_mongo_sync.emulator.engine.resource import Action, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.engine.steps import DAY, change, expect
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.subscriptions import changes, phases, renewals, subscription_items
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Many, Metadata, Moment, OneOf, Ref
from stripe_mongo_sync.emulator.protocol.wire import Json

SOON = 7 * DAY  # between the `expiring` event and the end of a schedule
LIVE = ("not_started", "active")


def _check(params: Json) -> None:
    if params.get("from_subscription") is not None:
        others = [name for name, value in params.items() if value is not None]
        others = [name for name in others if name not in ("from_subscription", "metadata", "expand")]
        if others:
            message = f"You cannot set `{min(others)}` if `from_subscription` is set."
            raise errors.invalid(message, min(others))
        return
    for name in ("customer", "phases", "start_date"):
        if not params.get(name):
            raise errors.missing(name)
    phases.check(params["phases"])


def _check_state(ctx: Effects, params: Json, schedule: Json | None) -> None:
    if schedule is not None:
        expect(schedule, "update", *LIVE)
        phases.check(params.get("phases") or [])
    if params.get("phases"):
        phases.check_state(ctx, params["phases"], schedule)
    if schedule is None and params.get("from_subscription") is not None:
        _check_taken(ctx.need("subscription", params["from_subscription"]))


def _check_taken(subscription: Json) -> None:
    if subscription["schedule"] is not None:
        message = "You cannot migrate a subscription that is already attached to a schedule: "
        raise Problem(400, message + subscription["schedule"], param="from_subscription")
    if subscription["status"] in (*renewals.OVER, "incomplete"):
        message = f"You cannot migrate a subscription that is in the `{subscription['status']}` status."
        raise Problem(400, message, param="from_subscription")


def _finish(ctx: Effects, params: Json, schedule: Json) -> None:
    if schedule["phases"]:
        _change(ctx, params, schedule)
    elif params.get("from_subscription") is not None:
        _take(ctx, params["from_subscription"], schedule)
    else:
        start = ctx.second if params["start_date"] == "now" else params["start_date"]
        schedule["phases"] = phases.made(ctx, params["phases"], start)
        schedule["end_behavior"] = schedule["end_behavior"] or "release"
        ctx.schedule(schedule, start)
        if start <= ctx.second:
            _begin(ctx, schedule)


def _take(ctx: Effects, id: str, schedule: Json) -> None:
    """Take over a subscription as it is. Its first phase is the period that is paid."""
    found = ctx.need("subscription", id)
    schedule |= {"customer": found["customer"], "status": "active", "subscription": id}
    schedule["phases"] = [phases.of(found)]
    renewals.change(ctx, {**copy.deepcopy(found), "schedule": schedule["id"]}, found)
    _enter(ctx, schedule, 0)


def _change(ctx: Effects, params: Json, schedule: Json) -> None:
    """Replace the phases from the first one that is given; the one of now changes the subscription immediately."""
    if not params.get("phases"):
        return
    new = phases.made(ctx, params["phases"], schedule["phases"][0]["start_date"])
    past = [phase for phase in schedule["phases"] if phase["end_date"] <= new[0]["start_date"]]
    schedule["phases"] = [*past, *new]
    if schedule["status"] == "not_started":
        ctx.schedule(schedule, new[0]["start_date"])
        return
    number = max(n for n, each in enumerate(schedule["phases"]) if each["start_date"] <= ctx.second)
    if phases.differs(schedule["phases"][number], ctx.need("subscription", schedule["subscription"])):
        _turn(ctx, schedule, number, params.get("proration_behavior") or "create_prorations")
    _enter(ctx, schedule, number)


def _begin(ctx: Effects, schedule: Json) -> None:
    """Begin the first phase: create the subscription, which is active even without a payment."""
    phase = schedule["phases"][0]
    given = {name: phase[name] for name in (*phases.GIVEN, "trial_end") if phase[name] is not None}
    wanted = {"customer": schedule["customer"], "items": phases.items_of(phase), **given}
    poor = invoices.payer(ctx, {"default_payment_method": None, "parent": None, **wanted}) is None
    poor = poor and phase["trial_end"] is None
    made = ctx.create("subscription", wanted | ({"payment_behavior": "default_incomplete"} if poor else {}))
    subscription = {**copy.deepcopy(ctx.need("subscription", made["id"])), "schedule": schedule["id"]}
    if poor:
        subscription["status"] = "active"
        renewals.schedule(ctx, subscription)
    renewals.change(ctx, subscription, made)
    schedule |= {"status": "active", "subscription": made["id"]}
    _enter(ctx, schedule, 0)


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
        _enter(ctx, schedule, following[0])
    ctx.keep("subscription_schedule", schedule)
    ctx.announce("subscription_schedule.updated", schedule, old)


def _turn(ctx: Effects, schedule: Json, number: int, behavior: str | None = None) -> None:
    """Give the subscription what the phase says, prorated as it or a change of it says."""
    phase, subscription = schedule["phases"][number], copy.deepcopy(ctx.need("subscription", schedule["subscription"]))
    old = copy.deepcopy(subscription)
    subscription |= {name: phase[name] for name in phases.GIVEN if phase[name] is not None}
    if phases.differs(phase, subscription):
        subscription_items.replace_all(ctx, subscription, phases.items_of(phase))
        if ctx.second < renewals.period(old)[1]:  # else the renewal bills it
            how = {"proration_behavior": behavior or phase["proration_behavior"]}
            changes.apply(ctx, subscription, copy.deepcopy(old["items"]["data"]), how)
    renewals.change(ctx, subscription, old)


def _before_renewal(ctx: Effects, id: str) -> None:
    """End the phase first: the next period is billed as the next phase says."""
    schedule = ctx.realm.find("subscription_schedule", id)
    if schedule is not None and schedule["status"] == "active" and schedule["current_phase"]["end_date"] <= ctx.second:
        _on_due(ctx, copy.deepcopy(schedule))


def _ended(ctx: Effects, id: str) -> None:
    """Cancel the schedule of a subscription that was canceled."""
    schedule = ctx.realm.find("subscription_schedule", id)
    if schedule is not None and schedule["status"] in LIVE:
        _stop(ctx, copy.deepcopy(schedule), "canceled")


renewals.BEFORE_RENEWAL.append(_before_renewal)
renewals.ENDED.append(_ended)


def _stop(ctx: Effects, schedule: Json, status: str) -> Json:
    """End the schedule itself."""
    ctx.schedule(schedule, None)
    fields = {"status": status, f"{status}_at": ctx.second, "current_phase": None}
    return change(ctx, schedule, f"subscription_schedule.{status}", **fields)


def _complete(ctx: Effects, schedule: Json) -> None:
    if schedule["end_behavior"] == "cancel":
        _stop(ctx, schedule, "completed")
        _end(ctx, schedule)
    else:
        _let_go(ctx, schedule)
        _stop(ctx, schedule, "completed")


def _end(ctx: Effects, schedule: Json, *, prorate: bool = False, invoice_now: bool = False) -> None:
    found = ctx.realm.find("subscription", schedule["subscription"] or "")
    if found is not None and found["status"] not in renewals.OVER:
        changes.end(ctx, copy.deepcopy(found), prorate=prorate, invoice_now=invoice_now)


def _let_go(ctx: Effects, schedule: Json) -> None:
    """Release the subscription from its schedule: it goes on as it is."""
    schedule |= {"released_subscription": schedule["subscription"], "subscription": None}
    found = ctx.realm.find("subscription", schedule["released_subscription"] or "")
    if found is not None:
        renewals.change(ctx, {**copy.deepcopy(found), "schedule": None}, found)


def _cancel(ctx: Effects, schedule: Json, params: Json) -> Json:
    expect(schedule, "cancel", *LIVE)
    _stop(ctx, schedule, "canceled")
    now = {name: params.get(name) is not False for name in ("prorate", "invoice_now")}
    _end(ctx, schedule, **now)
    return schedule


def _release(ctx: Effects, schedule: Json, params: Json) -> Json:
    expect(schedule, "release", *LIVE)
    _let_go(ctx, schedule)
    return _stop(ctx, schedule, "released")


SHOWN: Fields = {"end_behavior": OneOf(values=("cancel", "none", "release", "renew")), "metadata": Metadata()}
SCHEDULE = Resource(
    kind="subscription_schedule",
    path="subscription_schedules",
    prefix="sub_sched_",
    label="subscription schedule",
    create={
        **SHOWN,
        "customer": Ref(kind="customer"),
        "from_subscription": Ref(kind="subscription", hidden=True),
        "phases": Many(each=Hash(fields=phases.PHASE, fill=False), most=10, hidden=True),
        "start_date": Moment(hidden=True),
    },
    update={
        **SHOWN,
        "phases": Many(each=Hash(fields=phases.CHANGED, fill=False), most=10, hidden=True),
        "proration_behavior": OneOf(values=("always_invoice", "create_prorations", "none"), hidden=True),
    },
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
