"""Progress: how far a long run is, told step by step to whoever wants to show it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from stripe_mongo_sync.sync.process.stop import Stopped as Stopped


@dataclass(frozen=True)
class ProgressStep:
    """One part of a run, as it is now. To ask for its share may cost a question: only who shows it asks."""

    name: str
    place: str  # 2/5: the second of five
    count: int  # of what was done
    share: Callable[[], float | None] = lambda: None  # of the whole; None where nobody knows
    done: bool = False


OnProgress = Callable[[ProgressStep], None]  # may raise Stopped


def no_progress(step: ProgressStep) -> None:
    """Nobody wants to know."""


@dataclass
class Backlog:
    """A step that works something off, alone or with others: what is left now tells how far it is."""

    note: OnProgress
    name: str
    place: str
    left: Callable[[], int]
    count: int = 0
    _first: int | None = field(default=None, init=False)  # what was left when it was first asked

    def advance(self) -> None:
        """One more is done."""
        self.count += 1
        self.note(ProgressStep(self.name, self.place, self.count, self._share))

    def end(self) -> None:
        """Nothing is left."""
        if self.count:
            self.note(ProgressStep(self.name, self.place, self.count, lambda: 1.0, done=True))

    def _share(self) -> float:
        left = self.left()
        if self._first is None:
            self._first = left + 1  # and the one that was done
        return max(1 - left / self._first, 0.0)
