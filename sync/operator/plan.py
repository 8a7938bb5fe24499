"""A plan says what an act of an operator would do. A dry run of the act itself finds it, so it decides as the act does.

A plan shows the state of rows, and of their content only which fields change: their values may be personal data.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from stripe_mongo_sync.models import Delivery, Event, State, kinds
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.dry_run.run import Change, dry_run, rehearsed
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.models.rows.content import shown
from stripe_mongo_sync.models.rows.database import prefix
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.screen import quoted, word

# The fields whose values a plan shows: they say what the engine does with a row, and hold no personal data.
STATE = (
    *("status", "state", "stripe_id", "orphans", "undone_orphans", "operation", "review_reason", "error", "in_doubt"),
    *("missing_since", "payment_status", "attempts", "replays", "waits_for", "due_reason"),
)
# The fields that each write changes, or that follow from these.
UNSAID = {
    *("_id", "revision", "updated_at", "is_current", "status_changed_by", "leased_until", "due_at", "finished_at"),
    *("decision", "decided_by", "decided_at", "notices", "replayed_at", "dead_at", "received_at", "created_at"),
}
NOTHING = "nothing would change"


class Silent(logging.Filter):
    """Drops what the code logs of its changes in a dry run, because they are not made; errors are."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        return record.levelno >= logging.ERROR or dry_run() is None


log.addFilter(Silent())


@dataclass(frozen=True)
class Write:
    """What would become of one row."""

    kind: str
    id: str
    act: str  # insert, change or delete
    fields: dict[str, tuple[Any, Any]]  # the state before and after, by field
    content: list[str]  # the other fields that change

    def sentences(self) -> Iterator[str]:
        """Yield what would become of it, in words."""
        it, after = f"{self.kind} {word(self.id)}", {name: value for name, (_, value) in self.fields.items()}
        if self.act == "delete":
            is_breaker = (self.kind, self.id) == ("state", CIRCUIT_BREAKER)
            yield "the circuit breaker is reset: runs undo and delete again" if is_breaker else f"{it} is removed"
            return
        if status := after.get("status", after.get("state")):
            was = self.fields.get("status", self.fields.get("state", (None, None)))[0]
            yield f"{it} is inserted: {status}" if self.act == "insert" else f"{it} becomes {status} (it is {was})"
        if self.act == "insert":
            return
        for name, (before, value) in self.fields.items():
            if told := None if status and name == "operation" else _sentence(name, before, value):
                yield f"{it}: {told}"
        if "stripe" in self.content:
            yield f"{it}: its content becomes that of its object at Stripe"
        elif self.content:
            yield f"{it}: {', '.join(self.content)} change" + ("s" if len(self.content) == 1 else "")


@dataclass(frozen=True)
class Plan:
    """What an act would write to MongoDB and send to Stripe, until Stripe's answer decides."""

    writes: list[Write]
    calls: list[Call] = field(repr=False)

    @property
    def would(self) -> list[str]:
        """What the act would do, in words."""
        told = [sentence for write in self.writes for sentence in write.sentences()]
        told += [f"{call.method.upper()} {call.path} is sent to Stripe" for call in self.calls]
        return [*told, *(["what follows depends on Stripe's answer"] if self.calls else [])] or [NOTHING]

    def as_json(self, *, personal: bool = True) -> dict[str, Any]:
        """Return what `--json` prints and the API answers; parameters show `personal` data, or what may stay of it."""
        return {
            "dry_run": True,
            "would": self.would,
            "writes": [asdict(write) for write in self.writes],
            "sends": [sent(call, personal=personal) for call in self.calls],
        }

    @property
    def lines(self) -> list[str]:
        """What the command prints without `--json`."""
        return [f"would: {sentence}" for sentence in self.would]


def plan(act: Callable[[], Any]) -> Plan:
    """Run an act dry, and return what it would do. Raises what the act raises, as it makes the same checks."""
    with rehearsed() as run:
        act()
    writes = [write for change in run.changes.values() if (write := _write(change)) is not None]
    return Plan(writes, [*run.calls])


def sent(call: Call, *, personal: bool = True) -> dict[str, Any]:
    """Return a call as it may be shown: without secrets and without its key, which a caller could use to repeat it."""
    params = shown(call.params)
    return {"method": call.method, "path": call.path, "params": params if personal else scrub(params)}


def _write(change: Change) -> Write | None:
    """Return what is told of a change; None if a row is only leased, or as it was."""
    before, after = change.before or {}, change.after or {}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    told = {name: (_told(name, before.get(name)), _told(name, after.get(name))) for name in STATE if name in names}
    content = sorted(name for name in names if name not in STATE and name not in UNSAID)
    act = "insert" if change.before is None else "delete" if change.after is None else "change"
    differing = {name: pair for name, pair in told.items() if pair[0] != pair[1]}
    if act == "change" and not (differing or content):
        return None
    return Write(_kind(change.collection), str(change.id), act, differing, content)


def _told(name: str, value: Any) -> Any:
    match name, value:
        case "operation", {"verb": verb}:
            return verb
        case "error", {"message": message}:
            return message
    return str(value) if name == "waits_for" and value is not None else value


def _sentence(name: str, before: Any, after: Any) -> str | None:
    """Return what a changed field says; None if another one says it."""
    match name:
        case "stripe_id":
            return f"{word(after)} is linked to it" if after else None
        case "orphans":
            new, gone = ([id for id in a or () if id not in (b or ())] for a, b in ((after, before), (before, after)))
            told = [f"{word(id)} becomes an orphan, which is undone" for id in new]
            return ", ".join([*told, *(f"{word(id)} is no longer to be undone" for id in gone)])
        case "operation":
            return f"its {after} is staged" if after else f"its {before} is no longer pending"
        case "review_reason":
            return f"it goes to review: {quoted(after)}" if after else "it leaves review"
        case "error":
            return f"its error is: {quoted(after)}" if after else "its error is cleared"
        case "missing_since":
            return "its object counts as not found" if after else "its object counts as found"
        case "payment_status":
            return f"its payment is {after}"
        case "replays":
            return f"its replays are {after}"
        case "due_reason":
            return None if after == DueReason.UNFINISHED else "reconcile goes on with it" if after else None
    return None


@cache
def _kinds() -> dict[str, str]:
    others: dict[str, type[OwnRows]] = {"event": Event, "delivery": Delivery, "state": State}
    return {model.plural(): kind for kind, model in {**kinds(), **others}.items()}


def _kind(collection: str) -> str:
    """Return the kind of the rows of a collection."""
    name = collection.removeprefix(prefix())
    return _kinds().get(name, name)
