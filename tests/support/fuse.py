"""A fuse: kills the process, as far as the code can tell, just before its n-th effect on the world.

An effect is a MongoDB command that writes, or a Stripe request that is no GET. Between two of them nothing outside the
process changes, so dying before each of them is dying everywhere. They are counted from outside: no hook exists in the
service, and a new write is a new crash point by itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import stripe
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

READS = {"find", "getMore", "aggregate", "count", "hello", "ping", "endSessions", "buildinfo"}
READS |= {"listIndexes", "listCollections", "dbStats"}


def merged_into(event: CommandStartedEvent) -> str | None:
    """Return the collection into which an aggregation writes; None if it only reads."""
    stages = event.command["pipeline"] if event.command_name == "aggregate" else ()
    return next((str(stage["$merge"]["into"]) for stage in stages if "$merge" in stage), None)


class Died(BaseException):
    """Not an Exception: nothing in the service may catch it, as nothing can catch SIGKILL."""


class Fuse(CommandListener):
    """Listens to MongoDB, and wraps a Stripe client; burns down only while it is `lit`."""

    def __init__(self) -> None:
        self.left: int | str | None = None
        self.watch: Callable[[str], None] = lambda effect: None
        self.written: set[str] = set()  # the collections that were written to

    @contextmanager
    def watched(self, watch: Callable[[str], None]) -> Iterator[None]:
        """Tell `watch` of each effect before it happens."""
        usual, self.watch = self.watch, watch
        try:
            yield
        finally:
            self.watch = usual

    @contextmanager
    def lit(self, effect: int | str) -> Iterator[None]:
        """Die before the effect of that number (from 1), or the first of that name, unless the work ends before."""
        self.left = effect
        try:
            yield
        finally:
            self.left = None

    def burn(self, effect: str) -> None:
        """Let an effect happen, or die before it."""
        try:
            self.watch(effect)
        except Exception as error:  # which pymongo would only print
            raise Died(f"nobody could watch: {error!r}") from error
        if self.left is None:
            return
        if isinstance(self.left, int):
            self.left -= 1
        if self.left in (0, effect):
            self.left = None
            raise Died(effect)

    def started(self, event: CommandStartedEvent) -> None:
        into = merged_into(event)
        if into is not None:
            self.burn("before merge")
            self.written.add(into)
        elif event.command_name not in READS:
            self.burn(f"before {event.command_name}")
            self.written.add(str(event.command[event.command_name]))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing: the next effect is the next crash point."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing, likewise."""

    def around(self, transport: stripe.HTTPClient) -> stripe.HTTPClient:
        """Return a Stripe client that burns the fuse."""
        return _Fused(self, transport)

    def kill(self, act: Callable[[], Any], effect: int | str) -> str | None:
        """Let `act` die before an effect, and say which it was; None when it had fewer."""
        try:
            with self.lit(effect):
                act()
        except Died as died:
            return str(died)
        return None


class _Fused(stripe.HTTPClient):
    def __init__(self, fuse: Fuse, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self.fuse, self.inner, self.name = fuse, inner, inner.name

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        if method.upper() != "GET":
            self.fuse.burn(f"before {method.upper()}")
        return self.inner.request(method, url, headers, post_data)

    def close(self) -> None:
        self.inner.close()
