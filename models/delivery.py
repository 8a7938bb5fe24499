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
from stripe_mongo_sync.models.rows.claimable import Claimable, Decided
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, Expression, due, from_now, literal
from stripe_mongo_sync.models.rows.formerly import DELIVERIES
from stripe_mongo_sync.models.rows.indexes import A_DATE

ATTEMPT_LOST = "the attempt did not come back: the hook hung or ended its process, or the process was stopped"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"  # due, or to be tried again
    DONE = "done"  # the hook returned
    DEAD = "dead"  # given up after the last attempt; an operator can replay it


class Delivery(Claimable, Decided):
    """One notice for one hook. Its id, `<notice id>:<hook>`, makes a repeated insert harmless."""

    meta: ClassVar = {"collection": "hook_deliveries", "strict": False, "auto_create_index": False, "index_cls": False}
    names = DELIVERIES
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("due_at", partialFilterExpression={"due_at": A_DATE}),
        IndexModel([("state", 1), ("occurred_at", 1)]),
        IndexModel("owners"),
    ]
    id: str = StringField(primary_key=True)
    notice: str = StringField()
    name: str = StringField()
    occurred_at: datetime = DateTimeField()  # when the fact happened
    hook: str = StringField()
    kind: str = StringField()  # of the document; "event" for Stripe's events
    document: ObjectId | None = ObjectIdField()
    owners: list[str] = ListField(StringField())  # its document's id, or those of its event's row
    event_body: bytes | None = BinaryField()  # the event: its row in the inbox may expire before this is done
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
        event_body: bytes | None = None,
        owners: list[str] | None = None,
    ) -> bool:
        """Insert the delivery of a notice to a hook; return False if it exists already.

        It is about a document, or about an event, which needs `event_body` and the `owners` of its row.
        """
        cls.insert_collection()  # before the time limit of the insert begins
        about = {"notice": notice["id"], "name": notice["name"], "occurred_at": notice["at"]}
        about |= {"hook": hook, "kind": kind}
        if event_body is None:
            return cls._insert({**about, "document": document, "owners": [str(document)], "event_body": None})
        event = json.loads(event_body)

        def write(forgotten: bool, sure: Callable[[Any], Expression]) -> bool:
            words = _left(event) if forgotten else {"event_body": sure(event_body), "owners": owners}
            return cls._insert({**about, "document": None, **words})

        return Erasure.unless_forgotten(owners_of_event(event), write)

    @classmethod
    def _insert(cls, about: dict[str, Any]) -> bool:
        row = {
            **about,
            "state": DeliveryState.PENDING,
            "reason": None,
            "attempts": 0,
            "finished_at": None,
            "dead_at": None,
            "replays": 0,
        }
        values = {name: literal(value) for name, value in row.items()}
        try:
            cls.insert_collection().find_one_and_update(
                {"_id": f"{about['notice']}:{about['hook']}", "state": {"$exists": False}},
                [{"$set": {**values, **due(DueReason.NEW)}}],
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        return True

    def claim_attempt(self, lease: timedelta) -> Self | None:
        """Claim it for one attempt, or return None. Until the attempt ends, the row says that it was lost."""
        return self.claim(lease, reason=ATTEMPT_LOST)

    def succeed(self, note: str | None = None, *, bare: str | None = None) -> Self | None:
        """Mark it done, with a `note`; if its person was erased, with `bare`, which quotes no error."""
        told = self._unless_erased(note, bare)
        return self._change(
            {"state": DeliveryState.DONE, "reason": told, "dead_at": None, "finished_at": from_now(), **IDLE}
        )

    def fail(self, reason: str, delay: timedelta, *, bare: str | None = None) -> Self | None:
        """Record why an attempt failed; it is due again after `delay`.

        An exception's text may quote a person: if they were erased, `bare` is stored instead.
        """
        return self._change({"reason": self._unless_erased(reason, bare), **due(DueReason.RETRY, delay)})

    def mark_dead(self, reason: str | None, *, bare: str | None = None) -> Self | None:
        """Give it up, and record why, as `fail` does."""
        told = self._unless_erased(reason, bare)
        return self._change({"state": DeliveryState.DEAD, "reason": told, "dead_at": from_now(), **IDLE})

    @staticmethod
    def _unless_erased(reason: str | None, bare: str | None) -> Expression:
        return Expression({"$cond": [{"$gt": ["$erased_at", None]}, literal(bare), literal(reason)]})

    def erase(self) -> Self | None:
        """Remove the content of its event, and the hook's error; return None if a worker has claimed it."""
        left = {"erased_at": from_now()} if self.event_body is None else _left(json.loads(self.event_body))
        return self._change({**left, "reason": None})

    def replay(self) -> Self | None:
        """Reset it, in whatever state: it is due immediately, with all of its attempts."""
        return self._change(
            {
                "state": DeliveryState.PENDING,
                "attempts": 0,
                **due(DueReason.OPERATOR),
                "dead_at": None,
                "finished_at": None,
                "replays": self.replays + 1,
            }
        )


def _left(event: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that change when a row loses the content of its event."""
    return {"event_body": without_content(event), "owners": listed(owners_left(event)), "erased_at": from_now()}
