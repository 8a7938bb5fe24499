"""MongoDB in memory: rows that change by the same conditional update, at times of a clock of its own.

A row changes by the engine's own transitions, on top of a store that evaluates the expressions of their updates. Rows
are never changed in place, so who has read one has it as it was.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.birth import DEFAULTS, SYNC_FIELDS, new_operation
from stripe_mongo_sync.models.base.facts import Observation, Status
from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.rows.clock import LEASE, Expression, FromNow, from_now, leased
from stripe_mongo_sync.models.rows.scrub import scrub_row
from tests.model.planting import Engine

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LEGAL = {"pending": ("active", "rolled_back", "deleted"), "active": ("deleted",), "deleted": ("active",)}
PRIVATE = ("name", "email")
OURS = SYNC_FIELDS | {"id", "store", "resource"}


class Part(dict[str, Any]):
    """An embedded document."""

    __getattr__ = dict.__getitem__


def evaluate(value: Any, row: dict[str, Any], now: datetime) -> Any:
    """Return what an aggregation expression comes to, for those operators that the engine uses."""
    if isinstance(value, str):
        if value == "$$NOW":
            return now
        if not value.startswith("$"):
            return value
        found: Any = row
        for name in value[1:].split("."):
            found = found.get(name) if found is not None else None
        return found
    if isinstance(value, list):
        return [evaluate(part, row, now) for part in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not (operator := next(iter(value))).startswith("$"):
        return Part({name: evaluate(part, row, now) for name, part in value.items()})
    given = value[operator]
    match operator:
        case "$literal":
            return given
        case "$add":
            first, more = (evaluate(part, row, now) for part in given)
            return first + timedelta(milliseconds=more) if isinstance(first, datetime) else first and first + more
        case "$mergeObjects":
            merged = Part()
            for part in given:
                merged.update(evaluate(part, row, now) or {})
            return merged
        case "$cond":
            return evaluate(given[1] if evaluate(given[0], row, now) else given[2], row, now)
        case "$eq":
            first, second = (evaluate(part, row, now) for part in given)
            return first == second
        case "$ifNull":
            found = (evaluate(part, row, now) for part in given)
            return next((each for each in found if each is not None), None)
    raise AssertionError(f"MongoDB in memory knows no {operator}")


class Memory:
    """A row's part that MongoDB does, for the class that `Store` makes of it and the transitions."""

    store: "Store"
    resource: Resource
    id: int

    def update_if_unchanged(self, by: str = "", /, *, notices: Any = (), **changes: Any) -> Any:
        """Apply `changes` if the row is unchanged since it was read; else return None."""
        return self.store.update(self, changes, by)

    def hold(self, by: str = "", /, **changes: Any) -> Any:
        """The same, if the lease still runs, too."""
        row = self.store.rows.get(self.id)
        held = row is not None and row.leased_until is not None and row.leased_until > self.store.now
        return self.store.update(self, changes, by) if held else None

    def changed(self, changes: dict[str, Any]) -> Any:
        """Return the row with these changes, without writing it."""
        row, now = self.__dict__, self.store.now
        new = object.__new__(type(self))
        fields = new.__dict__
        fields.update(row)
        for name, value in changes.items():
            if isinstance(value, Expression):
                value = now + value.delay if isinstance(value, FromNow) else evaluate(value, row, now)
            fields[name] = value
        return new

    def facts(self, now: datetime) -> Any:
        """Return what the decisions read of this row."""
        row, at, known = self.store.read_last
        if row is not self or at is not now:
            known = self.store.engine.facts_of(self.resource, self.__dict__, now, "ours")
            self.store.read_last = self, now, known
        return known

    @property
    def claimed_at(self) -> datetime:
        """Return when its running lease was taken."""
        return self.leased_until - LEASE  # type: ignore[attr-defined, no-any-return]

    @property
    def path(self) -> str:
        """Return the path of its object; of a type that is shown in events only, none."""
        return self.resource.path

    def is_as(self, seen: Observation) -> bool:
        """Whether it has the content of an observation."""
        return bool(self.facts(self.store.now).is_as(seen))

    def needs_refresh(self, seen: Observation) -> bool:
        """Whether its content is still in doubt after it has merged an observation."""
        return self.store.engine.leaves_doubt(self.facts(self.store.now), seen)

    @property
    def adopted(self) -> bool:
        """Whether it was adopted and never used since."""
        row = self.__dict__
        return (
            row["creation_key"] is None
            and row["operation"] is None
            and row["request"] is None
            and row["username"] is None
        )

    def erase(self) -> Any:
        """Remove all personal data; None if it changed meanwhile."""
        left = scrub_row(self.__dict__, OURS)
        left["in_doubt"] = False
        return self.update_if_unchanged(**left, erased_at=from_now())


