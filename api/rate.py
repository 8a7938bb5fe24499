"""How fast each token may ask: one runaway client is told to wait before it costs MongoDB or Stripe anything.

It is counted in the memory of each worker process, for itself. (A library would bring five packages for these lines.)
"""

import threading
import time
from collections.abc import Callable

from stripe_mongo_sync.sync.process.fork import in_every_child


class Rate:
    """Admits `per_second` requests a second of each name, and a burst of as many; 0 admits all."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._burst = 1.0 - self._gap  # how far ahead of the clock a name may run: a second's worth
        self._clock = clock
        self._next: dict[str, float] = {}  # when each name would be even; as many as there are tokens
        self._renew()
        in_every_child(self._renew)

    def _renew(self) -> None:
        self._counting = threading.Lock()

    def wait(self, name: str) -> float:
        """Count one request of `name`; return 0.0; or, uncounted, the seconds until it is admitted."""
        if not self._gap:
            return 0.0
        with self._counting:
            now = self._clock()
            even = max(self._next.get(name, now), now)
            early = even - now - self._burst
            if early > 1e-9:
                return early
            self._next[name] = even + self._gap
            return 0.0
