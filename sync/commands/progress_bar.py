"""Shows the progress of a long run: a bar on a terminal, else a plain line now and then."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TextIO

from stripe_mongo_sync.sync.logs import log, one_line
from stripe_mongo_sync.sync.process.screen import draw
from stripe_mongo_sync.sync.runs.progress import ProgressStep

WATCHED, UNWATCHED = 1.0, 30.0  # seconds between two lines
WIDTH = 24  # characters of the bar
ERASE = "\r\x1b[K"
BAR = "█░"


@dataclass
class Progress(AbstractContextManager["Progress"]):
    """Writes to `out`: step, share, count, rate and, where it is known, the time that is left for this step.

    A run that ends within `after` seconds shows nothing. While there is a bar, log lines below a warning are left out,
    because they would bury it.
    """

    out: TextIO
    clock: Callable[[], float] = time.monotonic
    after: float = 0.0
    _step: str = field(default="", init=False)
    _began: tuple[float, int, float] = field(default=(0.0, 0, 0.0), init=False)  # when, at which count and share
    _shown_at: float | None = field(default=None, init=False)
    _level: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._watched = self.out.isatty()
        self._silent_until = self.clock() + self.after

    def __exit__(self, *error: object) -> None:
        self.end()

    def show(self, step: ProgressStep) -> None:
        """Show the progress of a step, unless it was shown just now."""
        now = self.clock()
        new = step.name != self._step
        if not new and not self._due(now, step):
            return
        share = step.share()
        if new:
            self._step, self._began = step.name, (now, step.count, share or 0.0)
            if not self._due(now, step):
                return
        self._shown_at = now
        told = " · ".join(part for part in (f"{step.name} {step.count:,}", *self._pace(now, step.count, share)) if part)
        if self._watched:
            self._hush()
            full = int(WIDTH * (share or 0.0))
            done, left = _marks(self.out)
            bar = f"{done * full}{left * (WIDTH - full)}"
            draw(f"{ERASE}[{step.place}] {bar} {one_line(told)}" + ("\n" if step.done else ""), self.out)
        else:
            draw(f"[{step.place}] {one_line(told)}\n", self.out)

    def _due(self, now: float, step: ProgressStep) -> bool:
        if now < self._silent_until:
            return False
        every = WATCHED if self._watched else UNWATCHED
        return self._shown_at is None or now - self._shown_at >= every or (step.done and step.count > 0)

    def _pace(self, now: float, count: int, share: float | None) -> tuple[str, ...]:
        began, first, covered = self._began
        took = now - began
        rate = f"{(count - first) / took:,.0f}/s" if took > 0 and count > first else ""
        if share is None:
            return "", rate
        gained = share - covered
        left = took * (1 - share) / gained if gained > 0 and took > 0 and share < 1 else None
        return f"{share:.0%}", rate, "" if left is None else f"about {_spoken(left)} left"

    def _hush(self) -> None:
        if self._level is None:
            self._level = log.level
            log.setLevel(logging.WARNING)

    def end(self) -> None:
        """Erase a bar that is not full, and restore the log level."""
        if self._level is not None:
            log.setLevel(self._level)
            self._level = None
            draw(ERASE, self.out)


def _marks(out: TextIO) -> tuple[str, str]:
    try:
        BAR.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        return "#", "."
    return BAR[0], BAR[1]


def _spoken(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
