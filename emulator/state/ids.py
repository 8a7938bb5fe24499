"""Random-looking ids, which are the same for the same seed, and unique within a state file."""

from __future__ import annotations

import hashlib

from stripe_mongo_sync.emulator.state.store import Store

ALPHABETS = {
    "base62": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "upper": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


class Ids:
    """Derives ids from a counter that is part of the state, so a restart repeats none."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._seed = seed
        self._count: int = store.table("meta").get("ids", {"count": 0})["count"]

    def draw(self, width: int, alphabet: str) -> str:
        self._count += 1
        self._store.put("meta", "ids", {"count": self._count})
        letters = ALPHABETS[alphabet]
        number = int.from_bytes(hashlib.sha256(f"{self._seed}:{self._count}".encode()).digest(), "big")
        result = ""
        for _ in range(width):
            number, place = divmod(number, len(letters))
            result += letters[place]
        return result
