"""Stripe's clock: the real time plus an offset, so that tests need not wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime


class Clock:
    """Seconds since the epoch, for every `created`, `Date` and expiry of the emulator."""

    def __init__(self, offset: float = 0.0, moved: Callable[[float], None] = lambda offset: None) -> None:
        self._offset = offset
        self._moved = moved
        self._still: float | None = None

    def now(self) -> float:
        return (time.time() if self._still is None else self._still) + self._offset

    def freeze(self) -> None:
        """Let time pass only by `advance`, so that a run does not depend on its duration."""
        self._still = time.time()

    def advance(self, seconds: float) -> None:
        self._offset += seconds
        self._moved(self._offset)

    def date(self) -> str:
        """Return the `Date` header: whole seconds, rounded down."""
        return format_datetime(datetime.fromtimestamp(int(self.now()), UTC), usegmt=True)
