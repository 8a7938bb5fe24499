"""What time brings: sessions expire and subscriptions renew, when the clock has come so far."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from emulator.clocks import CLOCK
from emulator.resources import RESOURCES
from emulator.store import Realm
from emulator.wire import Json

if TYPE_CHECKING:
    from emulator.engine import Engine

DUE = "due"  # the table: kind/id -> when


def ripen(engine: Engine) -> None:
    """Do what is due, the oldest first, again and again: a year brings twelve months."""
    while due := _due(engine):
        at, realm, name = min(due, key=lambda each: (each[0], each[2]))
        realm.drop(DUE, name)
        kind, _, id = name.partition("/")
        object, row = realm.find(kind, id), RESOURCES[kind]
        if object is not None and row.ripe is not None:
            act = engine.act(realm, None)
            act.second = at
            row.ripe(act, copy.deepcopy(object))


def _due(engine: Engine) -> list[tuple[int, Realm, str]]:
    now, found = engine.clock.now(), []
    for table in engine.store.names():
        account, mode, *rest = [*table.split("/"), "", ""]
        if rest[0] == DUE:
            rows = engine.store.table(table).items()
            realm = Realm(engine.store, account, mode == "live")
            found += [(row["at"], realm, name) for name, row in rows if row["at"] <= _time(realm, row, now)]
    return found


def _time(realm: Realm, row: Json, now: float) -> float:
    """What is of a test clock ripens by its time."""
    if row.get("clock") is None:
        return now
    clock = realm.find(CLOCK, row["clock"])
    return float(clock["frozen_time"]) if clock is not None else 0.0
