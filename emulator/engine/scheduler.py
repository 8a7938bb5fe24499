"""Time as objects live it: by the clock or by a test clock of their own, and what it brings when it has come so far."""

from __future__ import annotations

import copy
from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import RESOURCES, Resource
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm, Store

DUE = "due"  # the table: kind/id -> when
CLOCK = "test_helpers.test_clock"
NARROW = {"customer", "test_clock", "subscription", "invoice", "payment_intent", "charge"}  # filters that ask for them


def clock_of(realm: Realm, object: Json) -> Json | None:
    """The test clock of an object: its own, or its customer's."""
    own = object.get("test_clock")
    if own is None and isinstance(object.get("customer"), str):
        own = (realm.find("customer", object["customer"]) or {}).get("test_clock")
    return realm.find(CLOCK, own) if own is not None else None


def listed(realm: Realm, objects: list[Json], asked: Json) -> list[Json]:
    """What a list shows, so asked: nothing of a test clock, unless it asks for it or for something of it."""
    if NARROW & asked.keys() or not realm.table(CLOCK):
        return objects
    return [each for each in objects if clock_of(realm, each) is None]


def check_mode(realm: Realm, row: Resource) -> None:
    """Refuse in live mode what only test mode has."""
    if row.test_only and realm.livemode:
        raise Problem(400, f"{row.name().capitalize()}s can only be used in test mode.")


def schedule(realm: Realm, object: Json, at: int | None) -> None:
    """Let the row's `on_due` meet the object at this second of its time; None: never."""
    name = f"{object['object']}/{object['id']}"
    if at is None:
        realm.drop(DUE, name)
    else:
        clock = clock_of(realm, object)
        realm.put(DUE, name, {"at": at, "clock": clock and clock["id"]})


def run_due(store: Store, now: Callable[[], float], begin: Callable[[Realm, int], Effects]) -> None:
    """Do what is due, the oldest first, again and again: a year brings twelve months."""
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
    """What is of a test clock ripens by its time."""
    if row.get("clock") is None:
        return now
    clock = realm.find(CLOCK, row["clock"])
    return float(clock["frozen_time"]) if clock is not None else 0.0
