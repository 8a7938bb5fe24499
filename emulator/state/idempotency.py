"""Idempotency keys: the saved replies, and the keys of requests that still run (stripe-facts.md#idempotency-keys)."""

from __future__ import annotations

import base64

from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.forms import canonical
from stripe_mongo_sync.emulator.protocol.wire import Json, Reply
from stripe_mongo_sync.emulator.state.store import Realm

RETENTION = 24 * 3600  # seconds that a reply is saved; afterwards the same key is a new request
LONGEST = 255


class Keys:
    """Saved replies are in the store. Keys of running requests are only in memory."""

    def __init__(self) -> None:
        self._running: set[tuple[str, str]] = set()

    def begin(self, realm: Realm, key: str, path: str, params: Json, now: float) -> Json | None:
        """Return the saved reply, or claim the key until `end` and return None. Raises Stripe's errors about keys."""
        if len(key) > LONGEST:
            raise Problem(400, f"Idempotency-Key is too long: {len(key)} characters, at most {LONGEST}.", stored=False)
        saved = realm.table("key").get(key)
        if saved is not None and now - saved["at"] >= RETENTION:
            realm.drop("key", key)
            saved = None
        if saved is not None:
            if saved["path"] != path:
                raise errors.other_endpoint(key, path, saved["path"])
            if saved["params"] != canonical(params):
                raise errors.other_params(key)
            return saved
        claim = (realm.name("key"), key)
        if claim in self._running:
            raise errors.key_in_use(key)
        self._running.add(claim)
        return None

    def save(self, realm: Realm, key: str, path: str, params: Json, now: float, request_id: str, reply: Reply) -> None:
        row = {
            "path": path,
            "params": canonical(params),
            "at": now,
            "request_id": request_id,
            "status": reply.status,
            "body": base64.b64encode(reply.body).decode(),
        }
        realm.put("key", key, row)

    def end(self, realm: Realm, key: str) -> None:
        self._running.discard((realm.name("key"), key))


def saved_body(row: Json) -> bytes:
    return base64.b64decode(row["body"])
