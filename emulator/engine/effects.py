"""What the function of a row may do in one request, on one realm: read, make, keep and announce, or wait for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm


class Effects(Protocol):
    """The effects of one request, as the rows see them: `execution.Execution`. All its events have the same cause."""

    realm: Realm
    second: int  # when they happen
    draw: Callable[[int, str], str]  # so many letters of this alphabet, for an id

    def create(self, kind: str, params: Json) -> Json:
        """Make an object from (typed) parameters, and announce it."""
        ...

    def update(self, kind: str, id: str, params: Json) -> Json:
        """Change an object by parameters, and announce what changed."""
        ...

    def make(self, kind: str, **fields: Any) -> Json:
        """Make an object with these fields, neither checked nor announced."""
        ...

    def named(self, kind: str, id: str) -> Json:
        """Return a copy of what an id names, or a new one, not yet kept, if the id is a template. Raises Problem."""
        ...

    def need(self, kind: str, id: str) -> Json:
        """Return the object itself; raises Stripe's 404 if there is none."""
        ...

    def keep(self, kind: str, object: Json) -> None:
        """Store the object as it is now."""
        ...

    def announce(self, type: str, object: Json, old: Json | None = None, previous: bool = True) -> None:
        """Write an event, and send it to who wants it; with `previous`, it says what changed since `old`."""
        ...

    def schedule(self, object: Json, at: int | None) -> None:
        """Let the row's `on_due` meet the object at this second; None: never."""
        ...

    def in_account(self, account: str) -> Effects:
        """Return the same in another account of this mode."""
        ...
