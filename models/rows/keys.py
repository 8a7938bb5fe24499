"""The idempotency key that links a Stripe object to its document: Stripe repeats it in the events that a call causes.

`wrong_key` is the one check of the keys that callers send, by HTTP or in Python.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Self

from bson import ObjectId

PREFIX = "sms1"  # ours, and the version of this format
LONGEST_KEY = 255  # characters of a caller's key, as at Stripe


def wrong_key(given: Any) -> str | None:
    """Return what is wrong with a caller's own idempotency key, or None.

    An empty one is refused: a caller who repeats a call with it expects the same answer, and would be charged twice.
    """
    if not isinstance(given, str):
        return "must be a string"
    if not given.strip() or len(given) > LONGEST_KEY or not given.isprintable():
        return f"must be 1 to {LONGEST_KEY} printable characters, and not only spaces"
    return None


@dataclass(frozen=True)
class IdempotencyKey:
    """`sms1:<installation>:<kind>:<document id>:<verb>:<random>`, at most 255 characters and without personal data.

    The random part is drawn once, when the operation is staged, and every attempt of it reuses the whole key.
    """

    installation: str
    kind: str
    document: ObjectId
    verb: str
    random: str

    @classmethod
    def generate(cls, installation: str, kind: str, document: ObjectId, verb: str) -> Self:
        """Return a new key."""
        return cls(installation, kind, document, verb, secrets.token_hex(8))

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the key that this text is, or None when it is not one of ours (of any installation)."""
        parts = (text or "").split(":")
        if len(parts) != 6 or parts[0] != PREFIX or not ObjectId.is_valid(parts[3]):
            return None
        return cls(parts[1], parts[2], ObjectId(parts[3]), parts[4], parts[5])

    def __str__(self) -> str:
        return ":".join((PREFIX, self.installation, self.kind, str(self.document), self.verb, self.random))
