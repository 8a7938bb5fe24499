"""Authentication: the API key, its mode, and its permissions (stripe-facts.md#requests-and-replies)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem

SHAPE = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+")


class KeyCheck:
    """Checks API keys. Any well-formed key is valid until a test revokes or restricts it."""

    def __init__(self) -> None:
        self._revoked: set[str] = set()
        self._denied: dict[str, dict[str, str]] = {}

    def revoke(self, key: str) -> None:
        self._revoked.add(key)

    def restrict(self, key: str, deny: Mapping[str, str]) -> None:
        """`deny` maps a kind (or *, for those that are not named) to what is denied: read, write, all or none."""
        if wrong := set(deny.values()) - {"read", "write", "all", "none"}:
            raise ValueError(f"deny read, write, all or none; not {', '.join(sorted(wrong))}")
        self._denied[key] = dict(deny)

    def admit(self, header: str | None) -> tuple[str, bool]:
        """Return the key and whether it is a live one; raise 401 for no key or a bad one."""
        key = read_key(header)
        if key is None:
            raise errors.unauthorized(None)
        if key.startswith("pk_"):
            message = "This API call cannot be made with a publishable API key. Please use a secret API key."
            raise Problem(401, message, code="secret_key_required", stored=False)
        match = SHAPE.fullmatch(key)
        if match is None:
            raise errors.unauthorized(key)
        if key in self._revoked:
            message = f"Expired API Key provided: {errors.masked(key)}"
            raise Problem(401, message, code="api_key_expired", stored=False)
        return key, match[2] == "live"

    def allow(self, key: str, account: str, kind: str, method: str) -> None:
        """Raise 403 if the key may not do this to this kind of object."""
        denied = self._denied.get(key, {})
        what = denied.get(kind, denied.get("*", ""))
        wanted = "read" if method == "GET" else "write"
        if what in (wanted, "all"):
            raise errors.forbidden(key, account, f"rak_{kind}_{wanted}")


def read_key(header: str | None) -> str | None:
    """Return the key of a Bearer header, or the user name of a Basic one."""
    scheme, _, value = (header or "").strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
