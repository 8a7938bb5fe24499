"""The effects that a row's functions can have in one request: read, create, store, announce and schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm


class Effects(Protocol):
    """The effects of one request, as the rows see them: `execution.Execution`. All its events have the same cause."""

    realm: Realm
    second: int  # the time of the request
    draw: Callable[[int, str], str]  # (width, alphabet) -> the random part of an id

    def create(self, kind: str, params: Json) -> Json:
        """Create an object from typed parameters, and announce it."""
        ...

    def update(self, kind: str, id: str, params: Json) -> Json:
        """Change an object by typed parameters, and announce what changed."""
        ...

    def make(self, kind: str, **fields: Any) -> Json:
        """Create an object with these fields, without checks or event."""
        ...

    def named(self, kind: str, id: str) -> Json:
        """Return a copy of the object, or a new one that is not stored if the id is a template. Raises Problem."""
        ...

    def need(self, kind: str, id: str) -> Json:
        """Return the stored object. Raises Stripe's 404."""
        ...

    def keep(self, kind: str, object: Json) -> None:
        """Store the object."""
        ...

    def announce(self, type: str, object: Json, old: Json | None = None, previous: bool = True) -> None:
        """Record an event and queue its deliveries. With `previous`, it has the differences from `old`."""
        ...

    def schedule(self, object: Json, at: int | None) -> None:
        """Let the row's `on_due` run for the object at this second; None cancels."""
        ...

    def in_account(self, account: str) -> Effects:
        """Return the effects of this request in another account of this mode."""
        ...

    def dry_run(self) -> Effects:
        """Return effects from the same state, of which nothing stays and nothing is announced."""
        ...
