"""The delivery queue: signs when it sends, and retries until a 2xx (stripe-facts.md#events-and-webhooks)."""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from stripe_mongo_sync.emulator.protocol.renamed import renamed
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.clock import Clock
from stripe_mongo_sync.emulator.state.destinations import destinations, is_thin, wants
from stripe_mongo_sync.emulator.state.store import Realm, Store

# Seconds after which a failed delivery is tried again. Real sandboxes try three times over a few hours.
SCHEDULE = (0.0, 60.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
FAST = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 10.0, 10.0, 30.0)
DUE = "deliveries"
SENT = "sent"  # table: deliveries whose answer is not known yet
THIN = "v2.core.event"  # kind and table of thin events that a GET shows with more than was delivered
State = Callable[[], AbstractContextManager[None]]
Render = Callable[[Json, float], Json]  # (snapshot event, time) -> thin event


def sign(body: bytes, secrets: list[str], second: int) -> str:
    """Return the `Stripe-Signature`: HMAC-SHA256 over `t.body`, one v1 for each active secret."""
    signed = str(second).encode() + b"." + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={second}", *(f"v1={mark}" for mark in marks)])


@dataclass(frozen=True)
class Delivery:
    """One attempt of a delivery, signed when it was taken from the queue."""

    id: str
    event_id: str
    type: str
    url: str
    body: bytes
    headers: dict[str, str]
    attempt: int


@dataclass
class Disruption:
    """How many of the next matching deliveries to drop, send twice or delay, and whether to shuffle them."""

    drop: int = 0
    double: int = 0
    delay: int = 0
    seconds: float = 60.0
    shuffle: bool = False
    types: str = "*"


