"""What a chapter says, and how it is checked: in the words of a shop owner, and on both sides."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stripe_mongo_sync.demo.client import NoAnswer
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.sync.logs import one_line

PATIENCE = 10.0  # seconds until a claim must hold; a webhook takes a tenth of one
POLL = 0.02  # seconds between two looks

ADA, BOB, CLEO, DORA, EVE, FAY = (f"{name}@here.com" for name in ("ada", "bob", "cleo", "dora", "eve", "fay"))


@dataclass(frozen=True)
class Claim:
    """Words that a shop owner understands, and what is `seen` when they are true."""

    words: str
    seen: Callable[[], object]
    expected: object = True
    patience: float = PATIENCE

    def wrong(self) -> str | None:
        """Wait until it holds and return None, or else what was seen instead."""
        deadline = time.monotonic() + self.patience
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


Told = Iterator[Claim | str]  # a string tells what happens meanwhile


@dataclass(frozen=True)
class Chapter:
    """A part of the story: it does something with the shop, and yields what is true then."""

    title: str
    tell: Callable[[Shop], Told]


def chapter(title: str) -> Callable[[Callable[[Shop], Told]], Chapter]:
    """Make a chapter of the function that tells it."""
    return lambda tell: Chapter(title, tell)
