"""Patience: a long read keeps to so many requests a second, and repeats what failed until that has lasted too long.

A read changes nothing, so it may be repeated as often as we like; only Stripe's limits and our time forbid it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sync.connection import log
from sync.converge import backoff
from sync.errors import Outage
from sync.gateway import ASK, Answer, Unknown

LASTS = 300.0  # seconds without one answer: then it is no hiccup
WAITS = (timedelta(seconds=1), timedelta(seconds=60))  # after a failure; each is twice the one before
LONGEST_GAP = 1.0  # seconds between two requests, however often Stripe says that there are too many
RECOVERY = 0.99  # after each good answer the gap shrinks to this part of itself


@dataclass
class Patience:
    """The pace of one run: at most `rate` requests a second."""

    rate: float
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    requests: int = 0
    _gap: float = field(default=0.0, init=False)
    _next: float = field(default=0.0, init=False)
    _silent_since: float | None = field(default=None, init=False)  # when the first of the last failures began

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Make every read of Stripe with patience meanwhile."""
        token = ASK.set(self.ask)
        try:
            yield
        finally:
            ASK.reset(token)

    def ask(self, read: Callable[[], Answer]) -> Answer:
        """Make a read when its turn has come, and again until there is an answer. Raises Outage."""
        failures = 0
        while True:
            began = self._turn()
            answer = read()
            if not isinstance(answer, Unknown):
                self._silent_since = None
                self._gap *= RECOVERY
                return answer
            failures += 1
            if self._silent_since is None:
                self._silent_since = began
            if self.clock() - self._silent_since > LASTS:
                raise Outage(f"Stripe has not answered for {LASTS / 60:.0f} minutes: {answer.why}")
            if answer.busy:  # too many: half as many from now on
                self._gap = min(max(self._gap, 1 / self.rate) * 2, max(LONGEST_GAP, 1 / self.rate))
            wait = answer.after if answer.after is not None else backoff(failures, WAITS).total_seconds()
            log.warning("%s; asking again in %.0f s", answer.why, wait)
            self.pause(min(wait, LASTS))

    def _turn(self) -> float:
        now = self.clock()
        if now < self._next:
            self.pause(self._next - now)
            now = self.clock()
        self.requests += 1
        self._next = max(now, self._next) + max(self._gap, 1 / self.rate)
        return now
