"""Limits log lines that any stranger can cause: a few in each minute, and then the number of the others."""

import logging
import time
from collections.abc import Callable

LINES = 10  # a minute, for each reason
MINUTE = 60.0  # s
UNREADABLE = "Invalid request from ip="  # how gunicorn's line begins


class Few:
    """Limits the lines of a log for each reason and minute. Each process has its own limit."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._seen: dict[str, tuple[float, int]] = {}  # of each reason: when its minute began, and how many came since

    def warn(self, reason: str, told: str) -> None:
        """Log a line unless there were too many for this reason. The reasons are our constants, so there are few."""
        if (more := self._admits(reason)) is not None:
            self._log.warning("%s%s", told, more)

    def of_strangers(self, record: logging.LogRecord) -> bool:
        """Filter gunicorn's records: limit those about unreadable requests, and let all others pass."""
        if not str(record.msg).startswith(UNREADABLE):
            return True
        more = self._admits("unreadable")
        if more:
            record.msg, record.args = record.getMessage() + more, None
        return more is not None

    def _admits(self, reason: str) -> str | None:
        """Return None if a line must be omitted, else the text about the lines that were omitted before it.

        There is no lock: threads that count at the same moment may let one line more pass, which does no harm.
        """
        now = self._clock()
        began, count = self._seen.get(reason, (now, 0))
        more = ""
        if now - began >= MINUTE:
            more = f" (and {count - LINES} more like it, since the last line)" if count > LINES else ""
            began, count = now, 0
        self._seen[reason] = (began, count + 1)
        return more if count < LINES else None
