"""A row of work, claimed for a lease before it is worked on: workers share the work, and what one leaves is redone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from mongoengine import DateTimeField, Document, IntField, StringField
from pymongo import ReturnDocument
from pymongo.collection import Collection

from models import clock
from models.clock import from_now, literal
from models.lifecycle import LEASE


class Claimable(Document):
    """Whoever claims it died when the lease has run out; the attempt was counted before it was made."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
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
        found = self._get_collection().find_one_and_update(
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
    def claims(cls, at: datetime) -> Iterator[Self]:
        """Claim one row after the other that is due at `at`, longest due first, until none is left.

        MongoDB picks each in the update that takes it: workers that share a backlog never try the same row.
        """
        taken = [{"$set": {"lease": from_now(LEASE), "attempts": {"$add": ["$attempts", 1]}}}]
        for found in take_each(cls._get_collection(), at, taken):
            yield cls._from_son(found)


def take_each(rows: Collection[Any], at: datetime, taken: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Apply `taken` to one row after the other that is due at `at`, and yield it as it is then."""
    due = clock.overdue(at)
    found = rows.find_one(due, {"_id": 1})  # where nothing is due, nothing is written
    while found is not None:
        found = rows.find_one_and_update(due, taken, sort=[("lease", 1)], return_document=ReturnDocument.AFTER)
        if found is not None:
            yield found