class Store:
    """The documents, and the rows of the inbox. It raises AssertionError for what no update may do."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.now = engine, BEGIN
        self.rows: dict[int, Any] = {}
        self.inbox: dict[int, list[Any]] = {}  # event → its state, when it is due, attempts
        self.checkpoint: int | None = None
        self.read_last: tuple[Any, datetime, Any] = (None, BEGIN, None)  # a row, when it was read, and its facts
        self.Row = type("Row", (Memory,), engine.transitions)
        self.watch: Callable[[Any, Any, str], None] = lambda old, new, by: None
        self.writes = 0

    # --- writes ---

    def update(self, read: Any, changes: dict[str, Any], by: str) -> Any:
        """Apply changes to the row that was `read` if its revision is still the same; return the row, or None."""
        row = self.rows.get(read.id)
        if row is None or row.revision != read.revision:
            return None
        if "status" in changes:
            changes = {**changes, "is_current": changes["status"] in ("pending", "active"), "status_changed_by": by}
        new = row.changed(changes)
        new.revision, new.updated_at = row.revision + 1, self.now
        if new.is_current and ("status" in changes or "stripe_id" in changes):
            self._require_unique(new)
        self._require_sense(row, new, by)
        if new.status != row.status:
            self.watch(row, new, by)
        self.rows[row.id] = new
        self.writes += 1
        return new

    def insert(self, id: int, resource: Resource, **values: Any) -> Any:
        """Insert a row. Raises DuplicateKeyError when a unique value is taken."""
        new = object.__new__(self.Row)
        fields = new.__dict__
        fields.update(DEFAULTS)
        fields.update(id=id, resource=resource, store=self, revision=1, created_at=self.now, updated_at=self.now)
        fields.update(username=None, name=None, mark=None, wished=None)
        for name, value in values.items():
            fields[name] = evaluate(value, fields, self.now) if isinstance(value, Expression) else value
        fields["is_current"] = values["status"] in ("pending", "active")
        if id in self.rows:
            raise DuplicateKeyError(id)
        self._require_unique(new)
        self.rows[id] = new
        self.writes += 1
        return new

    def stage(self, id: int, resource: Resource, operation: dict[str, Any], **values: Any) -> Any:
        """Insert a pending document, leased to its creator. Raises DuplicateKeyError when a unique value is taken."""
        staged = {"status": Status.PENDING, "creation_key": operation["key"], "in_doubt": True, **leased()}
        return self.insert(id, resource, **staged, operation=new_operation(operation), **values)

    def remove(self, read: Any) -> bool:
        """Delete an adopted row unless it changed."""
        if self.rows.get(read.id) is not read:
            return False
        del self.rows[read.id]
        return True

    def _require_unique(self, new: Any) -> None:
        for other in self.rows.values():
            if other.id == new.id or other.resource is not new.resource:
                continue
            if new.request is not None and other.request == new.request:
                raise DuplicateKeyError("request")
            if new.is_current and other.is_current:
                if new.stripe_id is not None and new.stripe_id == other.stripe_id:
                    raise DuplicateKeyError("stripe_id")
                if new.username is not None and new.username == other.username:
                    raise DuplicateKeyError("username")

    @staticmethod
    def _require_sense(old: Any, new: Any, by: str) -> None:
        """Require that nothing goes backwards, and that the row of an erased person says nothing of them."""
        if new.status != old.status:
            assert new.status in LEGAL.get(old.status, ()), f"{old.status} became {new.status} ({by}): {told(new)}"
            assert new.status == "rolled_back" or new.stripe_id, f"{new.status} without an object: {told(new)}"
        assert old.stripe_id in (None, new.stripe_id), f"linked to another object: {told(old)} → {told(new)}"
        if new.stripe is not old.stripe and new.stripe is not None and old.stripe is not None:
            newer = new.resource.events_only or new.stripe["version"] >= old.stripe["version"]
            assert newer, f"its content went back ({by}): {old.stripe} → {told(new)}"
        if new.snapshot_earliest is not None and old.snapshot_earliest is not None and old.status != "deleted":
            assert new.snapshot_earliest >= old.snapshot_earliest, (
                f"snapshot_earliest went back ({by}): {told(old)} → {told(new)}"
            )
        if new.erased_at is not None:
            personal = [name for name in PRIVATE if (new.stripe or {}).get(name)]
            assert not [*personal, *filter(None, [new.name])], f"what was erased came back ({by}): {told(new)}"

    # --- questions ---

    def of(self, resource: Resource) -> list[Any]:
        """Return the documents of a type."""
        return [row for row in self.rows.values() if row.resource is resource]

    def by_stripe_id(self, resource: Resource, stripe_id: str) -> Any:
        """Return the document of an object: the live one, else the newest; None if it has none."""
        found = None
        for row in self.rows.values():
            if row.stripe_id == stripe_id and row.resource is resource:
                if row.is_current:
                    return row
                found = row
        return found

    def holder(self, resource: Resource, stripe_id: str) -> Any:
        """Return the live document of an object, or None."""
        found = self.by_stripe_id(resource, stripe_id)
        return found if found is not None and found.is_current else None

    def by_request(self, request: str) -> Any:
        """Return the document that a caller's request made, or None."""
        return next((row for row in self.rows.values() if row.request == request), None)

    def with_orphan(self, resource: Resource, stripe_id: str) -> list[Any]:
        """Return the documents that have an object as an orphan, undone or not."""
        return [row for row in self.of(resource) if stripe_id in row.orphans or stripe_id in row.undone_orphans]

    def in_doubt(self, resource: Resource) -> list[Any]:
        """Return the documents of which an object may exist that was not seen."""
        return [row for row in self.of(resource) if row.in_doubt]

    def overdue(self) -> Iterator[Any]:
        """Return the documents that are due."""
        return (row for row in list(self.rows.values()) if row.due_at is not None and row.due_at <= self.now)


def told(row: Any) -> str:
    """Return what a row says, for a story."""
    said = {name: value for name, value in row.__dict__.items() if value not in (None, [], False)}
    hidden = ("store", "resource", "created_at", "updated_at")
    return f"{row.resource.kind} { ({name: value for name, value in said.items() if name not in hidden}) }"
