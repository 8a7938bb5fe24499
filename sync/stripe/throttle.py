"""Patience: one run keeps to so many requests a second, slows down when Stripe says so, and gives up on an outage.

Reads and writes are paced alike. What the callers at the live doors ask is never held up: they have no patience.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta

from stripe_mongo_sync.sync.errors import Outage
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.process.limits import RATE
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.stripe.answers import Answer, Unknown

OUTAGE_AFTER = 300.0  # seconds without one answer: then it is no hiccup
RUN_OUTAGE_AFTER = 60.0  # the same for a run that comes again in minutes, and holds a lease of two
WAITS = (timedelta(seconds=1), timedelta(seconds=60))  # after a failure; each is twice the one before
TRIES = 5  # of a request that Stripe asks to repeat, where the next may well be answered
LONGEST_GAP = 1.0  # seconds between two requests, however often Stripe says that there are too many
RECOVERY = 0.99  # after each good answer the gap shrinks to this part of itself

Ask = Callable[[Callable[[], Answer]], Answer]

CALL_POLICY: ContextVar[Ask] = ContextVar(
    "CALL_POLICY", default=lambda call: call()
)  # how a request is made: at once, or with patience


@dataclass
class Throttle:
    """The pace of one run: at most `rate` requests a second, and none after `outage_after` seconds of silence.

    A `retry_all` one repeats whatever failed: a long read may, as it changes nothing. The others repeat only what
    Stripe asks them to (too many requests, or another one under way), for a while: so an operation keeps its key, and
    is done or left to the next run.
    """

    rate: float = RATE
    pause: Callable[[float], None] = STOP.wait
    clock: Callable[[], float] = time.monotonic
    retry_all: bool = True
    outage_after: float = OUTAGE_AFTER
    requests: int = 0
    _gap: float = field(default=0.0, init=False)
    _next: float = field(default=0.0, init=False)
    _failures: int = field(default=0, init=False)  # in a row, whatever was asked
    _silent_since: float | None = field(default=None, init=False)  # when the first of them began

    @contextmanager
    def active(self) -> Iterator[None]:
        """Ask Stripe with patience meanwhile."""
        token = CALL_POLICY.set(self.ask)
        try:
            yield
        finally:
            CALL_POLICY.reset(token)

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """Make a request when its turn has come, and again where that may help. Raises Outage, Stopped."""
        tries = 0
        while True:
            began = self._turn()
            answer = call()
            if not isinstance(answer, Unknown) or answer.saved:  # what Stripe remembers is an answer, too
                self._silent_since, self._failures = None, 0
                self._gap *= RECOVERY
                return answer
            tries += 1
            self._failed(answer, began)
            if not self.retry_all and not (answer.retry_later and tries < TRIES):
                return answer
            STOP.give_up()  # nothing was done, and who knows when it will be

    def _failed(self, answer: Unknown, began: float) -> None:
        """Let the whole run wait, not this request alone: the next one would fail as well."""
        self._failures += 1
        now = self.clock()
        self._silent_since = began if self._silent_since is None else self._silent_since
        if now - self._silent_since > self.outage_after:
            raise Outage(f"Stripe has not answered for {_spoken(self.outage_after)}: {answer.reason}")
        if answer.retry_later:  # too many: half as many from now on
            self._gap = min(max(self._gap, 1 / self.rate) * 2, max(LONGEST_GAP, 1 / self.rate))
        wait = answer.retry_after if answer.retry_after is not None else backoff(self._failures, WAITS).total_seconds()
        if answer.retry_after is not None and wait > self.outage_after and not self.retry_all:
            raise Outage(f"{answer.reason}, and asks us to wait {wait:.0f} s")
        self._next = max(self._next, now + min(wait, self.outage_after))
        log.warning("%s; asking again in %.0f s", answer.reason, wait)

    def _turn(self) -> float:
        now = self.clock()
        if now < self._next:
            self.pause(self._next - now)
            now = self.clock()
        self.requests += 1
        self._next = max(now, self._next) + max(self._gap, 1 / self.rate)
        return now


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds > 60 else f"{seconds:.0f} seconds"
