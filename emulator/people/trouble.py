"""All that can go wrong at Stripe, on demand: faults, late and lost events, limits, refused keys, lost data."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from stripe_mongo_sync.emulator.engine.engine import Engine
from stripe_mongo_sync.emulator.engine.faults import Fault, Faults, Match
from stripe_mongo_sync.emulator.protocol.renamed import renamed
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.destinations import DESTINATION
from stripe_mongo_sync.emulator.state.events import MATCH
from stripe_mongo_sync.emulator.state.webhooks import Webhooks

NOBODY: Json = {"id": None, "idempotency_key": None}


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
        """Arm a fault (their names: `emulator.faults.FAULTS`) for the next requests that match."""
        with self.engine.lock:
            return self.faults.arm(Fault(name, match, method, path, kind, times, skip, seconds))

    def chaos(self, seed: int, rates: Mapping[str, float] | None, match: Match = None, seconds: float = 0.0) -> None:
        """Let requests and webhooks fail at random, reproducibly; empty rates end it."""
        with self.engine.lock:
            self.faults.chaos(seed, rates, match, seconds)

    def clear_faults(self) -> None:
        """No more faults, chaos, lag or disrupted webhooks."""
        with self.engine.lock:
            self.faults.clear()
            self.webhooks.disrupt()
            self.engine.events.clear_faults()

    def release_holds(self) -> None:
        """Let requests held by the faults hold and hold_after go on."""
        with self.engine.lock:
            self.faults.release()

    def release_late_requests(self) -> int:
        with self.engine.state():
            return self.engine.release_late_requests()

    def repair(self, key: str | None = None, request: Json | None = NOBODY) -> list[Json]:
        """Roll forward the objects of stored 500s (fault 500_repair); `request` is what their events say."""
        with self.engine.state():
            return copy.deepcopy(self.engine.repair(key, request))

    def limit(self, rate: int | None = None) -> None:
        """Answer 429 beyond so many requests of an account in a second; a sandbox takes 25. None: no limit."""
        self.engine.limiter.rate = rate

    def lag_events(self, seconds: float) -> None:
        """Events younger than this are not listed yet."""
        self.engine.events.lag = seconds

    def lose_event(self, match: MATCH = "*", times: int = 1) -> None:
        """The next events that match are neither delivered nor listed, ever."""
        self.engine.events.expect("lose", match, times)

    def hide_event(self, match: MATCH = "*", times: int = 1) -> None:
        """The next events that match are delivered, but not listed before `show_events()`."""
        self.engine.events.expect("hide", match, times)

    def admit_losses(self, livemode: bool = False) -> None:
        """Tell, by thin events, of those that were lost: `v2.core.health.event_generation_failure.resolved`."""
        with self.engine.state():
            realm = self.engine.realm(livemode)
            for row in self.engine.events.losses(realm):
                self.webhooks.admit(realm, row)

    def show_events(self, livemode: bool = False) -> None:
        with self.engine.state():
            self.engine.events.show_hidden(self.engine.realm(livemode))

    def duplicate_events(self, match: MATCH = "*", times: int = 1) -> None:
        """The next changes that match are announced by two distinct events."""
        self.engine.events.expect("duplicate", match, times)

    def restrict(self, key: str, deny: Mapping[str, str]) -> None:
        """Deny a key `read`, `write`, `all` or `none` on a kind, or on `*`, all that are not named: 403."""
        self.engine.key_check.restrict(key, deny)

    def revoke(self, key: str) -> None:
        """401 for this key from now on."""
        self.engine.key_check.revoke(key)

    def wipe(self) -> None:
        """Lose all objects, events and saved replies; the webhook endpoints stay."""
        with self.engine.state():
            for name in self.engine.store.names():
                if name.rpartition("/")[2] not in ("meta", "webhook_endpoint", DESTINATION, "secret"):
                    self.engine.store.wipe(name)

    def reset_account(self, id: str) -> None:
        """From now on every key belongs to another account, which has a state of its own."""
        with self.engine.state():
            self.engine.account = id
            self.engine.store.put("meta", "account", {"id": id})

    calm = renamed("calm", clear_faults)
    release_zombies = renamed("release_zombies", release_late_requests)
    twin_events = renamed("twin_events", duplicate_events)
    forget = renamed("forget", wipe)
