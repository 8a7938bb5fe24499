"""Erasures: the persons who were erased, by ids alone, so that no later event stores their data again.

A row names all of Stripe's objects that belong to the person. It is written before anything is erased, and reconcile
continues the erasure until the row is at rest.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
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
from stripe_mongo_sync.models.rows.clock import Expression, from_now, literal
from stripe_mongo_sync.models.rows.indexes import A_DATE
from stripe_mongo_sync.models.rows.many import Query, read_many
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
        IndexModel("named"),
        IndexModel(
            [("lease", 1), ("scrubbed_at", 1), ("at", 1), ("_id", 1)], partialFilterExpression={"lease": A_DATE}
        ),
    ]
    mark: ClassVar[str] = "named"
    mark_is: ClassVar[str] = "array"
    id: ObjectId = ObjectIdField(primary_key=True)
    named: list[str] = ListField(StringField())  # Stripe's ids of all objects that belong to the person
    at: datetime = DateTimeField()  # when it was requested
    scrubbed_at: datetime | None = DateTimeField()  # when a pass first found no personal data
    lease: datetime | None = DateTimeField()  # when to check again; None: the erasure is complete
    named_at: datetime | None = DateTimeField()  # when the last of these ids was added, by MongoDB's clock

    @classmethod
    def begin(cls, customer: ObjectId, objects: Iterable[str]) -> Self:
        """Record that a person is to be erased, or that more objects belong to them."""
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
        """Wait until no write can rely on an older answer of `unless_forgotten`: older than this row with all its ids,
        and, if a document was `erased` just now, older than that.
        """
        now = clock.now() - clock.TEST_OFFSET
        since = now if erased else self.named_at or now - HOLDS - WRITES
        while (left := since + HOLDS + WRITES - now) > timedelta():
            pause(left.total_seconds())
            now = clock.now() - clock.TEST_OFFSET

    def claim(self) -> Self | None:
        """Claim it while it is due; return None if another worker was first."""
        return self._changed(lease=from_now(RECHECK_AFTER))

    def record_clean_pass(self) -> Self | None:
        """Record a pass that found no personal data. The second, at least `RECHECK_AFTER` later, completes it."""
        over = self.scrubbed_at is not None and clock.now() - self.scrubbed_at >= RECHECK_AFTER
        return self._changed(
            scrubbed_at={"$ifNull": ["$scrubbed_at", from_now()]}, lease=None if over else from_now(RECHECK_AFTER)
        )

    def cancel(self) -> bool:
        """Delete the row, because Stripe refused to delete the customer; return False if another worker has it."""
        gone = self.own_rows().find_one_and_delete({"_id": self.id, "lease": self.lease})
        return gone is not None

    def _changed(self, **changes: Any) -> Self | None:
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "lease": self.lease}, [{"$set": changes}], return_document=ReturnDocument.AFTER
        )
        return None if found is None else self._from_son(found)

    @classmethod
    def spare(cls, stripe_id: str) -> None:
        """Remove an object from every erasure: it belongs to no erased person."""
        cls.own_rows().update_many({"named": stripe_id}, {"$pull": {"named": stripe_id}})

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
        at, (found,) = read_many([Query(cls, {"named": {"$in": sorted(ids)}}, ["_id"])])
        return bool(found), at - clock.TEST_OFFSET

    @classmethod
    def include_if_related(cls, owners: set[str], more: set[str]) -> bool:
        """Whether one of the `owners` belongs to a person who was erased; if so, record that `more` does, too."""
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
    """Return the expression of a value with which the whole update fails after this time."""
    late = {"$toInt": {"$concat": ["too late: ", "$_id"]}}
    return Expression({"$cond": [{"$lt": ["$$NOW", until]}, literal(value), late]})


def rows_of(model: type[OwnRows], where: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of ours that `where` selects, as they are stored, whatever dates are in them."""
    rows = model.own_rows()
    anything = rows.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    yield from rows.with_options(codec_options=anything).find(where)
