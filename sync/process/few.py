"""Few lines for what strangers cause as often as they like: some in each minute, and how many more there were."""

import logging
import time
from collections.abc import Callable

LINES = 10  # a minute, for each reason
MINUTE = 60.0  # s
UNREADABLE = "Invalid request from ip="  # how gunicorn's line begins


class Few:
    """Lets a bounded number of lines into a log. One for each process, as the log's file may well be."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._seen: dict[str, tuple[float, int]] = {}  # of each reason: when its minute began, and how many came since

    def warn(self, reason: str, told: str) -> None:
        """Log a line, if there were not too many for this reason. The reasons are ours, so there are few."""
        if (more := self._admits(reason)) is not None:
            self._log.warning("%s%s", told, more)

    def of_strangers(self, record: logging.LogRecord) -> bool:
        """Let a record of gunicorn's pass, if it is not one more about a request that nobody could read."""
        if not str(record.msg).startswith(UNREADABLE):
            return True
        more = self._admits("unreadable")
        if more:
            record.msg, record.args = record.getMessage() + more, None
        return more is not None

    def _admits(self, reason: str) -> str | None:
        """Return None where a line is left out; else what it says of those that were left out since the last one.

        Without a lock: threads that count at the same moment may let a line more pass, and that is no harm.
        """
        now = self._clock()
        began, count = self._seen.get(reason, (now, 0))
        more = ""
        if now - began >= MINUTE:
            more = f" (and {count - LINES} more like it, since the last line)" if count > LINES else ""
            began, count = now, 0
        self._seen[reason] = (began, count + 1)
        return more if count < LINES else None
