"""Backoff: how long to wait after a failure before the next attempt."""

import random
from datetime import timedelta

BACKOFF = (timedelta(seconds=30), timedelta(hours=1))  # the first wait and the longest; each is twice the one before


def backoff(attempts: int, limits: tuple[timedelta, timedelta] = BACKOFF) -> timedelta:
    """Return how long to wait after so many attempts, with jitter, so that many workers do not retry together."""
    first, longest = limits
    wait: timedelta = min(first * 2 ** min(attempts - 1, 10), longest)
    jittered: timedelta = wait * random.uniform(0.75, 1.25)  # noqa: S311  # not a secret
    return jittered
