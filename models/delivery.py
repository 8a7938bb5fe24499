"""Deliveries: one row for each notice and each hook that subscribed to it, with its state."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from bson import ObjectId
from mongoengine import BinaryField, DateTimeField, IntField, ListField, ObjectIdField, StringField
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.whose import listed, owners_of_event
from stripe_mongo_sync.models.erasure import Erasure
from stripe_mongo_sync.models.event_body import owners_left, without_content
from stripe_mongo_sync.models.rows.claimable import Claimable
from stripe_mongo_sync.models.rows.clock import Expression, from_now, literal
from stripe_mongo_sync.models.rows.indexes import A_DATE

ATTEMPT_LOST = "the attempt did not come back: the hook hung or ended its process, or the process was stopped"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"  # due, or to be tried again
    DONE = "done"  # the hook returned
    DEAD = "dead"  # given up after the last attempt; an operator can replay it


class Delivery(Claimable):
    """One notice for one hook. Its id, `<notice id>:<hook>`, makes a repeated insert harmless."""

    meta: ClassVar = {"collection": "hook_deliveries", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("lease", partialFilterExpression={"lease": A_DATE}),
        IndexModel([("state", 1), ("at", 1)]),
        IndexModel("owners"),
    ]
    id: str = StringField(primary_key=True)
    notice: str = StringField()
    name: str = StringField()
    at: datetime = DateTimeField()  # when the fact happened
    hook: str = StringField()
    kind: str = StringField()  # of the document; "event" for Stripe's events
    document: ObjectId | None = ObjectIdField()
    owners: list[str] = ListField(StringField())  # its document's id, or those of its event's row
    raw: bytes | None = BinaryField()  # the event: its row in the inbox may expire before this is done
    state: str = StringField(choices=[str(state) for state in DeliveryState])
    dead_at: datetime | None = DateTimeField()
    replays: int = IntField()  # by an operator
    erased_at: datetime | None = DateTimeField()

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify it in logs."""
        return {"state": self.state}

    @classmethod
    def enqueue(
        cls,
        notice: dict[str, Any],
        hook: str,
        kind: str,
        *,
        document: ObjectId | None = None,
        raw: bytes | None = None,
        owners: list[str] | None = None,
    ) -> bool:
        """Insert the delivery of a notice to a hook; return False if it exists already.

        It is about a document, or about an event, which needs `raw` and the `owners` of its row.
        """
        cls.insert_collection()  # before the time limit of the insert begins
        about = {"notice": notice["id"], "name": notice["name"], "at": notice["at"], "hook": hook, "kind": kind}
        if raw is None:
            return cls._insert({**about, "document": document, "owners": [str(document)], "raw": None})
        event = json.loads(raw)

        def write(forgotten: bool, sure: Callable[[Any], Expression]) -> bool:
            words = _left(event) if forgotten else {"raw": sure(raw), "owners": owners}
            return cls._insert({**about, "document": None, **words})

        return Erasure.unless_forgotten(owners_of_event(event), write)

    @classmethod
    def _insert(cls, about: dict[str, Any]) -> bool:
        row = {
            **about,
            "state": DeliveryState.PENDING,
            "error": None,
            "attempts": 0,
            "settled_at": None,
            "dead_at": None,
            "replays": 0,
        }
        values = {name: literal(value) for name, value in row.items()}
        try:
            cls.insert_collection().find_one_and_update(
                {"_id": f"{about['notice']}:{about['hook']}", "state": {"$exists": False}},
                [{"$set": {**values, "lease": from_now()}}],
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        return True

    def claim_attempt(self, lease: timedelta) -> Self | None:
        """Claim it for one attempt, or return None. Until the attempt ends, the row says that it was lost."""
        return self.claim(lease, error=ATTEMPT_LOST)

    def succeed(self, note: str | None = None, *, bare: str | None = None) -> Self | None:
        """Mark it done, with a `note`; if its person was erased, with `bare`, which quotes no error."""
        told = self._unless_erased(note, bare)
        return self._change(
            {"state": DeliveryState.DONE, "error": told, "lease": None, "dead_at": None, "settled_at": from_now()}
        )

    def fail(self, error: str, delay: timedelta, *, bare: str | None = None) -> Self | None:
        """Record why an attempt failed; it is due again after `delay`.

        An exception's text may quote a person: if they were erased, `bare` is stored instead.
        """
        return self._change({"error": self._unless_erased(error, bare), "lease": from_now(delay)})

    def mark_dead(self, error: str | None, *, bare: str | None = None) -> Self | None:
        """Give it up, and record why, as `fail` does."""
        told = self._unless_erased(error, bare)
        return self._change({"state": DeliveryState.DEAD, "error": told, "lease": None, "dead_at": from_now()})

    @staticmethod
    def _unless_erased(error: str | None, bare: str | None) -> Expression:
        return Expression({"$cond": [{"$gt": ["$erased_at", None]}, literal(bare), literal(error)]})

    def erase(self) -> Self | None:
        """Remove the content of its event, and the hook's error; return None if a worker has claimed it."""
        left = {"erased_at": from_now()} if self.raw is None else _left(json.loads(self.raw))
        return self._change({**left, "error": None})

    def replay(self) -> Self | None:
        """Reset it, in whatever state: it is due immediately, with all of its attempts."""
        return self._change(
            {
                "state": DeliveryState.PENDING,
                "attempts": 0,
                "lease": from_now(),
                "dead_at": None,
                "settled_at": None,
                "replays": self.replays + 1,
            }
        )


def _left(event: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that change when a row loses the content of its event."""
    return {"raw": without_content(event), "owners": listed(owners_left(event)), "erased_at": from_now()}
