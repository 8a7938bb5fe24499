"""The deadline: until when whoever asks Stripe may go on, by a watch that also runs while this machine sleeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

from stripe_mongo_sync.models.rows.clock import LEASE, stopwatch

TIMEOUT = (3.05, 15.0)  # seconds to connect to Stripe and to read; the library's own default is 80
# By `stopwatch`: after it, nothing that changes anything is sent. Where nobody has set one, nothing ever is.
DEADLINE: ContextVar[float | None] = ContextVar("DEADLINE", default=None)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Send nothing later than that: who was asleep so long has lost the lease, and perhaps the key."""
    ours, outer = stopwatch() + seconds, DEADLINE.get()
    token = DEADLINE.set(ours if outer is None else min(outer, ours))
    try:
        yield
    finally:
        DEADLINE.reset(token)


def time_left() -> float:
    """Return the seconds until the deadline; where there is none, there is no end."""
    deadline = DEADLINE.get()
    return inf if deadline is None else deadline - stopwatch()


def in_time() -> bool:
    """Whether something may be sent: an answer would come before the deadline."""
    return DEADLINE.get() is not None and time_left() >= sum(TIMEOUT)


within_lease = deadline_in(LEASE.total_seconds())  # decorates what takes a lease and then sends
prompt = deadline_in(45.0)  # decorates what sends for whoever waits for it, and concerns no document
