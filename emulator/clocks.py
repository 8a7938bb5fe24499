"""Test clocks: the time of some customers and of all that is theirs, which no unfiltered list shows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from emulator import errors
from emulator.errors import Problem
from emulator.fields import Ref, Text, Time
from emulator.resource import Action, Resource
from emulator.wire import Json

if TYPE_CHECKING:
    from emulator.act import Act

CLOCK = "test_helpers.test_clock"
NARROW = {"customer", "test_clock", "subscription", "invoice", "payment_intent", "charge"}  # filters that ask for them
LASTS = 30 * 86_400  # seconds of real time, after which a clock is deleted


def clock_of(act: Act, object: Json) -> Json | None:
    """The clock of an object: its own, or its customer's."""
    own = object.get("test_clock")
    if own is None and isinstance(object.get("customer"), str):
        own = (act.realm.find("customer", object["customer"]) or {}).get("test_clock")
    return act.realm.find(CLOCK, own) if own is not None else None


def listed(act: Act, row: Resource, objects: list[Json], asked: Json) -> list[Json]:
    """What a list shows, so asked: nothing of a clock, unless it asks for it or for something of it."""
    if row.kind == CLOCK:
        _only_in_test_mode(act)
        return objects
    if NARROW & asked.keys() or not act.realm.table(CLOCK):
        return objects
    return [each for each in objects if clock_of(act, each) is None]


def _only_in_test_mode(act: Act) -> None:
    if act.realm.livemode:
        raise Problem(400, "Test clocks can only be used in test mode.")


def _guard(act: Act, params: Json, clock: Json | None) -> None:
    _only_in_test_mode(act)


def _shape(act: Act, params: Json, clock: Json) -> None:
    clock["deletes_after"] = act.second + LASTS
    if "customer" in params:
        act.keep("customer", {**act.need("customer", params["customer"]), "test_clock": clock["id"]})


def _advance(act: Act, clock: Json, params: Json) -> Json:
    """Whatever is due meanwhile happens before the next request."""
    if params["frozen_time"] <= clock["frozen_time"]:
        raise errors.invalid("The time to advance to must be after the clock's current time.", "frozen_time")
    for status, verb in (("advancing", "advancing"), ("ready", "ready")):
        old = copy.deepcopy(clock)
        clock |= {"frozen_time": params["frozen_time"], "status": status}
        act.keep(CLOCK, clock)
        act.announce(f"{CLOCK}.{verb}", clock, old, previous=False)
    return clock


def _gone(act: Act, clock: Json) -> None:
    """All that is of it goes with it, and no event tells of that."""
    theirs = {each["id"] for each in act.realm.all("customer") if each.get("test_clock") == clock["id"]}
    for table in list(act.realm.store.names()):
        kind = table.removeprefix(act.realm.name(""))
        if kind in (table, CLOCK):
            continue
        for id, row in list(act.realm.table(kind).items()):
            object = row.get("object") if isinstance(row, dict) else None
            if isinstance(object, dict) and (
                object.get("test_clock") == clock["id"] or object.get("customer") in theirs
            ):
                act.realm.drop(kind, id)


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
    guard=_guard,
    shape=_shape,
    gone=_gone,
    actions={"advance": Action(_advance, {"frozen_time": Time(required=True)})},
)
