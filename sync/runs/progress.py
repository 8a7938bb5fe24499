"""The progress of a long run, reported step by step to a callback."""

from collections.abc import Callable
from dataclasses import dataclass, field

from stripe_mongo_sync.sync.process.stop import Stopped as Stopped


@dataclass(frozen=True)
class ProgressStep:
    """One step of a run. Its `share` may cost a query, so it is called only to be shown."""

    name: str
    place: str  # 2/5: the second of five
    count: int  # of what was done
    share: Callable[[], float | None] = lambda: None  # of the whole; None where nobody knows
    done: bool = False


OnProgress = Callable[[ProgressStep], None]  # may raise Stopped


def no_progress(step: ProgressStep) -> None:
    """Ignore the progress."""


@dataclass
class Backlog:
    """A step that works through a backlog, perhaps with other runs: what is left shows the progress."""

    on_progress: OnProgress
    name: str
    place: str
    left: Callable[[], int]
    count: int = 0
    _first: int | None = field(default=None, init=False)  # what was left when it was first asked

    def advance(self) -> None:
        """Count one more, and report it."""
        self.count += 1
        self.on_progress(ProgressStep(self.name, self.place, self.count, self._share))

    def end(self) -> None:
        """Report that nothing is left."""
        if self.count:
            self.on_progress(ProgressStep(self.name, self.place, self.count, lambda: 1.0, done=True))

    def _share(self) -> float:
        left = self.left()
        if self._first is None:
            self._first = left + 1  # and the one that was done
        return max(1 - left / self._first, 0.0)
