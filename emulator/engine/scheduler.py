"""Runs what is due, by the emulator's clock or by the test clock of an object."""

from __future__ import annotations

import copy
from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import RESOURCES, Resource
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm, Store

DUE = "due"  # table: kind/id -> the second, and the test clock
CLOCK = "test_helpers.test_clock"
# Filters of a list that include objects of test clocks
NARROW = {
    "customer",
    "test_clock",
    "subscription",
    "invoice",
    "payment_intent",
    "charge",
}


def clock_of(realm: Realm, object: Json) -> Json | None:
    """Return the test clock of an object or of its customer, or None."""
    own = object.get("test_clock")
    if own is None and isinstance(object.get("customer"), str):
        own = (realm.find("customer", object["customer"]) or {}).get("test_clock")
    return realm.find(CLOCK, own) if own is not None else None


def visible(realm: Realm, objects: list[Json], query: Json) -> list[Json]:
    """Return the objects that a list shows: those of test clocks only if the query filters for them or their owner."""
    if NARROW & query.keys() or not realm.table(CLOCK):
        return objects
    return [each for each in objects if clock_of(realm, each) is None]


def check_mode(realm: Realm, row: Resource) -> None:
    """Refuse in live mode a type that exists only in test mode."""
    if row.test_only and realm.livemode:
        raise Problem(400, f"{row.name().capitalize()}s can only be used in test mode.")


def schedule(realm: Realm, object: Json, at: int | None) -> None:
    """Let the row's `on_due` run for the object at this second of its time; None cancels."""
    name = f"{object['object']}/{object['id']}"
    if at is None:
        realm.drop(DUE, name)
    else:
        clock = clock_of(realm, object)
        realm.put(DUE, name, {"at": at, "clock": clock and clock["id"]})


def run_due(store: Store, now: Callable[[], float], begin: Callable[[Realm, int], Effects]) -> None:
    """Run what is due, oldest first, including what becomes due meanwhile: a year has twelve renewals."""
    while due := _due(store, now()):
        at, realm, name = min(due, key=lambda each: (each[0], each[2]))
        realm.drop(DUE, name)
        kind, _, id = name.partition("/")
        object, row = realm.find(kind, id), RESOURCES[kind]
        if object is not None and row.on_due is not None:
            row.on_due(begin(realm, at), copy.deepcopy(object))


def _due(store: Store, now: float) -> list[tuple[int, Realm, str]]:
    found: list[tuple[int, Realm, str]] = []
    for table in store.names():
        account, mode, *rest = [*table.split("/"), "", ""]
        if rest[0] == DUE:
            rows = store.table(table).items()
            realm = Realm(store, account, mode == "live")
            found += [(row["at"], realm, name) for name, row in rows if row["at"] <= _time(realm, row, now)]
    return found


def _time(realm: Realm, row: Json, now: float) -> float:
    """Return the current time by the row's test clock, or `now` if it has none."""
    if row.get("clock") is None:
        return now
    clock = realm.find(CLOCK, row["clock"])
    return float(clock["frozen_time"]) if clock is not None else 0.0
