"""Meters, and meter events: usage that has no id and cannot be read, only summed up.

Sources: Stripe's OpenAPI file; its answer to a second event with one identifier (langfuse/langfuse#16292 on GitHub).
"""

from __future__ import annotations

from stripe.params import billing

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, Route, blank, same
from stripe_mongo_sync.emulator.engine.steps import DAY, change, expect
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Hash, MapOf, OneOf, Text, Time
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

EVENTS = "meter_events"  # table: identifier -> the last event with it; those before it under longer names
PAST, AHEAD = 35 * DAY, 300  # s before and after now in which an event may be
KEY = {"event_payload_key": Text(longest=100, required=True)}


def _unique(ctx: Effects, params: Json, meter: Json | None) -> None:
    if meter is None and any(_named(each, params["event_name"]) for each in ctx.realm.all("billing.meter")):
        raise Problem(400, f"An active meter with event name {params['event_name']} already exists.")


def _named(meter: Json, event_name: str) -> bool:
    return bool(meter["event_name"] == event_name and meter["status"] == "active")


def _switch(verb: str, before: str, after: str) -> Action:
    def do(ctx: Effects, meter: Json, params: Json) -> Json:
        expect(meter, verb, before)
        since = {"deactivated_at": ctx.second if after == "inactive" else None}
        return change(ctx, meter, f"billing.meter.{verb}d", status=after, status_transitions=since, updated=ctx.second)

    return Action(do)


def _finish(ctx: Effects, params: Json, meter: Json) -> None:
    meter["updated"] = ctx.second


METER = Resource(
    kind="billing.meter",
    path="billing/meters",
    prefix="mtr_test_",
    label="meter",
    created_filter=False,
    create={
        "customer_mapping": Hash(fields={**KEY, "type": OneOf(values=("by_id",), required=True)}, fill=False),
        "default_aggregation": Hash(
            fields={"formula": OneOf(values=("count", "last", "sum"), required=True)}, required=True
        ),
        "display_name": Text(longest=250, required=True),
        "event_name": Text(longest=100, required=True),
        "event_time_window": OneOf(values=("day", "hour")),
        "value_settings": Hash(fields=KEY, fill=False),
    },
    update={"display_name": Text(longest=250)},
    defaults=blank("event_time_window")
    | {
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": "",
        "event_name": "",
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": 0,
        "value_settings": {"event_payload_key": "value"},
    },
    filters={"status": same("status", choice(billing.MeterListParams, "status"))},
    events=("created", "updated"),
    check_state=_unique,
    finish=_finish,
    actions={
        "deactivate": _switch("deactivate", "active", "inactive"),
        "reactivate": _switch("reactivate", "inactive", "active"),
    },
)


def _record(ctx: Effects, params: Json) -> Json:
    """POST /v1/billing/meter_events."""
    name, payload = params["event_name"], params["payload"]
    meter = next((each for each in ctx.realm.all("billing.meter") if _named(each, name)), None)
    if meter is None:
        raise errors.invalid(f"No active meter found with event name {name}.", "event_name", "no_meter")
    keys = [meter["customer_mapping"]["event_payload_key"], meter["value_settings"]["event_payload_key"]]
    if missing := [key for key in keys if key not in payload]:
        raise errors.invalid(f"The payload lacks {', '.join(missing)}.", "payload")
    at = ctx.second if params.get("timestamp") is None else params["timestamp"]
    if not ctx.second - PAST <= at <= ctx.second + AHEAD:
        raise errors.invalid("The timestamp must be within the past 35 days, or 5 minutes ahead.", "timestamp")
    identifier = params.get("identifier") or ctx.draw(36, "base62")
    known = ctx.realm.table(EVENTS).get(identifier)
    if known is not None and ctx.second - known["created"] < DAY:
        raise Problem(400, f"An event already exists with identifier {identifier}.")
    event = {
        "object": "billing.meter_event",
        "created": ctx.second,
        "event_name": name,
        "identifier": identifier,
        "livemode": ctx.realm.livemode,
        "payload": payload,
        "timestamp": at,
    }
    if known is not None:  # it was counted, too, so long ago that Stripe has forgotten its identifier
        ctx.realm.put(EVENTS, f"{identifier} of {known['created']}", known)
    ctx.realm.put(EVENTS, f"{identifier}", event)
    return event


EVENT: Fields = {
    "event_name": Text(longest=100, required=True),
    "identifier": Text(longest=100),
    "payload": MapOf(each=Text(longest=100), required=True),
    "timestamp": Time(),
}
ROUTES = (Route("POST", "billing/meter_events", "billing.meter_event", _record, EVENT),)
