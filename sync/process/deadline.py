"""The deadline after which nothing is sent to Stripe, by a clock that also runs while this machine sleeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

from stripe_mongo_sync.models.rows.clock import LEASE, stopwatch

TIMEOUT = (3.05, 15.0)  # seconds to connect to Stripe and to read; the library's own default is 80
# By `stopwatch`: after it, nothing that changes anything is sent. Without a deadline, no change is sent at all.
DEADLINE: ContextVar[float | None] = ContextVar("DEADLINE", default=None)


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Send no change after so many seconds: a process that slept longer has lost its lease, and perhaps its key."""
    ours, outer = stopwatch() + seconds, DEADLINE.get()
    token = DEADLINE.set(ours if outer is None else min(outer, ours))
    try:
        yield
    finally:
        DEADLINE.reset(token)


def time_left() -> float:
    """Return the seconds until the deadline; infinity without one."""
    deadline = DEADLINE.get()
    return inf if deadline is None else deadline - stopwatch()


def in_time(times: tuple[float, float] = TIMEOUT) -> bool:
    """Whether a change may be sent, because its answer would come before the deadline."""
    return DEADLINE.get() is not None and time_left() >= sum(times)


within_lease = deadline_in(LEASE.total_seconds())  # decorates functions that take a lease and then send
prompt = deadline_in(45.0)  # decorates functions that send for a waiting caller, without a document
