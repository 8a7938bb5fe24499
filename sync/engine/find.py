"""Find: search Stripe for the object of a creation whose key can no longer be replayed.

It reads the creation events first, because they carry the key, and then the list, because the event of an object that
Stripe completed after a 500 may carry none. Only completely read lists prove absence, never Stripe's Search.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stripe_mongo_sync.models import SyncedDocument, synced_kinds
from stripe_mongo_sync.models.base.decision import RemoteState
from stripe_mongo_sync.models.base.facts import IN_FLIGHT_LIMIT
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.observations import request_key
from stripe_mongo_sync.sync.engine.refresh import carries_correlation_id, resembles
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, LAG, list_pages, made_at

CLOCK_SKEW = timedelta(minutes=5)  # how far our clock and Stripe's may differ
CACHE_SECONDS = 60.0  # s for which one run reuses a list


@dataclass
class Finder:
    """The searches of one run: documents in doubt share the lists that were read."""

    _events: dict[str, tuple[float, int, dict[str, str | None]]] = field(default_factory=dict)
    _lists: dict[str, tuple[float, int, list[dict[str, Any]]]] = field(default_factory=dict)

    def find(self, document: SyncedDocument, now: datetime) -> tuple[RemoteState, str | None]:
        """Return a pending creation's remote state, with its object's id or a reason for review.

        Raises CannotReadStripe.
        """
        operation = sure(document.operation)
        if now - operation.since > EVENT_RETENTION:
            return RemoteState.CANDIDATE, "its creation is older than Stripe's event list, so absence cannot be proved"
        start = int((operation.since - CLOCK_SKEW).timestamp())
        keys = self.keys(document.resource.kind, start)
        for stripe_id, key in keys.items():
            if key == operation.key:
                return RemoteState.PRESENT, stripe_id
        # After a 5xx Stripe may finish the object at any time.
        end = None if operation.stored_failure_at else (document.claimed_at + IN_FLIGHT_LIMIT).timestamp()
        for remote in self._keyless(document.resource.kind, start, keys):
            created = made_at(remote, now.timestamp())
            in_time = created is None or (start <= created and (end is None or created <= end))
            if not in_time or type(document).by_stripe_id(remote["id"]) is not None:
                continue
            if carries_correlation_id(document, remote):
                return RemoteState.PRESENT, remote["id"]
            if resembles(document, remote):
                if document.resource.has_created_event and created is not None and now.timestamp() - created < LAG:
                    raise CannotReadStripe(
                        f"{remote['id']} is less than {LAG} s old: its creation event may not be listed yet; the next "
                        "run decides"
                    )
                return RemoteState.CANDIDATE, f"{remote['id']} has the same fields, and no event shows its creation key"
        return RemoteState.NEVER_CREATED, None

    def keys(self, kind: str, start: int) -> dict[str, str | None]:
        """Return the creation key of each object of that kind created since `start`, in Stripe's seconds."""
        if not synced_kinds()[kind].resource.has_created_event:
            return {}
        read_at, since, keys = self._events.get(kind, (0.0, 0, {}))
        if since > start or time.monotonic() - read_at > CACHE_SECONDS or not read_at:
            since, keys = start, {}
            pages = current().gateway.pages(
                "/v1/events", types=[synced_kinds()[kind].resource.created_event], created={"gte": start}
            )
            for page in pages:
                for event in page.remote["data"]:
                    keys.setdefault(event["data"]["object"]["id"], request_key(event))
            self._events[kind] = (time.monotonic(), since, keys)
        return keys

    def _keyless(self, kind: str, start: int, keys: dict[str, str | None]) -> list[dict[str, Any]]:
        """Return the listed objects created since `start` whose creation key no event shows. They are few."""
        read_at, since, found = self._lists.get(kind, (0.0, 0, []))
        if since > start or time.monotonic() - read_at > CACHE_SECONDS or not read_at:
            model = synced_kinds()[kind]
            pages = list_pages(current().gateway, model, start) if model.resource.listable else ()  # archived ones, too
            found = [remote for page in pages for remote in page.remote["data"] if keys.get(remote["id"]) is None]
            self._lists[kind] = (time.monotonic(), start, found)
        return found
