"""API tokens: a token identifies a caller and its scopes. Only the token's digest is kept in memory.

An entry of API_TOKENS is a plain token, which may read and write, or `name:scopes:token`: `shop:read+write:…`. A digest
may replace the token, `sha256=` and 64 hex digits, so that the token itself need not be stored.
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from stripe_mongo_sync.sync.process.strength import LEAST, NOTHING, STRIPES, known_digests, weakness

PLAIN = re.compile(rf"[\x21-\x2b\x2d-\x7e]{{{LEAST},}}")  # visible ASCII, no comma
DIGEST = re.compile(r"sha256=([0-9a-f]{64})")
MEANT = re.compile(r"(sha-?[0-9]{1,3}|md5)\W", re.IGNORECASE)  # a digest; taken for a token, whoever sees it could call
NAME = re.compile(r"[\w.-]{1,40}", re.ASCII)
IN_PROCESS = "python"  # the caller's name for the idempotency keys of calls in process, which have no token


class Scope(StrEnum):
    """What a token may do."""

    READ = "read"  # see documents
    WRITE = "write"  # create, change and delete them
    OPERATE = "operate"  # read the status and the metrics, and use the operator's commands
    METRICS = "metrics"  # read the metrics


@dataclass(frozen=True)
class Token:
    """One caller. Its Idempotency-Keys are stored with its name."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes = field(repr=False)

    def may(self, scope: Scope | None) -> bool:
        """Return whether it may do what requires a scope: by itself, or because who may operate may see the metrics."""
        return scope in self.scopes or (scope is Scope.METRICS and Scope.OPERATE in self.scopes)


class BadToken(ValueError):
    """An entry of API_TOKENS that cannot be used; the message never quotes it."""


def parse(entry: str) -> Token:
    """Return the token that an entry describes. Raises BadToken."""
    name, scopes, secret = _parts(entry)
    digest = _digest(secret)
    if secret is entry:
        return Token(digest.hex()[:16], frozenset({Scope.READ, Scope.WRITE}), digest)
    if not NAME.fullmatch(name) or name == IN_PROCESS:
        raise BadToken(f"needs a name of 1 to 40 letters, digits, '.', '_' or '-', other than '{IN_PROCESS}'")
    if unknown := set(scopes.split("+")) - set(Scope):
        count = "an unknown scope" if len(unknown) == 1 else "unknown scopes"
        raise BadToken(f"has {count}: name {', '.join(Scope)}, joined by '+'")
    return Token(name, frozenset(map(Scope, scopes.split("+"))), digest)


def weak(entry: str) -> str | None:
    """Return why a valid entry has a weak token, as the end of a sentence, or None."""
    secret = _parts(entry)[2]
    if STRIPES.match(secret):
        return "is a key of Stripe's: use a token of its own"
    return None if DIGEST.fullmatch(secret) else weakness(secret)


def _parts(entry: str) -> tuple[str, str, str]:
    if entry.count(":") < 2:
        return "", "", entry
    name, scopes, secret = entry.split(":", 2)
    return name, scopes, secret


def _digest(secret: str) -> bytes:
    given = DIGEST.fullmatch(secret)
    if given and (why := weakness(given[1])):
        raise BadToken(f"has a digest that {why}")
    if _is_known(given[1] if given else secret):
        raise BadToken("is the digest of an empty or a well-known text")
    if given:
        return bytes.fromhex(given[1])
    if MEANT.match(secret):
        raise BadToken("needs 64 lower-case hex digits after 'sha256='")
    if not PLAIN.fullmatch(secret):
        raise BadToken("needs a token of 16 or more visible characters")
    return hashlib.sha256(secret.encode()).digest()


def _is_known(text: str) -> bool:
    """Whether this is the digest of a well-known text in hex."""
    digest = re.fullmatch("[0-9a-f]{64}", text.lower())
    return text.lower() in NOTHING or (digest is not None and bytes.fromhex(text) in known_digests())


def ambiguous(tokens: Sequence[Token]) -> str | None:
    """Return why these tokens cannot be told apart, or None."""
    for what, each in (("token", [token.digest for token in tokens]), ("name", [token.name for token in tokens])):
        if max(Counter(each).values(), default=0) > 1:
            return f"has two entries with the same {what}"
    return None


def authenticate(tokens: Sequence[Token], presented: bytes) -> Token | None:
    """Return the token that was presented, or None. It compares every token, so its duration reveals no byte.

    A text shorter than the shortest valid token is rejected first, so that an empty one can match no digest.
    """
    if len(presented) < LEAST:
        return None
    digest, found = hashlib.sha256(presented).digest(), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found
