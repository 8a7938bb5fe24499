"""Reads the creation events in parallel with a list, to find each object's creation key.

Both come newest first, so only the keys of about one page are in memory.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from stripe_mongo_sync.models import SyncedDocument
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.observations import request_key
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, created_second, made_at

MAX_EVENT_DISTANCE = 60  # s between an object's creation and its creation event, at most


class Creation(NamedTuple):
    """A creation event whose key has our form."""

    at: int
    created_second: int | None
    key: str


class CreationKeys:
    """The creation keys of one kind's objects, for a reader of its list."""

    def __init__(self, model: type[SyncedDocument]) -> None:
        self._resource = model.resource
        self._pages: Iterator[Reply] | None = None
        self._down_to: float = float("inf")  # the events are read from now down to this second of Stripe's
        self._keys: dict[str, Creation] = {}  # by the object

    def of(self, remotes: Sequence[dict[str, Any]], now: int) -> dict[str, str]:
        """Return the keys, ours or another installation's, that made some of these. Raises CannotReadStripe.

        What is older than Stripe's list of events, or was made without such a key, has none.
        """
        horizon = now - int(EVENT_RETENTION.total_seconds())
        made_when = [made_at(remote, now) for remote in remotes]
        seconds = [horizon if made is None else made for made in made_when]
        if not self._resource.has_created_event or max(seconds, default=0) < horizon:
            return {}
        newest = now if None in made_when else max(seconds) + MAX_EVENT_DISTANCE
        self._read_down_to(max(min(seconds), horizon) - MAX_EVENT_DISTANCE, newest, horizon)
        self._keys = {id: made for id, made in self._keys.items() if made.at <= newest}
        found = [(remote, self._keys.get(remote["id"])) for remote in remotes]
        # A chosen id may have been another object's before.
        return {
            remote["id"]: made.key for remote, made in found if made and made.created_second == created_second(remote)
        }

    def _read_down_to(self, second: int, newest: int, horizon: int) -> None:
        if self._pages is None:
            window = {"gte": horizon - MAX_EVENT_DISTANCE, "lte": newest}
            self._pages = current().gateway.pages("/v1/events", types=[self._resource.created_event], created=window)
        while self._down_to >= second:
            page = next(self._pages, None)
            if page is None:
                self._down_to = float("-inf")
                return
            for event in page.remote["data"]:
                key = request_key(event)
                if key and IdempotencyKey.parse(key):
                    remote = event["data"]["object"]
                    self._keys.setdefault(remote["id"], Creation(event["created"], created_second(remote), key))
                self._down_to = event["created"]
