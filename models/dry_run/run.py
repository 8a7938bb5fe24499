"""A dry run of an act: the act itself runs, so that what is told of it is what it does.

Every collection of ours (`models/rows/marked.py`) and the gateway ask `dry_run()`. In a dry run, MongoDB evaluates each
write on a copy of the row, which later reads of the same dry run see. The first call that would change something at
Stripe ends the act: what follows depends on the answer.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
_RUN: ContextVar["DryRun | None"] = ContextVar("DRY_RUN", default=None)


class NotSent(BaseException):
    """Ends a dry run. It is no Exception, because an act that isolates failures would go on after it."""


class NotRehearsed(Exception):
    __doc__ = says = "A dry run cannot tell what this write would do, so it ends here, and nothing was written."


@dataclass
class Change:
    """A row before and after an act: None before if it would be inserted, None after if it would be deleted."""

    collection: str
    id: Any
    before: Row | None = field(repr=False)
    after: Row | None = field(repr=False)


@dataclass
class DryRun:
    """What an act would have written and sent so far."""

    changes: dict[tuple[str, Any], Change] = field(default_factory=dict)
    calls: list[Any] = field(default_factory=list)  # the requests that would change something at Stripe

    def of(self, collection: str) -> dict[Any, Row | None]:
        """Return the rows of a collection that would be changed, by their ids."""
        return {change.id: change.after for (name, _), change in self.changes.items() if name == collection}

    def keep(self, collection: str, id: Any, before: Row | None, after: Row | None) -> None:
        """Keep a write. Of two writes of a row, the row before the first one counts."""
        known = self.changes.setdefault((collection, id), Change(collection, id, before, None))
        known.after = after

    def do_not_send(self, calls: Iterable[Any]) -> None:
        """Keep the calls that would be sent now, and end the act. Raises NotSent."""
        self.calls += calls
        raise NotSent


def dry_run() -> DryRun | None:
    """Return the dry run of this context, or None if what is done here is meant."""
    return _RUN.get()


def require_meant() -> None:
    """Raise NotRehearsed in a dry run: a write that no act of an operator needs cannot be evaluated there."""
    if _RUN.get() is not None:
        raise NotRehearsed(NotRehearsed.says)


@contextmanager
def rehearsed() -> Iterator[DryRun]:
    """Run the block dry: it writes nothing, and ends where it would send something."""
    run = DryRun()
    token = _RUN.set(run)
    try:
        with suppress(NotSent):
            yield run
    finally:
        _RUN.reset(token)
