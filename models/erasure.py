"""Erasures: who was forgotten, by ids alone, so that nothing which comes later brings them back.

A row names all of Stripe's objects that belong to the person. Written before anything is erased, it is also what is
still to be done: until the row is at rest, reconcile goes on with it.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from mongoengine import DateTimeField, Document, ListField, ObjectIdField, StringField
from pymongo import IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError

from models import clock
from models.clock import from_now, literal
from models.indexes import A_DATE
from models.scrub import mentioned

AGAIN = timedelta(minutes=15)  # far longer than any work that was begun before and knows nothing of the erasure


class Erasure(Document):
    """One person, by the id of their customer's document."""

    meta: ClassVar = {"collection": "erasures", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("named"),
        IndexModel(
            [("lease", 1), ("scrubbed_at", 1), ("at", 1), ("_id", 1)], partialFilterExpression={"lease": A_DATE}
        ),
    ]
    id: ObjectId = ObjectIdField(primary_key=True)
    named: list[str] = ListField(StringField())  # all that belongs to the person, by its id at Stripe
    at: datetime = DateTimeField()  # when it was asked for
    scrubbed_at: datetime | None = DateTimeField()  # since then nothing personal was seen here
    lease: datetime | None = DateTimeField()  # when to look again; None: nothing is left to do

    @classmethod
    def begin(cls, customer: ObjectId, objects: Iterable[str]) -> Self:
        """Note that a person is to be forgotten, or that more is known to belong to them."""
        new = {"scrubbed_at": None, "lease": from_now(AGAIN)}
        with suppress(DuplicateKeyError):
            cls._get_collection().find_one_and_update(
                {"_id": customer, "at": {"$exists": False}},
                [{"$set": {"named": [], "at": from_now(), **new}}],
                upsert=True,
            )
        grown = {"$setUnion": ["$named", literal(sorted(objects))]}
        found = cls._get_collection().find_one_and_update(
            {"_id": customer}, [{"$set": {"named": grown, **new}}], return_document=ReturnDocument.AFTER
        )
        erasure: Self = cls._from_son(found)
        return erasure

    def claim(self) -> Self | None:
        """Take an overdue one; None when somebody was faster."""
        return self._changed(lease=from_now(AGAIN))

    def seen_clean(self) -> Self | None:
        """Note that nothing personal is left. Who says so a second time, later than `AGAIN`, ends it."""
        over = self.scrubbed_at is not None and clock.now() - self.scrubbed_at >= AGAIN
        return self._changed(
            scrubbed_at={"$ifNull": ["$scrubbed_at", from_now()]}, lease=None if over else from_now(AGAIN)
        )

    def forget(self) -> bool:
        """Drop it: Stripe refused to delete the customer, who stays."""
        gone = self._get_collection().find_one_and_delete({"_id": self.id, "lease": self.lease})
        return gone is not None

    def _changed(self, **changes: Any) -> Self | None:
        found = self._get_collection().find_one_and_update(
            {"_id": self.id, "lease": self.lease}, [{"$set": changes}], return_document=ReturnDocument.AFTER
        )
        return None if found is None else self._from_son(found)

    @classmethod
    def overdue(cls, at: datetime) -> list[Self]:
        """Return those that are due."""
        return list(cls.objects(__raw__=clock.overdue(at)))

    @classmethod
    def concerns(cls, ids: set[str]) -> bool:
        """Whether any of these objects belongs to somebody who was forgotten."""
        return bool(ids) and cls._touched(ids) is not None

    @classmethod
    def takes_in(cls, stripe_id: str, ids: set[str]) -> bool:
        """The same, of an object that mentions these; what mentions it in turn will belong to them, too."""
        touched = cls._touched({stripe_id, *ids})
        if touched is None:
            return False
        grown = cls._get_collection().find_one_and_update({"_id": touched}, {"$addToSet": {"named": stripe_id}})
        return grown is not None

    @classmethod
    def _touched(cls, ids: set[str]) -> ObjectId | None:
        found = cls._get_collection().find_one({"named": {"$in": sorted(ids)}}, {"_id": 1})
        return found and found["_id"]


def raw_rows(model: type[Document]) -> Iterator[RawBSONDocument]:
    """Yield all rows of a collection, as they are stored."""
    collection = model._get_collection()
    yield from collection.with_options(codec_options=CodecOptions(RawBSONDocument)).find()


def mentions(row: RawBSONDocument) -> set[str]:
    """Return all ids of Stripe's that a stored row mentions, wherever."""
    return mentioned(bytes(row.raw))
