"""Erasures: who was forgotten, by ids alone, so that nothing which comes later brings them back.

A row names all of Stripe's objects that belong to the person. Written before anything is erased, it is also what is
still to be done: until the row is at rest, reconcile goes on with it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Self, TypeVar

import pymongo
from bson import ObjectId
from bson.codec_options import DatetimeConversion
from mongoengine import DateTimeField, ListField, ObjectIdField, StringField
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError, OperationFailure

from stripe_mongo_sync.models.base.forgotten import remembers
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import Expression, from_now, literal
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.rows.indexes import A_DATE
from stripe_mongo_sync.models.rows.own_rows import OwnRows

RECHECK_AFTER = timedelta(minutes=15)  # far longer than any work that was begun before and knows nothing of the erasure
HOLDS = timedelta(seconds=0.5)  # a write may begin so long after its look at the erasures, by MongoDB's clock
WRITES = timedelta(seconds=2)  # and take so long; later than both together, nothing rests on that look
TOO_LATE = (241, 50)  # MongoDB's codes of a conversion that fails, see `_in_time`, and of a time limit
LOOKS = 3

Written = TypeVar("Written")
pause: Callable[[float], Any] = threading.Event().wait


@remembers
class Erasure(OwnRows):
    """One person, by the id of their customer's document."""

    meta: ClassVar = {"collection": "erasures", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("named"),
        IndexModel(
            [("lease", 1), ("scrubbed_at", 1), ("at", 1), ("_id", 1)], partialFilterExpression={"lease": A_DATE}
        ),
    ]
    mark: ClassVar[str] = "named"
    mark_is: ClassVar[str] = "array"
    id: ObjectId = ObjectIdField(primary_key=True)
    named: list[str] = ListField(StringField())  # all that belongs to the person, by its id at Stripe
    at: datetime = DateTimeField()  # when it was asked for
    scrubbed_at: datetime | None = DateTimeField()  # since then nothing personal was seen here
    lease: datetime | None = DateTimeField()  # when to look again; None: nothing is left to do
    named_at: datetime | None = DateTimeField()  # when all that is named was, by MongoDB's clock

    @classmethod
    def begin(cls, customer: ObjectId, objects: Iterable[str]) -> Self:
        """Note that a person is to be forgotten, or that more is known to belong to them."""
        new = {"scrubbed_at": None, "lease": from_now(RECHECK_AFTER)}
        with suppress(DuplicateKeyError):
            cls.insert_collection().find_one_and_update(
                {"_id": customer, "at": {"$exists": False}},
                [{"$set": {"named": [], "at": from_now(), **new}}],
                upsert=True,
            )
        more = literal(sorted(objects))
        since = {"$cond": [{"$setIsSubset": [more, "$named"]}, {"$ifNull": ["$named_at", "$$NOW"]}, "$$NOW"]}
        grown = {"named": {"$setUnion": ["$named", more]}, "named_at": since}
        found = cls.own_rows().find_one_and_update(
            {"_id": customer}, [{"$set": {**grown, **new}}], return_document=ReturnDocument.AFTER
        )
        erasure: Self = cls._from_son(found)
        return erasure

    def wait(self, erased: bool) -> None:
        """Wait until no write can rest on what was so before this row named all that it names, and, where a document
        was `erased` just now, before that: see `unless_forgotten`.
        """
        now = clock.now() - clock.TEST_OFFSET
        since = now if erased else self.named_at or now - HOLDS - WRITES
        while (left := since + HOLDS + WRITES - now) > timedelta():
            pause(left.total_seconds())
            now = clock.now() - clock.TEST_OFFSET

    def claim(self) -> Self | None:
        """Take an overdue one; None when somebody was faster."""
        return self._changed(lease=from_now(RECHECK_AFTER))

    def record_clean_pass(self) -> Self | None:
        """Note that nothing personal is left. Who says so a second time, later than `RECHECK_AFTER`, ends it."""
        over = self.scrubbed_at is not None and clock.now() - self.scrubbed_at >= RECHECK_AFTER
        return self._changed(
            scrubbed_at={"$ifNull": ["$scrubbed_at", from_now()]}, lease=None if over else from_now(RECHECK_AFTER)
        )

    def cancel(self) -> bool:
        """Drop it: Stripe refused to delete the customer, who stays."""
        gone = self.own_rows().find_one_and_delete({"_id": self.id, "lease": self.lease})
        return gone is not None

    def _changed(self, **changes: Any) -> Self | None:
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "lease": self.lease}, [{"$set": changes}], return_document=ReturnDocument.AFTER
        )
        return None if found is None else self._from_son(found)

    @classmethod
    def spare(cls, stripe_id: str) -> None:
        """Let an object belong to nobody who was forgotten."""
        cls.own_rows().update_many({"named": stripe_id}, {"$pull": {"named": stripe_id}})

    @classmethod
    def overdue(cls, at: datetime) -> list[Self]:
        """Return those that are due."""
        return list(cls.objects(__raw__=clock.overdue(at)))

    @classmethod
    def concerns(cls, ids: set[str]) -> bool:
        """Whether any of these objects belongs to somebody who was forgotten."""
        return cls._touched(ids) is not None

    @classmethod
    def unless_forgotten(
        cls,
        ids: set[str],
        write: Callable[[bool, Callable[[Any], Expression]], Written],
        as_of: datetime | None = None,
    ) -> Written:
        """Return what `write` returns, called with whether any of these objects belongs to somebody who was forgotten,
        and with what makes a value of the update fail when that is no longer sure.

        An erasure is written, and its documents are erased, before it waits and searches the rows once more. So a row
        with a person's words is there when it searches, or is never written. `as_of` is when a document that was not
        erased was seen: as good as a look, and free.
        """
        for left in reversed(range(LOOKS)):
            erased, seen = cls._look(ids) if as_of is None else (False, as_of)
            as_of, until = None, seen + HOLDS
            sure = partial(_in_time, until)
            try:
                with pymongo.timeout(WRITES.total_seconds()):
                    return write(erased, sure)
            except OperationFailure as error:
                if error.code not in TOO_LATE or not left:
                    raise
        raise AssertionError("the last look raises")

    @classmethod
    def _look(cls, ids: set[str]) -> tuple[bool, datetime]:
        """Return whether one of these is named, and when that was so, by MongoDB's clock."""
        named = {"$match": {"named": {"$in": sorted(ids)}}}
        collection = cls.own_rows().name
        asked: list[dict[str, Any]] = [
            {"$documents": [{}]},
            {
                "$lookup": {
                    "from": collection,
                    "pipeline": [named, {"$limit": 1}, {"$project": {"_id": 1}}],
                    "as": "found",
                }
            },
            {"$project": {"found": 1, "at": "$$NOW"}},
        ]
        (told,) = database().aggregate(asked)
        return bool(told["found"]), told["at"].replace(tzinfo=UTC)

    @classmethod
    def include_if_related(cls, owners: set[str], more: set[str]) -> bool:
        """The same, of what these decide whose it is; then `more` belongs to them, too."""
        touched = cls._touched(owners)
        if touched is None:
            return False
        grown = cls.own_rows().find_one_and_update({"_id": touched}, {"$addToSet": {"named": {"$each": sorted(more)}}})
        return grown is not None

    @classmethod
    def _touched(cls, ids: set[str]) -> ObjectId | None:
        found = cls.own_rows().find_one({"named": {"$in": sorted(ids)}}, {"_id": 1}) if ids else None
        return None if found is None else ObjectId(found["_id"])


def _in_time(until: datetime, value: Any) -> Expression:
    """Return the expression of a value that makes the whole update fail after that time."""
    late = {"$toInt": {"$concat": ["too late: ", "$_id"]}}
    return Expression({"$cond": [{"$lt": ["$$NOW", until]}, literal(value), late]})


def rows_of(model: type[OwnRows]) -> Iterator[dict[str, Any]]:
    """Yield all rows of a collection of ours, as they are stored, whatever dates are in them."""
    rows = model.own_rows()
    anything = rows.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    yield from rows.with_options(codec_options=anything).find()