class Webhooks:
    """The queue. A row is {"realm", "endpoint", "event", "type", "body", "attempts", "at"}."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        seed: int,
        chance: Callable[[str], bool],
        state: State,
        notification: Render,
        admission: Render,
    ) -> None:
        """`notification` renders the thin event of an event, `admission` the report that an event was lost."""
        self._notification = notification
        self._admission = admission
        self._state = state
        self._store = store
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._chance = chance
        self.schedule: tuple[float, ...] = SCHEDULE
        self.disruption = Disruption()

    def disrupt(
        self,
        *,
        drop: int = 0,
        double: int = 0,
        delay: int = 0,
        seconds: float = 60.0,
        shuffle: bool = False,
        types: str = "*",
    ) -> None:
        """Drop, send twice or delay the next deliveries whose event type matches; shuffle them from now on."""
        self.disruption = Disruption(drop, double, delay, seconds, shuffle, types)

    disturb = renamed("disturb", disrupt)

    def enqueue(self, realm: Realm, row: Json, home: Realm | None = None) -> None:
        """Queue the event for every endpoint that wants it. Its body is rendered now and never again.

        An organization's endpoint, in the account `home`, receives events of all its accounts, with their `context`.
        An endpoint for Connect receives only those of connected accounts, with their `account`.
        """
        event, thin = row["event"], self._notification(row["event"], row["at"])
        home = realm if home is None or destinations(realm) else home
        organized, connect = home.table("organization"), home.table("connect")
        own, connected = home.account == realm.account, realm.account in home.table("account")
        endpoints = [
            each
            for each in destinations(home)
            if wants(each, thin["type"] if is_thin(each) else event["type"])
            and (connected and not own if each["id"] in connect else own or each["id"] in organized)
        ]
        if row["lost"] or not endpoints:
            return
        event["pending_webhooks"] = sum(not is_thin(each) for each in endpoints)
        realm.put("event", event["id"], row)
        for endpoint in endpoints:
            if self._happens("drop", event["type"]):
                continue  # never delivered or retried, but counted as pending
            sent = (
                thin if is_thin(endpoint) else {**event, "api_version": endpoint["api_version"] or event["api_version"]}
            )
            if endpoint["id"] in organized:
                sent = {**sent, "context": realm.account}
            if endpoint["id"] in connect:
                sent = {**sent, "account": realm.account}
            body = json.dumps(sent, indent=2)
            late = self.disruption.seconds if self._happens("delay", event["type"]) else 0.0
            for copy in range(2 if self._happens("double", event["type"]) else 1):
                self._store.put(
                    DUE,
                    f"{event['id']}:{endpoint['id']}:{copy}",
                    {
                        "realm": [home.account, home.livemode],
                        "endpoint": endpoint["id"],
                        "event": sent["id"],
                        "type": sent["type"],
                        "body": body,
                        "attempts": 0,
                        "at": self._clock.now() + late + self.schedule[0],
                    },
                )

    def admit(self, realm: Realm, row: Json) -> None:
        """Report a lost event to the thin destinations. The delivery does not name its object; a GET does."""
        admission = self._admission(row["event"], self._clock.now())
        for destination in filter(is_thin, destinations(realm)):
            if wants(destination, admission["type"]):
                self.send(realm, destination["id"], admission)

    def send(self, realm: Realm, destination: str, event: Json) -> None:
        """Queue an event of the v2 API for one destination, whatever types it wants. A GET shows also its `data`."""
        realm.put(THIN, event["id"], event)
        body = {name: value for name, value in event.items() if name != "data"}
        self._store.put(
            DUE,
            f"{event['id']}:{destination}:0",
            {
                "realm": [realm.account, realm.livemode],
                "endpoint": destination,
                "event": event["id"],
                "type": event["type"],
                "body": json.dumps(body, indent=2),
                "attempts": 0,
                "at": self._clock.now(),
            },
        )

    def _happens(self, what: str, type: str) -> bool:
        left: int = getattr(self.disruption, what)
        if left > 0 and fnmatch.fnmatchcase(type, self.disruption.types):
            setattr(self.disruption, what, left - 1)
            return True
        return self._chance(f"webhook_{what}")

    def take(self) -> list[Delivery]:
        """Take every due delivery off the queue, signed now. Unless `failed` is called, it counts as delivered."""
        with self._state():
            now = self._clock.now()
            due = [(id, row) for id, row in self._store.table(DUE).items() if row["at"] <= now]
            if self.disruption.shuffle:
                self._random.shuffle(due)
            return [delivery for id, row in due if (delivery := self._attempt(id, row)) is not None]

    def _attempt(self, id: str, row: Json) -> Delivery | None:
        realm = self._realm(row)
        endpoint = next((each for each in destinations(realm) if each["id"] == row["endpoint"]), None)
        if endpoint is None or endpoint["status"] != "enabled":
            if endpoint is None:
                self._store.drop(DUE, id)
            return None
        body = row["body"].encode()
        headers = self._headers(realm, endpoint["id"], body)
        self._store.drop(DUE, id)
        self._store.put(SENT, id, {**row, "attempts": row["attempts"] + 1})
        self._settle(realm, row["event"], -1)
        return Delivery(id, row["event"], row["type"], endpoint["url"], body, headers, row["attempts"] + 1)

    def _headers(self, realm: Realm, endpoint_id: str, body: bytes) -> dict[str, str]:
        now = self._clock.now()
        known = realm.table("secret")[endpoint_id]["secrets"]
        active = [each["secret"] for each in known if each["until"] is None or each["until"] > now]
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(body, active, int(now)),
        }

    def forge(self, realm: Realm, event: Json | bytes) -> Delivery:
        endpoint = realm.all("webhook_endpoint")[0]
        body = event if isinstance(event, bytes) else json.dumps(event, indent=2).encode()
        known = event if isinstance(event, dict) else {}
        headers = self._headers(realm, endpoint["id"], body)
        return Delivery("forged", known.get("id", ""), known.get("type", ""), endpoint["url"], body, headers, 1)

    def succeeded(self, delivery: Delivery) -> None:
        with self._state():
            self._store.drop(SENT, delivery.id)

    def failed(self, delivery: Delivery) -> None:
        """Schedule a retry, or leave the event pending after the last one."""
        with self._state():
            row = self._store.table(SENT).get(delivery.id)
            if row is None:
                return
            self._store.drop(SENT, delivery.id)
            self._settle(self._realm(row), row["event"], +1)
            if row["attempts"] < len(self.schedule):
                again = self._clock.now() + self.schedule[row["attempts"]]
                self._store.put(DUE, delivery.id, {**row, "at": again})

    def recover(self) -> None:
        """After a restart, queue again the deliveries whose answer is not known."""
        for id, row in list(self._store.table(SENT).items()):
            self._store.drop(SENT, id)
            self._store.put(DUE, id, row)

    def resend(self, realm: Realm, event_id: str) -> None:
        """Queue the event again for every endpoint that wants it."""
        self.enqueue(realm, realm.table("event")[event_id])

    def outstanding(self) -> int:
        """Return the number of deliveries that are due or wait for a retry."""
        return len(self._store.table(DUE))

    def _settle(self, realm: Realm, event_id: str, change: int) -> None:
        row = realm.table("event").get(event_id)
        if row is not None:
            pending = max(0, row["event"]["pending_webhooks"] + change)
            realm.put("event", event_id, {**row, "event": {**row["event"], "pending_webhooks": pending}})

    def _realm(self, row: Json) -> Realm:
        account, livemode = row["realm"]
        return Realm(self._store, account, livemode)
