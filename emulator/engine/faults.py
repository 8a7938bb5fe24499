"""The faults of requests: a test arms them one by one, or lets them happen at random."""

from __future__ import annotations

import fnmatch
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stripe_mongo_sync.emulator.protocol.renamed import fault_name
from stripe_mongo_sync.emulator.protocol.wire import LogEntry

# Each fault: what the caller sees, and what Stripe did. Those in WRITES apply only to POST and DELETE.
FAULTS: dict[str, str] = {
    "refuse": "connection refused; nothing done, nothing logged",
    "cut_before": "connection cut before the request is executed",
    "cut_after": "connection cut after the request was executed and its reply saved",
    "timeout_before": "no answer; nothing done",
    "timeout_after": "no answer; executed, and its reply saved",
    "late_request": "no answer; executed later, by release_late_requests() or when its seconds have passed",
    "rate_limit": "429 with Stripe-Rate-Limited-Reason; not saved",
    "lock_timeout": "429 lock_timeout; not saved",
    "500_before": "500, saved; nothing made",
    "500_after": "500, saved; made, with events that carry the key",
    "500_repair": "500, saved; rolled forward by repair(), with events that carry no key",
    "503_edge": "503 from the edge, HTML, no request id; not saved",
    "bad_body": "executed and saved; the JSON of the reply is cut short",
    "html_body": "executed and saved; the reply is a page of HTML",
    "decline": "402 card_declined, saved; nothing made",
    "missing": "404 resource_missing on a GET of an object that is there, and is listed",
    "refuse_401": "401; not saved",
    "refuse_403": "403; not saved",
    "idempotency_in_use": "409 idempotency_key_in_use; not saved",
    "slow": "executed after `seconds`, its key in use meanwhile",
    "slow_after": "executed immediately, answered after `seconds`",
    "hold": "executed after release_holds(), its key in use meanwhile",
    "hold_after": "executed immediately, answered after release_holds()",
}
WRITES = {"500_after", "500_repair", "decline", "late_request", "idempotency_in_use"}
READS = {"missing"}  # apply only to GET
WEBHOOKS = {
    "webhook_drop": "a delivery that never arrives",
    "webhook_delay": "a delivery that arrives late",
    "webhook_double": "a delivery that arrives twice",
    "webhook_lose": "an event that is neither delivered nor listed",
}
Match = str | Mapping[str, str] | Callable[[LogEntry], bool] | None


@dataclass
class Fault:
    """An armed fault: the requests that it matches, and how many more of them fail."""

    name: str
    match: Match = None
    method: str | None = None
    path: str | None = None
    kind: str | None = None
    times: int | None = 1  # None: no limit
    skip: int = 0  # this many matching requests succeed first
    seconds: float = 0.0
    hits: int = 0
    entered: threading.Event = field(default_factory=threading.Event, repr=False)
    released: threading.Event = field(default_factory=threading.Event, repr=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fault:
        """Copy without held requests: they wait for the original."""
        return replace(self, entered=threading.Event(), released=threading.Event())

    def release(self) -> None:
        """Let a held request continue."""
        self.released.set()

    def meets(self, call: LogEntry) -> bool:
        if self.times == 0 or not self._fits(call):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        if self.times is not None:
            self.times -= 1
        return True

    def _fits(self, call: LogEntry) -> bool:
        if self.name in (WRITES if call.method == "GET" else READS):
            return False
        wanted: dict[str, Any] = {"method": self.method, "path": self.path, "kind": self.kind}
        if callable(self.match):
            if not self.match(call):
                return False
        elif isinstance(self.match, str):
            method, _, path = self.match.rpartition(" ")
            wanted |= {"method": method or None, "path": path}
        elif self.match is not None:
            wanted |= self.match
        return all(
            pattern is None or fnmatch.fnmatchcase(str(getattr(call, name)), pattern)
            for name, pattern in wanted.items()
        )


class Faults:
    """Picks at most one fault for each request: an armed one, else one at random."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._holding: list[Fault] = []
        self._chance = random.Random(0)  # noqa: S311 - not for secrets
        self._rates: dict[str, float] = {}
        self._chaos_match: Match = None
        self._seconds = 0.0

    def arm(self, fault: Fault) -> Fault:
        fault.name = fault_name(fault.name)
        if fault.name not in FAULTS:
            raise ValueError(f"no fault is called {fault.name!r}; known are {', '.join(FAULTS)}")
        self._armed.append(fault)
        if fault.name.startswith("hold"):
            self._holding.append(fault)
        return fault

    def chaos(self, seed: int, rates: Mapping[str, float] | None, match: Match = None, seconds: float = 0.0) -> None:
        """Let requests fail with these probabilities, reproducibly for the same seed."""
        rates = {fault_name(name): rate for name, rate in (rates or {}).items()}
        if unknown := rates.keys() - FAULTS.keys() - WEBHOOKS.keys():
            raise ValueError(f"no fault is called {', '.join(sorted(unknown))}")
        self._chance, self._rates, self._chaos_match, self._seconds = random.Random(seed), rates, match, seconds  # noqa: S311

    def clear(self) -> None:
        self.release()
        self._armed.clear()
        self._rates = {}

    def release(self) -> None:
        """Let every held request continue, and cancel the armed holds."""
        for fault in self._holding:
            fault.release()
        self._holding.clear()

    def pick(self, call: LogEntry) -> Fault | None:
        self._armed = [fault for fault in self._armed if fault.times != 0]
        for fault in self._armed:
            if fault.meets(call):
                return fault
        for name, rate in self._rates.items():
            fault = Fault(name, self._chaos_match, seconds=self._seconds)
            if name in FAULTS and self._chance.random() < rate and fault.meets(call):
                return fault
        return None

    def chance(self, name: str) -> bool:
        rate = self._rates.get(name, 0.0)
        return rate > 0 and self._chance.random() < rate
