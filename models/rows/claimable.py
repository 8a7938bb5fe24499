"""A row of work, claimed for a lease before it is worked on: workers share the work, and what one leaves is redone.

One row that MongoDB cannot change, or nobody can read, holds up no other: it is set aside for a lease, and named.
"""

import logging
from collections.abc import Callable, Iterator
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
from stripe_mongo_sync.models.rows.clock import LEASE, from_now, literal
from stripe_mongo_sync.models.rows.own_rows import OwnRows

log = logging.getLogger("stripe_mongo_sync")

Row = TypeVar("Row", bound=Document)
Broken = Callable[[Any, Exception], object]  # is told the id of a row, and why nobody can work on it
REFUSED = (13, 18, 91, 11600, 11602, 14031)  # unauthorized, it shuts down or steps down, its disk is full


def tell_log(id: Any, error: Exception) -> None:
    """Say that nobody can work on a row; what an error says may quote it."""
    log.error("a row cannot be worked on: %s (%s)", id, type(error).__name__)


class Claimable(OwnRows):
    """Whoever claims it died when the lease has run out; the attempt was counted before it was made."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    mark: ClassVar[str] = "attempts"
    state: str
    error: str | None = StringField()
    attempts: int = IntField()
    lease: datetime | None = DateTimeField()  # when it is due; None: nothing is left to do
    settled_at: datetime | None = DateTimeField()  # nothing is left to do: it may expire

    def claim(self, lease: timedelta = LEASE, **changes: Any) -> Self | None:
        """Take an open row for a lease, counting the attempt before it is made; None when somebody was faster."""
        return self._change({"lease": from_now(lease), "attempts": self.attempts + 1, **changes})

    def _change(self, changes: dict[str, Any]) -> Self | None:
        values = {name: literal(value) for name, value in changes.items()}
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "state": self.state, "lease": self.lease, "attempts": self.attempts},
            [{"$set": values}],
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else self._from_son(found)

    @classmethod
    def overdue(cls, at: datetime, limit: int) -> list[Self]:
        """Return open rows that are due at `at`, longest due first."""
        return list(cls.objects(__raw__=clock.overdue(at)).order_by("lease").limit(limit))

    @classmethod
    def claim_due(cls, at: datetime, broken: Broken = tell_log) -> Iterator[Self]:
        """Claim one row after the other that is due at `at`, longest due first, until none is left.

        MongoDB picks each in the update that takes it: workers that share a backlog never try the same row.
        """
        taken = [{"$set": {"lease": from_now(LEASE), "attempts": {"$add": ["$attempts", 1]}}}]
        yield from claim_each(cls, at, taken, broken)


def claim_each(model: type[Row], at: datetime, taken: list[dict[str, Any]], broken: Broken) -> Iterator[Row]:
    """Apply `taken` to one row after the other that is due at `at`, and yield it as it is then.

    A row for which that fails is set aside, and `broken` is told. Raises PyMongoError when MongoDB is away.
    """
    rows, due = _raw(model), clock.overdue(at)
    if rows.find_one(due, {"_id": 1}) is None:  # where nothing is due, nothing is written
        return
    while True:
        try:
            found = rows.find_one_and_update(due, taken, sort=[("lease", 1)], return_document=ReturnDocument.AFTER)
        except OperationFailure as error:
            if is_away(error):
                raise
            found = _take_first(rows, due, taken, broken)
            if found is None:
                continue
        if found is None:
            return
        if (row := _read(model, found, broken)) is not None:
            yield row


def _take_first(rows: Collection[Any], due: dict[str, Any], taken: list[dict[str, Any]], broken: Broken) -> Any:
    """Take the row that is longest due by its id; None where it is the one that cannot be changed, and set aside."""
    first = rows.find_one(due, {"_id": 1}, sort=[("lease", 1)])
    if first is None:
        return None
    try:
        one = {"_id": first["_id"], **due}
        return rows.find_one_and_update(one, taken, return_document=ReturnDocument.AFTER)
    except OperationFailure as error:
        if is_away(error):
            raise
        set_aside(rows, first["_id"])
        broken(first["_id"], error)
        return None


def read_each(model: type[Row], where: dict[str, Any], broken: Broken, *, limit: int = 0) -> Iterator[Row]:
    """Yield the rows that `where` asks for, as far as they can be read; of the others, `broken` is told.

    With a `limit`, only so many, in the order of their ids.
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
        stored = bson.decode(found.raw, model._get_collection().codec_options)
        row: Row = model._from_son(stored)
    except Exception as error:  # whatever was written there, by whomever
        anything = CodecOptions[dict[str, Any]](datetime_conversion=DatetimeConversion.DATETIME_AUTO)
        broken(bson.decode(found.raw, anything).get("_id"), error)
        return None
    row.stored = stored
    return row


def set_aside(rows: Collection[Any], id: Any, delay: timedelta = LEASE) -> None:
    """Let a row be due again after `delay`, whatever else is in it. Raises PyMongoError when MongoDB is away."""
    rows.update_one({"_id": id}, [{"$set": {"lease": from_now(delay)}}])


def is_away(error: PyMongoError) -> bool:
    """Whether this says that MongoDB is away, or refuses us, as opposed to one row that it cannot change."""
    if not isinstance(error, OperationFailure) or isinstance(error, WriteConcernError) or error.timeout:
        return True
    return error.code in REFUSED or error.has_error_label("RetryableWriteError")
