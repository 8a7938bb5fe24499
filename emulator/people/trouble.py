"""Failures of Stripe on demand: faults, late and lost events, limits, refused keys, lost data."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from stripe_mongo_sync.emulator.engine.engine import Engine
from stripe_mongo_sync.emulator.engine.faults import Fault, Faults, Match
from stripe_mongo_sync.emulator.protocol.renamed import renamed
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.destinations import DESTINATION
from stripe_mongo_sync.emulator.state.events import Match as EventMatch
from stripe_mongo_sync.emulator.state.webhooks import Webhooks

NO_REQUEST: Json = {"id": None, "idempotency_key": None}


class Trouble:
    """The methods that make an engine fail on demand, and those that end it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.webhooks: Webhooks = engine.webhooks
        self.faults: Faults = engine.faults

    def fault(
        self,
        name: str,
        match: Match = None,
        *,
        method: str | None = None,
        path: str | None = None,
        kind: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        seconds: float = 0.0,
    ) -> Fault:
        """Arm a fault of `emulator.FAULTS` for the next requests that match."""
        with self.engine.lock:
            return self.faults.arm(Fault(name, match, method, path, kind, times, skip, seconds))

    def chaos(self, seed: int, rates: Mapping[str, float] | None, match: Match = None, seconds: float = 0.0) -> None:
        """Let requests and webhooks fail at random, reproducibly for a seed. Empty rates end it."""
        with self.engine.lock:
            self.faults.chaos(seed, rates, match, seconds)

    def clear_faults(self) -> None:
        """End all faults, chaos, lag and disruption of webhooks."""
        with self.engine.lock:
            self.faults.clear()
            self.webhooks.disrupt()
            self.engine.events.clear_faults()

    def release_holds(self) -> None:
        """Let the requests continue that the faults `hold` and `hold_after` hold."""
        with self.engine.lock:
            self.faults.release()

    def release_late_requests(self) -> int:
        """Execute the requests that the fault `late_request` delayed; return how many."""
        with self.engine.state():
            return self.engine.release_late_requests()

    def repair(self, key: str | None = None, request: Json | None = NO_REQUEST) -> list[Json]:
        """Execute the requests of the fault 500_repair, or only that of one key; return the objects.

        `request` is the `request` of their events.
        """
        with self.engine.state():
            return copy.deepcopy(self.engine.repair(key, request))

    def limit(self, rate: int | None = None) -> None:
        """Answer 429 beyond `rate` requests a second of an account; a sandbox takes 25. None ends it."""
        self.engine.limiter.rate = rate

    def lag_events(self, seconds: float) -> None:
        """Hide events from the list until they are this old."""
        self.engine.events.lag = seconds

    def lose_event(self, match: EventMatch = "*", times: int = 1) -> None:
        """Neither deliver nor list the next events that match."""
        self.engine.events.expect("lose", match, times)

    def hide_event(self, match: EventMatch = "*", times: int = 1) -> None:
        """Deliver the next events that match, but do not list them before `show_events()`."""
        self.engine.events.expect("hide", match, times)

    def admit_losses(self, livemode: bool = False) -> None:
        """Report the lost events by `v2.core.health.event_generation_failure.resolved` events."""
        with self.engine.state():
            realm = self.engine.realm(livemode)
            for row in self.engine.events.losses(realm):
                self.webhooks.admit(realm, row)

    def show_events(self, livemode: bool = False) -> None:
        """List the hidden events."""
        with self.engine.state():
            self.engine.events.show_hidden(self.engine.realm(livemode))

    def duplicate_events(self, match: EventMatch = "*", times: int = 1) -> None:
        """Announce each of the next changes that match by two distinct events."""
        self.engine.events.expect("duplicate", match, times)

    def restrict(self, key: str, deny: Mapping[str, str]) -> None:
        """Answer 403 to a key. `deny` maps a kind, or `*` for all others, to `read`, `write`, `all` or `none`."""
        self.engine.key_check.restrict(key, deny)

    def revoke(self, key: str) -> None:
        """Answer 401 to this key."""
        self.engine.key_check.revoke(key)

    def wipe(self) -> None:
        """Delete all objects, events and saved replies, but not the webhook endpoints."""
        with self.engine.state():
            for name in self.engine.store.names():
                if name.rpartition("/")[2] not in ("meta", "webhook_endpoint", DESTINATION, "secret"):
                    self.engine.store.wipe(name)

    def reset_account(self, id: str) -> None:
        """Let every key belong to another account, which has a state of its own."""
        with self.engine.state():
            self.engine.account = id
            self.engine.store.put("meta", "account", {"id": id})

    calm = renamed("calm", clear_faults)
    release_zombies = renamed("release_zombies", release_late_requests)
    twin_events = renamed("twin_events", duplicate_events)
    forget = renamed("forget", wipe)
