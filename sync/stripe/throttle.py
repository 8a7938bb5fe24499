"""Throttle: it limits the Stripe requests of one run, slows down after a 429, and ends the run in an outage.

It limits reads and writes alike. Only reconcile and backfill are throttled, never API requests or webhooks.
"""

import threading
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
from stripe_mongo_sync.sync.stripe.answers import Answer, Unknown, advice

OUTAGE_AFTER = 300.0  # s without an answer until a long read ends
RUN_OUTAGE_AFTER = 60.0  # s, for a run that is repeated in minutes and holds a lease of two
WAITS = (timedelta(seconds=1), timedelta(seconds=60))  # the first and the longest wait after a failure; each doubles
TRIES = 5  # attempts of a request that Stripe asks to repeat (409 or 429)
LONGEST_GAP = 1.0  # s between two requests, however often Stripe answers 429
RECOVERY = 0.99  # each good answer multiplies the gap by this

Ask = Callable[[Callable[[], Answer]], Answer]

# How this context makes a request: immediately, or throttled.
CALL_POLICY: ContextVar[Ask] = ContextVar("CALL_POLICY", default=lambda call: call())


@dataclass
class Throttle:
    """Limits one run to `rate` requests a second, and ends it after `outage_after` seconds without an answer.

    With `retry_all` it repeats every failed request, as a long read may, because a read changes nothing. Otherwise it
    repeats only requests that Stripe asks to repeat (a 409 or a 429), up to `TRIES` times with the same key, and leaves
    all others to the next run.
    """

    rate: float = RATE
    pause: Callable[[float], None] = STOP.wait
    clock: Callable[[], float] = time.monotonic
    retry_all: bool = True
    outage_after: float = OUTAGE_AFTER
    requests: int = 0
    _gap: float = field(default=0.0, init=False)
    _next: float = field(default=0.0, init=False)
    _failures: int = field(default=0, init=False)  # consecutive failed requests
    _line: threading.Lock = field(default_factory=threading.Lock, init=False)
    _silent_since: float | None = field(default=None, init=False)  # when the first of these began

    @contextmanager
    def active(self) -> Iterator[None]:
        """Throttle the requests of this context while the block runs."""
        token = CALL_POLICY.set(self.ask)
        try:
            yield
        finally:
            CALL_POLICY.reset(token)

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """Make a request when its turn has come, and retry it where that may help. Raises Outage, Stopped."""
        tries = 0
        while True:
            began = self._turn()
            answer = call()
            if not isinstance(answer, Unknown) or answer.saved:  # a saved error is an answer, too
                self._silent_since, self._failures = None, 0
                self._gap *= RECOVERY
                return answer
            tries += 1
            self._failed(answer, began)
            if not self.retry_all and not (answer.retry_later and tries < TRIES):
                return answer
            STOP.give_up()  # nothing was done, and there may be no answer for minutes

    def _failed(self, answer: Unknown, began: float) -> None:
        """Let the whole run wait, not only this request: the next one would probably fail, too."""
        self._failures += 1
        now = self.clock()
        self._silent_since = began if self._silent_since is None else self._silent_since
        if now - self._silent_since > self.outage_after:
            outage = Outage(f"Stripe has not answered for {_spoken(self.outage_after)}: {answer.reason}")
            outage.advice = advice(answer)
            raise outage
        if answer.retry_later:  # halve the rate from now on
            self._gap = min(max(self._gap, 1 / self.rate) * 2, max(LONGEST_GAP, 1 / self.rate))
        wait = answer.retry_after if answer.retry_after is not None else backoff(self._failures, WAITS).total_seconds()
        if answer.retry_after is not None and wait > self.outage_after and not self.retry_all:
            raise Outage(f"{answer.reason}, and asks us to wait {wait:.0f} s")
        self._next = max(self._next, now + min(wait, self.outage_after))
        log.warning("%s; next request in %.0f s", answer.reason, wait)

    def _turn(self) -> float:
        with self._line:  # a page is read ahead in a thread, which takes turns with the others of the run
            now = self.clock()
            if now < self._next:
                self.pause(self._next - now)
                now = self.clock()
            self.requests += 1
            self._next = max(now, self._next) + max(self._gap, 1 / self.rate)
            return now


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds > 60 else f"{seconds:.0f} seconds"
