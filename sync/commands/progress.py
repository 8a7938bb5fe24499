"""How far a backfill is: a bar where somebody watches, a plain line now and then where nobody does."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from sync.backfill import Backfill

WATCHED, UNWATCHED = 0.1, 30.0  # seconds between two lines
WIDTH = 24  # characters of the bar
ERASE = "\r\x1b[K"


@dataclass
class Progress:
    """Writes to `out`: kind, share, count, rate and, where it can be known, the time that is left for this kind."""

    out: TextIO
    clock: Callable[[], float] = time.monotonic
    _kind: str = field(default="", init=False)
    _began: tuple[float, int, float] = field(default=(0.0, 0, 0.0), init=False)  # when, at which count and share
    _shown_at: float = field(default=float("-inf"), init=False)

    def show(self, whole: Backfill, kind: str) -> None:
        """Tell how far it is with a kind, unless that was told just now."""
        now, part, watched = self.clock(), whole.parts[kind], self.out.isatty()
        count, share = part.counts.total(), whole.share(part)
        if kind != self._kind:
            self._kind, self._began = kind, (now, count, share or 0.0)
        due = now - self._shown_at >= (WATCHED if watched else UNWATCHED)
        if not due and not (part.done and count):
            return
        self._shown_at = now
        told = " · ".join(part for part in (f"{kind} {count:,}", *self._pace(now, count, share)) if part)
        place = f"[{list(whole.models).index(kind) + 1}/{len(whole.models)}]"
        if watched:
            full = int(WIDTH * (share or 0.0))
            bar = f"{'█' * full}{'░' * (WIDTH - full)}"
            self.out.write(f"{ERASE}{place} {bar} {told}" + ("\n" if part.done else ""))
        else:
            self.out.write(f"{place} {told}\n")
        self.out.flush()

    def _pace(self, now: float, count: int, share: float | None) -> tuple[str, ...]:
        began, first, covered = self._began
        took = now - began
        rate = f"{(count - first) / took:,.0f}/s" if took > 0 and count > first else ""
        if share is None:
            return "", rate
        gained = share - covered
        left = took * (1 - share) / gained if gained > 0 and took > 0 and share < 1 else None
        return f"{share:.0%}", rate, "" if left is None else f"about {_spoken(left)} left"

    def end(self) -> None:
        """Leave the bar as it is, and go on below it."""
        if self.out.isatty():
            self.out.write(ERASE)
            self.out.flush()


def _spoken(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
