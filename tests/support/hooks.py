"""What tests of hooks listen with, and what they know of the transitions that really happened."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.notice import HOOK_PATTERNS
from stripe_mongo_sync.sync.notices.hooks import HOOKS


@contextmanager
def listening(
    *names: str, hook: str = "listener", then: Callable[[sync.Notice], object] = lambda notice: None
) -> Iterator[list[sync.Notice]]:
    """Register a hook for the block; it notes what it is told, and then does `then`."""
    heard: list[sync.Notice] = []

    def listener(notice: sync.Notice) -> None:
        heard.append(notice)
        then(notice)

    listener.__module__, listener.__qualname__ = "tests", hook
    sync.on(*names)(listener)
    try:
        yield heard
    finally:
        del HOOKS[f"tests.{hook}"], HOOK_PATTERNS[f"tests.{hook}"]


@contextmanager
def forgotten() -> Iterator[None]:
    """Let the hooks that the block registers hear of nothing after it."""
    before = {*HOOKS}
    try:
        yield
    finally:
        for hook in HOOKS.keys() - before:
            del HOOKS[hook], HOOK_PATTERNS[hook]


class History(CommandListener):
    """Every status that a document ever had (an order: two), by MongoDB's own replies: what hooks must hear of."""

    def __init__(self) -> None:
        self.statuses: set[tuple[str, str]] = set()  # (document id, customer.active)
        self._kinds = {model._get_collection_name(): kind for kind, model in kinds().items()}
        self._asked: dict[int, tuple[str, list[dict[str, Any]]]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in ("findAndModify", "insert", "update"):  # many at once: a comparison, and a batch
            inserted = list(event.command.get("documents", []))
            updated = [row for each in event.command.get("updates", []) for row in _changed(each)]
            self._asked[event.request_id] = (event.command[event.command_name], inserted + updated)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        collection, many = self._asked.pop(event.request_id, ("", []))
        kind = self._kinds.get(collection)
        reply = event.reply
        written = many if reply.get("nModified", reply.get("n")) == len(many) else []  # one writer: all, or an error
        values = [_row(event.reply.get("value")), *written] if kind else []
        for field in ("status", "payment_status") if kind == "order" else ("status",):
            for value in values:
                if value and value.get(field) not in (None, "pending"):
                    self.statuses.add((str(value["_id"]), f"{kind}.{value[field]}"))

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def _changed(update: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the new values that an update of a batch has for each row."""
    constants = update.get("c", {"ids": [], "changes": []})
    return [{"_id": id, **new["values"]} for id, new in zip(constants["ids"], constants["changes"], strict=True)]


def _row(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the whole row of a reply; what is merged is asked for together with its time, under a name."""
    return value.get("row", value) if value else None


def told(heard: list[sync.Notice]) -> set[tuple[str, str]]:
    """What was heard, as a `History` counts it."""
    return {(str(notice.document.id), notice.name) for notice in heard}
