"""Remembers which objects the lists showed, in eight bytes for each: a million take 18 MB."""

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from itertools import count

from stripe_mongo_sync.models.state import State

ROOMS = 1 << 14  # a search walks through one of these: of a million objects, through sixty
PAGES = 1000  # in one saved row: 800 kB


class Seen:
    """A set of texts, saved under a name page by page, so that a run which was killed need not read its lists again.

    Two texts are taken for one once in 10¹³ cases: then a document that its list left out is not looked at.
    """

    def __init__(self, name: str) -> None:
        self._name, self._pages = name, 0
        self._rooms = [array("Q") for _ in range(ROOMS)]
        self._new = array("Q")  # what is not saved yet

    def add(self, texts: Iterable[str]) -> None:
        """Add these texts."""
        self._new.extend(new := [_number(text) for text in texts])
        self._put(new)

    def __contains__(self, text: str) -> bool:
        number = _number(text)
        return number in self._rooms[number % ROOMS]

    def keep(self) -> None:
        """Save what was added since the last time."""
        if self._new:
            State.push(f"{self._name} {self._pages // PAGES}", "ids", self._new.tobytes())
            self._new, self._pages = array("Q"), self._pages + 1

    def recall(self) -> None:
        """Add what was saved under this name."""
        for row in count():
            value = State.read(f"{self._name} {row}")
            for saved in value["ids"] if value else ():
                self._put(array("Q", saved))
            if value is None:
                self._pages = row * PAGES  # the next page begins a row
                return

    def _put(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._rooms[number % ROOMS].append(number)


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())
