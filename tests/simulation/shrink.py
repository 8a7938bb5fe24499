"""Shrink: leave out of a failing history whatever it does not need to fail."""

from collections.abc import Callable
from typing import Protocol, TypeVar


class Ended(Protocol):
    """What came of a history."""

    steps: list[int]
    violation: str | None


Outcome = TypeVar("Outcome", bound=Ended)


def shrink(failed: Outcome, again: Callable[[list[int]], Outcome]) -> Outcome:
    """Return the shortest failing history that leaving out steps leads to: first halves, then less and less."""
    size = max(1, len(failed.steps) // 2)
    while size:
        begin, shorter = 0, False
        while begin < len(failed.steps):
            outcome = again(failed.steps[:begin] + failed.steps[begin + size :])
            if outcome.violation:
                failed, shorter = outcome, True
            else:
                begin += size
        if not shorter or size > 1:
            size //= 2
    return failed
