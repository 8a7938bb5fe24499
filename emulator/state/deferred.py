"""Work that Stripe does after its caller has given up: late requests, and repairs of saved 500s."""

from __future__ import annotations

from collections.abc import Callable

from stripe_mongo_sync.emulator.protocol.wire import Json, Request
from stripe_mongo_sync.emulator.state.store import Store

LATE_REQUESTS = "zombies"  # the name that the table has in existing state files
REPAIRS = "repairs"


class DeferredWork:
    """Two queues, which survive a restart."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def postpone(self, id: str, request: Request, seconds: float) -> None:
        """Queue this request for `seconds` from now, or, if that is 0, until a test releases it."""
        row = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": dict(request.headers),
            "body": request.body.decode("latin-1"),
            "due": self._now() + seconds if seconds else None,
        }
        self._store.put(LATE_REQUESTS, id, row)

    def late_requests(self, due: bool) -> list[Request]:
        """Take the late requests off the queue; with `due`, only those whose time has come."""
        late = []
        for id, row in list(self._store.table(LATE_REQUESTS).items()):
            if due and (row["due"] is None or row["due"] > self._now()):
                continue
            self._store.drop(LATE_REQUESTS, id)
            body = row["body"].encode("latin-1")
            late.append(Request(row["method"], row["path"], row["query"], row["headers"], body))
        return late

    def add_repair(self, id: str, row: Json) -> None:
        self._store.put(REPAIRS, id, row)

    def repairs(self, key: str | None) -> list[Json]:
        """Take the repairs off the queue, or only that of one key."""
        found = {id: row for id, row in self._store.table(REPAIRS).items() if key in (None, row["key"])}
        for id in found:
            self._store.drop(REPAIRS, id)
        return list(found.values())
