"""An expectation of a chapter: a sentence in the words of a shop owner, and its check on both sides."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stripe_mongo_sync.demo.client import NoAnswer
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.sync.logs import one_line

TIMEOUT = 10.0  # seconds within which an expectation must be met; a webhook takes a tenth of one
POLL = 0.02  # seconds between two checks

ADA, BOB, CLEO, DORA, EVE, FAY = (f"{name}@here.com" for name in ("ada", "bob", "cleo", "dora", "eve", "fay"))


@dataclass(frozen=True)
class Expectation:
    """A sentence that a shop owner understands. It is true when `seen` returns `expected`."""

    words: str
    seen: Callable[[], object]
    expected: object = True
    timeout: float = TIMEOUT

    def mismatch(self) -> str | None:
        """Wait until the expectation is met and return None, or after the timeout return what was seen instead."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                seen = self.seen()
            except (NoAnswer, OSError) as error:  # a process that was killed is not back yet
                seen = error
            if seen == self.expected:
                return None
            if time.monotonic() > deadline:
                return f"expected {self.expected}\nseen     {one_line(str(seen))}"
            time.sleep(POLL)


Steps = Iterator[Expectation | str]  # a string says what the demo does


@dataclass(frozen=True)
class Chapter:
    """A part of the story: it acts on the shop, and yields expectations."""

    title: str
    run: Callable[[Shop], Steps]


def chapter(title: str) -> Callable[[Callable[[Shop], Steps]], Chapter]:
    """Make a chapter of a function."""
    return lambda run: Chapter(title, run)
