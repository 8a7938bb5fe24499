"""Test clocks: a call sets the time of their customers, and of everything that these own."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource
from stripe_mongo_sync.emulator.engine.scheduler import CLOCK
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Ref, Text, Time
from stripe_mongo_sync.emulator.protocol.wire import Json

LIFETIME = 30 * 86_400  # seconds of real time after which Stripe deletes a clock


def _finish(ctx: Effects, params: Json, clock: Json) -> None:
    clock["deletes_after"] = ctx.second + LIFETIME
    if "customer" in params:
        ctx.keep("customer", {**ctx.need("customer", params["customer"]), "test_clock": clock["id"]})


def _advance(ctx: Effects, clock: Json, params: Json) -> Json:
    """Set the clock. What becomes due runs before the next request."""
    if params["frozen_time"] <= clock["frozen_time"]:
        raise errors.invalid("The time to advance to must be after the clock's current time.", "frozen_time")
    for status, verb in (("advancing", "advancing"), ("ready", "ready")):
        old = copy.deepcopy(clock)
        clock |= {"frozen_time": params["frozen_time"], "status": status}
        ctx.keep(CLOCK, clock)
        ctx.announce(f"{CLOCK}.{verb}", clock, old, previous=False)
    return clock


def _on_delete(ctx: Effects, clock: Json) -> None:
    """Delete the customers of the clock, and everything of theirs, without events."""
    theirs = {each["id"] for each in ctx.realm.all("customer") if each.get("test_clock") == clock["id"]}
    for table in list(ctx.realm.store.names()):
        kind = table.removeprefix(ctx.realm.name(""))
        if kind in (table, CLOCK):
            continue
        for id, row in list(ctx.realm.table(kind).items()):
            object = row.get("object") if isinstance(row, dict) else None
            if isinstance(object, dict) and (
                object.get("test_clock") == clock["id"] or object.get("customer") in theirs
            ):
                ctx.realm.drop(kind, id)


TEST_CLOCK = Resource(
    kind=CLOCK,
    path="test_helpers/test_clocks",
    prefix="clock_",
    label="test clock",
    create={
        "customer": Ref(kind="customer", hidden=True),
        "frozen_time": Time(required=True),
        "name": Text(longest=300),
    },
    defaults={"deletes_after": 0, "frozen_time": 0, "name": None, "status": "ready", "status_details": {}},
    created_filter=False,
    delete="gone",
    test_only=True,
    finish=_finish,
    on_delete=_on_delete,
    actions={"advance": Action(_advance, {"frozen_time": Time(required=True)})},
)
