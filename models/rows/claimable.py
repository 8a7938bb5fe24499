"""A work item. A worker claims it before it starts; if that worker dies, another claims it.

A row that cannot be changed or read does not block the others: it is set aside for one lease, and reported.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from mongoengine import DateTimeField, Document, IntField, StringField
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError, WriteConcernError

from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import LEASE, DueReason, due, from_now, leased, literal
from stripe_mongo_sync.models.rows.own_rows import OwnRows

log = logging.getLogger("stripe_mongo_sync")

Row = TypeVar("Row", bound=OwnRows)
Broken = Callable[[Any, Exception], object]  # called with the id of a row that cannot be worked on, and the error
# MongoDB's codes for: unauthorized, authentication failed, shutting down, stepping down (two), disk full.
REFUSED = (13, 18, 91, 11600, 11602, 14031)


def tell_log(id: Any, error: Exception) -> None:
    """Log that a row cannot be worked on, without the error's text, which may quote the row."""
    log.error("a row cannot be worked on: %s (%s)", id, type(error).__name__)


@dataclass(frozen=True)
class Decision:
    """What an operator decides about one row."""

    id: Any  # of the row
    act: str
    by: str


DECISION: ContextVar[Decision | None] = ContextVar("DECISION", default=None)


@contextmanager
def deciding(decision: Decision) -> Iterator[None]:
    """Let each update of that row in the block store the decision: it is stored if it changes something."""
    token = DECISION.set(decision)
    try:
        yield
    finally:
        DECISION.reset(token)


def decided(id: Any) -> dict[str, Any]:
    """Return what a pipeline that updates the row with that id sets, to store a decision about it."""
    made = DECISION.get()
    if made is None or made.id != id:
        return {}
    return {"decision": literal(made.act), "decided_by": literal(made.by), "decided_at": from_now()}


class Decided(OwnRows):
    """A row about which an operator can decide."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    decision: str | None = StringField()  # the last act of an operator: retry, roll-back, link; replay, ignore, drop
    decided_by: str | None = StringField()  # who that was: `operator`, and the name of their token
    decided_at: datetime | None = DateTimeField()


class Claimable(OwnRows):
    """A row with a lease and a count of attempts. Once the lease has run out, its worker counts as dead."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    mark: ClassVar[str] = "attempts"
    state: str
    reason: str | None = StringField()  # why the last attempt failed, or why the row is in this state
    attempts: int = IntField()
    leased_until: datetime | None = DateTimeField()  # until then a worker has it
    due_at: datetime | None = DateTimeField()  # since when there is something to do; None: nothing
    due_reason: str | None = StringField()  # a DueReason
    finished_at: datetime | None = DateTimeField()  # since then nothing is left to do, and the row may expire

    def claim(self, lease: timedelta = LEASE, **changes: Any) -> Self | None:
        """Claim an open row for one lease, and count the attempt; return None if another worker was first."""
        return self._change({**leased(lease), "attempts": self.attempts + 1, **changes})

    def _change(self, changes: dict[str, Any]) -> Self | None:
        values = {name: literal(value) for name, value in changes.items()} | decided(self.id)
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "state": self.state, "due_at": self.due_at, "attempts": self.attempts},
            [{"$set": values}],
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else self._from_son(found)

    @classmethod
    def overdue(cls, at: datetime, limit: int) -> list[Self]:
        """Return open rows that are due at `at`, longest due first."""
        return list(cls.objects(__raw__=clock.overdue(at)).order_by("due_at").limit(limit))

    @classmethod
    def claim_due(cls, at: datetime, broken: Broken = tell_log) -> Iterator[Self]:
        """Claim the rows that are due at `at`, one after the other, the longest due first.

        MongoDB picks each row in the update that claims it, so that workers never try the same row.
        """
        taken = [{"$set": {**leased(), "attempts": {"$add": ["$attempts", 1]}}}]
        yield from claim_each(cls, at, taken, broken)


def claim_each(model: type[Row], at: datetime, taken: list[dict[str, Any]], broken: Broken) -> Iterator[Row]:
    """Apply `taken` to each row that is due at `at`, one after the other, and yield the changed row.

    A row for which that fails is set aside and passed to `broken`. Raises PyMongoError when MongoDB is away.
    """
    rows, overdue = _raw(model), clock.overdue(at)
    if rows.find_one(overdue, {"_id": 1}) is None:  # where nothing is due, nothing is written
        return
    while True:
        try:
            found = rows.find_one_and_update(overdue, taken, sort=[("due_at", 1)], return_document=ReturnDocument.AFTER)
        except OperationFailure as error:
            if is_away(error):
                raise
            found = _take_first(rows, overdue, taken, broken)
            if found is None:
                continue
        if found is None:
            return
        if (row := _read(model, found, broken)) is not None:
            yield row


def _take_first(rows: Collection[Any], overdue: dict[str, Any], taken: list[dict[str, Any]], broken: Broken) -> Any:
    """Claim the longest due row by its id; return None if there is none, or it cannot be changed and is set aside."""
    first = rows.find_one(overdue, {"_id": 1}, sort=[("due_at", 1)])
    if first is None:
        return None
    try:
        one = {"_id": first["_id"], **overdue}
        return rows.find_one_and_update(one, taken, return_document=ReturnDocument.AFTER)
    except OperationFailure as error:
        if is_away(error):
            raise
        set_aside(rows, first["_id"])
        broken(first["_id"], error)
        return None


def read_each(model: type[Row], where: dict[str, Any], broken: Broken, *, limit: int = 0) -> Iterator[Row]:
    """Yield the rows that `where` selects; a row that cannot be read is passed to `broken`.

    With a `limit`, yield at most that many, in the order of their ids.
    """
    rows = _raw(model).find(where)
    for found in rows.sort("_id").limit(limit) if limit else rows:
        if (row := _read(model, found, broken)) is not None:
            yield row


def _raw(model: type[Document]) -> Collection[Any]:
    rows: Collection[Any] = model.own_rows()
    return rows.with_options(codec_options=CodecOptions(RawBSONDocument))


def _read(model: type[Row], found: RawBSONDocument, broken: Broken) -> Row | None:
    try:
        row: Row = model.of_row(bson.decode(found.raw, model._get_collection().codec_options))
    except Exception as error:  # the row may have been edited by hand
        anything = CodecOptions[dict[str, Any]](datetime_conversion=DatetimeConversion.DATETIME_AUTO)
        broken(bson.decode(found.raw, anything).get("_id"), error)
        return None
    return row


def set_aside(rows: Collection[Any], id: Any, delay: timedelta = LEASE) -> None:
    """Make a row due again after `delay`, without reading it. Raises PyMongoError when MongoDB is away."""
    rows.update_one({"_id": id}, [{"$set": due(DueReason.RETRY, delay)}])


def is_away(error: PyMongoError) -> bool:
    """Whether MongoDB is away or refuses us, as opposed to one row that it cannot change."""
    if not isinstance(error, OperationFailure) or isinstance(error, WriteConcernError) or error.timeout:
        return True
    return error.code in REFUSED or error.has_error_label("RetryableWriteError")
