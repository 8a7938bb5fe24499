"""The event log: the events, and which of them the API shows (stripe-facts.md#events-and-webhooks)."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass

from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.render import cut
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.clock import Clock
from stripe_mongo_sync.emulator.state.store import Realm

RETENTION = 30 * 86_400  # seconds that an event can be read
PREFIX = "evt_"  # of the ids of events
Match = str | Callable[[Json], bool]  # a pattern of the type, or a function of the event


@dataclass
class EventFault:
    """A fault of the next events that match: they are lost, hidden or duplicated."""

    what: str  # lose, hide or duplicate
    match: Match
    left: int

    def hits(self, event: Json) -> bool:
        fits = self.match(event) if callable(self.match) else fnmatch.fnmatchcase(event["type"], self.match)
        if not fits or self.left <= 0:
            return False
        self.left -= 1
        return True


class EventLog:
    """Rows of {"event", "at", "lost", "hidden"}. Lost events are stored for tests, and never shown."""

    def __init__(self, clock: Clock, draw: Callable[[int, str], str], api_version: str) -> None:
        self._clock = clock
        self._draw = draw
        self._api_version = api_version
        self._faults: list[EventFault] = []
        self.lag = 0.0
        self.chance: Callable[[str], bool] = lambda fault: False

    def expect(self, what: str, match: Match, times: int) -> None:
        self._faults.append(EventFault(what, match, times))

    def clear_faults(self) -> None:
        self._faults.clear()
        self.lag = 0.0

    def record(self, realm: Realm, type: str, object: Json, previous: Json | None, cause: Json | None) -> list[Json]:
        """Write the event, or two if `duplicate_events` matches, and return the rows."""
        data: Json = {"object": cut(object)}
        if previous is not None:
            data["previous_attributes"] = cut(previous)
        row = self._row(realm, type, data, cause)
        rows = [row]
        if self._meets("duplicate", row["event"]):
            rows.append(self._row(realm, type, data, cause))
        for each in rows:
            each["lost"] = self._meets("lose", each["event"]) or self.chance("webhook_lose")
            each["hidden"] = self._meets("hide", each["event"])
            realm.put("event", each["event"]["id"], each)
        return rows

    def _row(self, realm: Realm, type: str, data: Json, cause: Json | None) -> Json:
        now = self._clock.now()
        event = {
            "id": PREFIX + self._draw(24, "base62"),
            "object": "event",
            "api_version": self._api_version,
            "created": int(now),
            "data": data,
            "livemode": realm.livemode,
            "pending_webhooks": 0,
            "request": cause,
            "type": type,
        }
        return {"event": event, "at": now, "lost": False, "hidden": False}

    def _meets(self, what: str, event: Json) -> bool:
        return any(fault.hits(event) for fault in self._faults if fault.what == what)

    def losses(self, realm: Realm) -> list[Json]:
        """Return the rows of lost events that were not reported yet, and mark them as reported."""
        lost = [row for row in realm.table("event").values() if row["lost"] and not row.get("admitted")]
        for row in lost:
            realm.put("event", row["event"]["id"], {**row, "admitted": True})
        return lost

    def show_hidden(self, realm: Realm) -> None:
        for id, row in realm.table("event").items():
            if row["hidden"]:
                realm.put("event", id, {**row, "hidden": False})

    def get(self, realm: Realm, id: str, param: str = "id", status: int = 404) -> Json:
        row = realm.table("event").get(id)
        if row is None or row["lost"]:
            raise errors.no_such("event", id, param, status)
        if self._aged(row):
            message = f"The event {id} is no longer available because it's aged out of our retention policy."
            raise Problem(404, message, code="resource_missing", param=param)
        event: Json = row["event"]
        return event

    def visible(self, realm: Realm) -> list[Json]:
        """Return what GET /v1/events shows now, oldest first, without the newest if the list lags."""
        newest = self._clock.now() - self.lag
        return [
            row["event"]
            for row in realm.table("event").values()
            if not (row["lost"] or row["hidden"] or row["at"] > newest or self._aged(row))
        ]

    def _aged(self, row: Json) -> bool:
        return bool(self._clock.now() - row["at"] > RETENTION)
