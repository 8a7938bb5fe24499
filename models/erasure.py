"""Erasures: the persons who were erased, by ids alone, so that no later event stores their data again.

A row names all of Stripe's objects that belong to the person. It is written before anything is erased, and reconcile
continues the erasure until the row is at rest.
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

from stripe_mongo_sync.models.base.birth import remembers
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, Expression, due, from_now, leased, literal
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.rows.formerly import ERASURES
from stripe_mongo_sync.models.rows.indexes import A_DATE
from stripe_mongo_sync.models.rows.own_rows import OwnRows

RECHECK_AFTER = timedelta(minutes=15)  # far longer than any work that began before the erasure and does not know of it
HOLDS = timedelta(seconds=2)  # a write begins at most this long after it read the erasures, by MongoDB's clock
WRITES = timedelta(seconds=2)  # and takes at most this long; after both, no write relies on that read
TOO_LATE = (241, 50)  # MongoDB's codes of a conversion that fails, see `_in_time`, and of a time limit
LOOKS = 3

Written = TypeVar("Written")
pause: Callable[[float], Any] = threading.Event().wait


@remembers
class Erasure(OwnRows):
    """The erasure of one person, by the id of their customer's document."""

    meta: ClassVar = {"collection": "erasures", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("stripe_ids"),
        IndexModel(
            [("due_at", 1), ("scrubbed_at", 1), ("requested_at", 1), ("_id", 1)],
            partialFilterExpression={"due_at": A_DATE},
        ),
    ]
    names = ERASURES
    mark: ClassVar[str] = "stripe_ids"
    mark_is: ClassVar[str] = "array"
    id: ObjectId = ObjectIdField(primary_key=True)
    stripe_ids: list[str] = ListField(StringField())  # Stripe's ids of all objects that belong to the person
    requested_at: datetime = DateTimeField()  # when it was requested
    scrubbed_at: datetime | None = DateTimeField()  # when a pass first found no personal data
    leased_until: datetime | None = DateTimeField()  # until then a worker has it
    due_at: datetime | None = DateTimeField()  # when to check again; None: the erasure is complete
    due_reason: str | None = StringField()  # a DueReason
    grown_at: datetime | None = DateTimeField()  # when the last of these ids was added, by MongoDB's clock

    @classmethod
    def begin(cls, customer: ObjectId, objects: Iterable[str]) -> Self:
        """Record that a person is to be erased, or that more objects belong to them."""
        new = {"scrubbed_at": None, **leased(RECHECK_AFTER)}
        with suppress(DuplicateKeyError):
            cls.insert_collection().find_one_and_update(
                {"_id": customer, "requested_at": {"$exists": False}},
                [{"$set": {"stripe_ids": [], "requested_at": from_now(), **new}}],
                upsert=True,
            )
        more = literal(sorted(objects))
        since = {"$cond": [{"$setIsSubset": [more, "$stripe_ids"]}, {"$ifNull": ["$grown_at", "$$NOW"]}, "$$NOW"]}
        grown = {"stripe_ids": {"$setUnion": ["$stripe_ids", more]}, "grown_at": since}
        found = cls.own_rows().find_one_and_update(
            {"_id": customer}, [{"$set": {**grown, **new}}], return_document=ReturnDocument.AFTER
        )
        erasure: Self = cls._from_son(found)
        return erasure

    def wait(self, erased: bool) -> None:
        """Wait until no write can rely on an older answer of `unless_forgotten`: older than this row with all its ids,
        and, if a document was `erased` just now, older than that.
        """
        now = clock.now() - clock.TEST_OFFSET
        since = now if erased else self.grown_at or now - HOLDS - WRITES
        while (left := since + HOLDS + WRITES - now) > timedelta():
            pause(left.total_seconds())
            now = clock.now() - clock.TEST_OFFSET

    def claim(self) -> Self | None:
        """Claim it while it is due; return None if another worker was first."""
        return self._changed(**leased(RECHECK_AFTER))

    def record_clean_pass(self) -> Self | None:
        """Record a pass that found no personal data. The second, at least `RECHECK_AFTER` later, completes it."""
        over = self.scrubbed_at is not None and clock.now() - self.scrubbed_at >= RECHECK_AFTER
        return self._changed(
            scrubbed_at={"$ifNull": ["$scrubbed_at", from_now()]},
            **(IDLE if over else due(DueReason.ERASED, RECHECK_AFTER)),
        )

    def cancel(self) -> bool:
        """Delete the row, because Stripe refused to delete the customer; return False if another worker has it."""
        gone = self.own_rows().find_one_and_delete({"_id": self.id, "due_at": self.due_at})
        return gone is not None

    def _changed(self, **changes: Any) -> Self | None:
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "due_at": self.due_at}, [{"$set": changes}], return_document=ReturnDocument.AFTER
        )
        return None if found is None else self._from_son(found)

    @classmethod
    def overdue(cls, at: datetime) -> list[Self]:
        """Return the erasures that are due."""
        return list(cls.objects(__raw__=clock.overdue(at)))

    @classmethod
    def concerns(cls, ids: set[str]) -> bool:
        """Whether any of these objects belongs to a person who was erased."""
        return cls._touched(ids) is not None

    @classmethod
    def unless_forgotten(
        cls,
        ids: set[str],
        write: Callable[[bool, Callable[[Any], Expression]], Written],
        as_of: datetime | None = None,
    ) -> Written:
        """Call `write`, and return its result. It gets whether one of these objects belongs to an erased person, and a
        function that makes a value of its update fail once that answer is too old.

        An erasure is written, and its documents are erased, before it waits and searches the rows again. So a row with
        personal data exists when it searches, or is never written. `as_of` is when a document was seen not to be
        erased, which replaces the first read. Raises OperationFailure after three attempts that were too late.
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
        """Return whether an erasure names one of these ids, and MongoDB's time of that answer."""
        named = {"$match": {"stripe_ids": {"$in": sorted(ids)}}}
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
        """Whether one of the `owners` belongs to a person who was erased; if so, record that `more` does, too."""
        touched = cls._touched(owners)
        if touched is None:
            return False
        new = {"$addToSet": {"stripe_ids": {"$each": sorted(more)}}}
        grown = cls.own_rows().find_one_and_update({"_id": touched}, new)
        return grown is not None

    @classmethod
    def _touched(cls, ids: set[str]) -> ObjectId | None:
        found = cls.own_rows().find_one({"stripe_ids": {"$in": sorted(ids)}}, {"_id": 1}) if ids else None
        return None if found is None else ObjectId(found["_id"])


def _in_time(until: datetime, value: Any) -> Expression:
    """Return the expression of a value with which the whole update fails after this time."""
    late = {"$toInt": {"$concat": ["too late: ", "$_id"]}}
    return Expression({"$cond": [{"$lt": ["$$NOW", until]}, literal(value), late]})


def rows_of(model: type[OwnRows], where: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of ours that `where` selects, as they are stored, whatever dates are in them."""
    rows = model.own_rows()
    anything = rows.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    yield from rows.with_options(codec_options=anything).find(where)
