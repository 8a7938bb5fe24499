"""The rows of versions before 0.3, whose fields had other names: found by these, and upgraded before they are used.

No process of such a version may run any more. So a row of theirs is never written again, and one update upgrades it
for good. Until `migrate` has upgraded all of them, every query first upgrades those that it would find, and then finds
upgraded rows only: whoever asks knows the new names alone, and a unique value is known to its index before it is taken.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pymongo.collection import Collection
from pymongo.cursor import Cursor

from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, stopwatch

Json = dict[str, Any]
Where = Mapping[str, Any]

UPGRADED, OLD = {"due_at": {"$exists": True}}, {"due_at": {"$exists": False}}
BATCH = 500  # rows of an update
MINUTE = 60.0


@dataclass
class Upgrade:
    """Whether rows of an older version may still be there. Who began before the end hears of it within a minute."""

    _still: Callable[[], bool] | None = None
    _asked: float = 0.0

    def begin(self, still: Callable[[], bool]) -> None:
        """Let rows be upgraded as they are found, until `still`, which is called once a minute, says no."""
        self._still, self._asked = still, stopwatch()

    def end(self) -> None:
        """Say that no such row is left."""
        self._still = None

    def __bool__(self) -> bool:
        if self._still is not None and stopwatch() - self._asked > MINUTE:
            self._asked = stopwatch()
            if not self._still():
                self._still = None
        return self._still is not None


UPGRADE = Upgrade()


@dataclass(frozen=True)
class Names:
    """What the fields of a type of row were called, and why such a row was due: an expression of its old fields."""

    fields: Mapping[str, str]  # old name: new name
    due_reason: Any
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # the same of its embedded documents

    @cached_property
    def _old(self) -> dict[str, str]:
        inner = {f"{part}.{new}": f"{part}.{old}" for part, names in self.parts.items() for old, new in names.items()}
        return {new: old for old, new in self.fields.items()} | inner

    @property
    def gone(self) -> set[str]:
        """The paths of the fields that no upgraded row has; a collection had indexes over some that its rows lacked."""
        return {*self._old.values(), *ROW}

    def path(self, new: str) -> str:
        """Return what the field with this path was called."""
        first, dot, rest = new.partition(".")
        return self._old.get(new) or f"{self._old.get(first, first)}{dot}{rest}"

    def query(self, where: Where) -> Json:
        """Return a query by the old names."""
        old: Json = {}
        for name, asked in where.items():
            match name:
                case "$and" | "$or" | "$nor":
                    old[name] = [self.query(each) for each in asked]
                case "$expr":
                    old[name] = self._expression(asked)
                case _:
                    old[self.path(name)] = asked
        return old

    def _expression(self, value: Any) -> Any:
        if isinstance(value, str):
            return f"${self.path(value[1:])}" if value.startswith("$") and not value.startswith("$$") else value
        if isinstance(value, list):
            return [self._expression(each) for each in value]
        return {name: self._expression(part) for name, part in value.items()} if isinstance(value, Mapping) else value

    @cached_property
    def pipeline(self) -> list[Json]:
        """Return the update that upgrades a row."""
        parts = {name: _renamed(f"${name}", names, f"${name}") for name, names in self.parts.items()}
        is_due = {"$eq": [{"$type": "$lease"}, "date"]}
        reason = {"due_reason": {"$cond": [is_due, self.due_reason, None]}}
        return [{"$replaceWith": {"$mergeObjects": [IDLE, _renamed("$$ROOT", self.fields), parts, reason]}}]

    def upgrade(self, rows: Collection[Any], where: Where, sort: Iterable[tuple[str, Any]] = (), limit: int = 0) -> int:
        """Upgrade the rows of an older version that a query by the new names would find first; return how many."""
        asked, order, done = {"$and": [self.query(where), OLD]}, [(self.path(name), way) for name, way in sort], 0
        while True:
            most = min(limit - done, BATCH) if limit else BATCH
            found = rows.find(asked, {"_id": 1}, limit=most)
            ids = [row["_id"] for row in (found.sort(order) if order else found)]
            if ids:
                rows.update_many({"_id": {"$in": ids}, **OLD}, self.pipeline)
                done += len(ids)
            if len(ids) < most or done == limit:
                return done


def _renamed(value: str, names: Mapping[str, str], otherwise: Any = None) -> Json:
    """Return the expression of an object with its fields renamed, in their order."""
    at = {"$indexOfArray": [[*names], "$$this.k"]}
    name = {"$cond": [{"$lt": ["$$at", 0]}, "$$this.k", {"$arrayElemAt": [[*names.values()], "$$at"]}]}
    each = {"k": {"$let": {"vars": {"at": at}, "in": name}}, "v": "$$this.v"}
    renamed = {"$arrayToObject": {"$map": {"input": {"$objectToArray": value}, "in": each}}}
    return renamed if otherwise is None else {"$cond": [{"$eq": [{"$type": value}, "object"]}, renamed, otherwise]}


class UpgradingCursor(Cursor[Json]):
    """A cursor that upgrades what it is about to find, once it is known how much is asked for, and in which order."""

    def _refresh(self) -> int:
        if self._id is None and not self._killed and not len(self._data):
            most = abs(self._limit) + self._skip if self._limit else 0
            self._collection.upgrade(self._spec, (self._ordering or {}).items(), most)
        return super()._refresh()


# --- what they were called ---

ROW = {"lease": "due_at", "settled_at": "finished_at"}
OPERATION = {
    "first": "prerequisites",
    "doubt": "outcome_unknown",
    "stored_failure_at": "saved_error_at",
    "since": "staged_at",
}


def _first(*branches: tuple[Any, DueReason], otherwise: DueReason) -> Json:
    return {"$switch": {"branches": [{"case": case, "then": then} for case, then in branches], "default": otherwise}}


DOCUMENTS = Names(
    {
        **ROW,
        "live": "is_current",
        "key": "creation_key",
        "undone": "undone_orphans",
        "seen_at": "snapshot_earliest",
        "doubt_until": "snapshot_latest",
        "review": "review_reason",
        "moved_by": "status_changed_by",
    },
    _first(
        ({"$ne": [{"$type": "$payment_id"}, "missing"]}, DueReason.PAYMENT),
        ({"$gt": ["$orphans", []]}, DueReason.ORPHAN),
        ({"$gt": ["$missing_since", None]}, DueReason.MISSING),
        ({"$eq": [{"$type": "$operation"}, "object"]}, DueReason.RETRY),
        otherwise=DueReason.REFRESH,
    ),
    {"operation": OPERATION, "undoing": {"since": "staged_at"}, "request": {"token": "caller"}},
)
EVENTS = Names(
    {**ROW, "error": "reason"},
    _first(({"$eq": ["$state", "waiting"]}, DueReason.WAITING), otherwise=DueReason.RETRY),
)
DELIVERIES = Names(
    {**ROW, "error": "reason", "at": "occurred_at", "raw": "event_body"},
    _first(({"$eq": ["$attempts", 0]}, DueReason.NEW), otherwise=DueReason.RETRY),
)
ERASURES = Names(
    {"lease": "due_at", "at": "requested_at", "named": "stripe_ids", "named_at": "grown_at"}, DueReason.ERASED
)
