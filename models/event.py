"""The inbox: one row for each event that Stripe sent or listed, with its state.

The row keeps the raw bytes, because some valid JSON cannot be stored as BSON, and Stripe's own words are the evidence.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from bson import ObjectId
from mongoengine import BinaryField, DateTimeField, IntField, ListField, ObjectIdField, StringField
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.notice import NoticeOutbox, append_notices, initial_notice, of_event
from stripe_mongo_sync.models.base.whose import listed, owners_before, owners_of_event
from stripe_mongo_sync.models.erasure import Erasure
from stripe_mongo_sync.models.event_body import (
    creation_key,
    fields_of,
    object_id,
    of_others,
    owners_left,
    storable,
    without_content,
)
from stripe_mongo_sync.models.rows.claimable import Claimable, Decided
from stripe_mongo_sync.models.rows.clock import IDLE, LEASE, DueReason, Expression, due, from_now, leased, literal
from stripe_mongo_sync.models.rows.formerly import EVENTS
from stripe_mongo_sync.models.rows.indexes import A_DATE, A_STRING


class EventState(StrEnum):
    """The state of an event in the inbox."""

    RECEIVED = "received"  # stored, not applied yet
    WAITING = "waiting"  # its object is unknown so far, or its document is in doubt
    APPLIED = "applied"
    STALE = "stale"  # older than the snapshot
    IGNORED = "ignored"  # not ours, or not mirrored: `reason` says which
    DEAD = "dead"  # given up after MAX_ATTEMPTS, or unreadable; an operator can replay it


class Via(StrEnum):
    """How an event came here."""

    WEBHOOK = "webhook"
    LIST = "list"  # reconcile read it in Stripe's list, and no webhook brought it


OPEN = (EventState.RECEIVED, EventState.WAITING)
FAILED = (EventState.RECEIVED, EventState.DEAD)
OTHER_INSTALLATION = "made by another installation"
GONE = "about an unknown object that is gone"
WITHOUT_ADOPTION = "an unknown object, and ADOPT=no"
UNADOPTED = (GONE, WITHOUT_ADOPTION)  # an event that was ignored for this applies if its object has a document now
MAX_ATTEMPTS = 15  # with the backoff below, about six hours


class Event(NoticeOutbox, Claimable, Decided):
    """One event, by Stripe's id."""

    meta: ClassVar = {"collection": "stripe_events", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("due_at", partialFilterExpression={"due_at": A_DATE}),
        IndexModel([("state", 1), ("received_at", -1)]),
        IndexModel([("object_id", 1), ("creation_key", 1)]),
        IndexModel("creation_key", partialFilterExpression={"creation_key": A_STRING}),
        IndexModel("owners"),
        NoticeOutbox.notice_index,
    ]
    names = EVENTS
    mark: ClassVar[str] = "attempts"
    id: str = StringField(primary_key=True)
    type: str = StringField()
    created: int = IntField()  # Stripe's, in seconds
    object_id: str | None = StringField()
    creation_key: str | None = StringField()  # see `event_body.creation_key`
    waits_for: ObjectId | None = ObjectIdField()  # the document whose object its object may be
    owners: list[str] = ListField(StringField())  # the ids that show whose it is: see `models/base/whose.py`
    raw: bytes = BinaryField()
    state: str = StringField(choices=[str(state) for state in EventState])
    via: str | None = StringField(choices=[str(via) for via in Via])
    replays: int | None = IntField()  # how often an operator replayed it
    replayed_at: datetime | None = DateTimeField()  # and when, the last time
    received_at: datetime = DateTimeField()
    erased_at: datetime | None = DateTimeField()  # since then it names its object and shows no content of it

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify it in logs."""
        return {"type": self.type, "state": self.state}

    @classmethod
    def record(
        cls,
        event: dict[str, Any],
        raw: bytes,
        state: EventState,
        reason: str | None = None,
        delay: timedelta = LEASE,
        *,
        notify_hooks: bool = True,
        others: bool = False,
        via: Via = Via.LIST,
        erased: bool = False,
        as_of: datetime | None = None,
        waits_for: ObjectId | None = None,
    ) -> bool:
        """Insert the row of an event; return False if it exists already. `notify_hooks` adds the notice of its type.

        If it exists, a webhook that came after reconcile had read the event is recorded, and so is an event that failed
        before and is applied now. Of an event of `others`, only its object and its owner are stored; of one about what
        another installation made, who made it, too. `erased` says that it is about an erased person; otherwise the
        update itself checks that, or relies on a check `as_of` that time.
        """
        cls.insert_collection()  # before the time limit of the insert begins
        more: dict[str, Any] = {"notify_hooks": notify_hooks, "via": via, "waits_for": waits_for}
        if others or reason == OTHER_INSTALLATION:
            left = of_others(event) if others else event
            return cls._insert(left, without_content(left), state, reason, delay, erased=False, others=others, **more)
        if erased:
            return cls._insert(event, without_content(event), state, None, delay, erased=True, **more)

        def write(forgotten: bool, sure: Callable[[Any], Expression]) -> bool:
            words, why = (without_content(event), None) if forgotten else (sure(storable(event, raw)), reason)
            return cls._insert(event, words, state, why, delay, erased=forgotten, **more)

        before = owners_before(event)  # the document, which was checked, does not name these
        return Erasure.unless_forgotten(owners_of_event(event), write, None if before else as_of)

    @classmethod
    def _insert(
        cls,
        event: dict[str, Any],
        words: bytes | Expression,
        state: EventState,
        reason: str | None,
        delay: timedelta,
        *,
        notify_hooks: bool,
        via: Via,
        waits_for: ObjectId | None,
        erased: bool,
        others: bool = False,
    ) -> bool:
        is_open = state in OPEN
        bare = erased or others or reason == OTHER_INSTALLATION
        row = {**fields_of(event, words, erased=erased, others=others, bare=bare), "waits_for": waits_for}
        row |= {"state": state, "reason": reason, "attempts": 1, "via": via}
        values = {
            **{name: literal(value) for name, value in row.items()},
            **(append_notices(of_event(event["type"])) if notify_hooks else {}),
            **({"erased_at": from_now()} if erased else {}),
            "received_at": from_now(),
            **_rest(state, delay),
            "finished_at": None if is_open or state == EventState.DEAD else _finished_at(row["creation_key"], reason),
        }
        mended = [] if state in FAILED else [str(each) for each in (*FAILED, EventState.WAITING) if each != state]
        again = {name: value for name, value in values.items() if name not in ("notices", "received_at")}
        branches = [
            {"case": {"$eq": [{"$type": "$state"}, "missing"]}, "then": values},
            {"case": {"$in": ["$state", mended]}, "then": again},
        ]
        told = {"$switch": {"branches": branches, "default": {"via": literal(via)}}}
        try:
            before = cls.insert_collection().find_one_and_update(
                {
                    "_id": event["id"],
                    "$or": [{"state": {"$exists": False}}, {"via": Via.LIST}, {"state": {"$in": mended}}],
                },
                [{"$replaceWith": {"$mergeObjects": ["$$ROOT", told]}}],
                upsert=True,
            )
        except DuplicateKeyError:
            return False
        return before is None or before["state"] in mended

    @classmethod
    def finished_row(
        cls, event: dict[str, Any], raw: bytes, state: EventState, reason: str | None, via: Via, at: datetime
    ) -> dict[str, Any]:
        """Return the row of an event that is finished at MongoDB's time `at`, as a plain insert has it."""
        news = initial_notice(event["id"], of_event(event["type"]), at)
        told = {"state": state, "reason": reason, "attempts": 1, "via": via, "received_at": at, "finished_at": at}
        return {"_id": event["id"], **fields_of(event, storable(event, raw)), **told, **IDLE, **news}

    def replay(self) -> Self | None:
        """Reopen a row, in whatever state, as if it had just come: claimed, with the operator's replay counted.

        Return None if another worker changed it at the same time.
        """
        return self._change(
            {
                "state": EventState.RECEIVED,
                "attempts": 1,
                **leased(),
                "finished_at": None,
                "replays": (self.replays or 0) + 1,
                "replayed_at": from_now(),
            }
        )

    def finish(
        self,
        state: EventState,
        reason: str | None = None,
        delay: timedelta | None = None,
        bared: bytes | None = None,
        waits_for: ObjectId | None = None,
    ) -> Self | None:
        """Record the result of a claimed row; an open one is due after `delay`. `bared` replaces its body."""
        is_open = state in OPEN
        erased = {} if bared is None else {**_left(bared), "erased_at": from_now()}
        told = {
            "$cond": [{"$gt": ["$erased_at", None]}, None, literal(reason)]
        }  # its text may quote a person who was erased since
        return self._change(
            {
                **erased,
                "state": state,
                "waits_for": waits_for,
                "reason": None if bared is not None else Expression(told),
                "attempts": 0 if state == EventState.WAITING else self.attempts,  # waiting is no failure
                **_rest(state, LEASE if delay is None else delay),
                "finished_at": None if is_open or state == EventState.DEAD else from_now(),
            }
        )

    def disown(self, event: dict[str, Any], reason: str) -> Self | None:
        """Mark a claimed row as not ours, with the reason; only the ids of its object and its owner stay, and who made
        the object if another installation did.
        """
        theirs = reason == OTHER_INSTALLATION
        event = event if theirs else of_others(event)
        key = creation_key(event) if theirs else None
        left = {"raw": without_content(event), "object_id": object_id(event), "owners": listed(owners_left(event))}
        done = {"state": EventState.IGNORED, **IDLE, "finished_at": _finished_at(key, reason)}
        return self._change({**left, "creation_key": key, "reason": reason, **done})

    def erase(self, event: dict[str, Any]) -> Self | None:
        """Remove all content except the id of its object; return None if a worker has claimed it."""
        return self._change({**_left(without_content(event)), "reason": None, "erased_at": from_now()})

    @classmethod
    def waiting(cls, object_id: str) -> list[Self]:
        """Return the rows that wait for this object to have a document."""
        return list(cls.objects(object_id=object_id, state=EventState.WAITING))

    @classmethod
    def hasten(cls, object_id: str) -> None:
        """Make those rows due now, so that the next run applies them."""
        cls.own_rows().update_many(
            {"object_id": object_id, "state": EventState.WAITING}, [{"$set": due(DueReason.WAITING)}]
        )

    @classmethod
    def reopen_unadopted(cls, object_ids: Collection[str], since: int) -> None:
        """Make due what was ignored because these objects had no document, from Stripe's second `since` on."""
        ignored = {"state": EventState.IGNORED, "reason": {"$in": [*UNADOPTED]}, "created": {"$gte": since}}
        waits = {"state": EventState.WAITING, "finished_at": None, **due(DueReason.WAITING)}
        cls.own_rows().update_many({"object_id": {"$in": [*object_ids]}, **ignored}, [{"$set": waits}])

    @classmethod
    def forget_maker(cls, object_id: str) -> None:
        """Let the row expire that says that another installation made an object, because the object is deleted."""
        row = {"object_id": object_id, "creation_key": A_STRING, "state": EventState.IGNORED, "finished_at": None}
        cls.own_rows().update_many(row, [{"$set": {"finished_at": from_now()}}])

    @classmethod
    def decided(cls, document: ObjectId) -> None:
        """Make due what waits for this document, or waited in vain, because an operator has decided about it."""
        waits = {"waits_for": document, "state": {"$in": [EventState.WAITING, EventState.DEAD]}}
        cls.own_rows().update_many(waits, [{"$set": {"state": EventState.WAITING, **due(DueReason.OPERATOR)}}])

    @classmethod
    def known(cls, ids: list[str]) -> set[str]:
        """Return those of `ids` that have a row already, in any state."""
        return {row.id for row in cls.objects(id__in=ids).only("id")}


def _left(bared: bytes) -> dict[str, Any]:
    left = json.loads(bared)
    return {"raw": bared, "object_id": object_id(left), "owners": listed(owners_left(left))}


def _rest(state: EventState, delay: timedelta) -> dict[str, Any]:
    """Return when a row in this state is due, and why."""
    return due(DueReason.WAITING if state == EventState.WAITING else DueReason.RETRY, delay) if state in OPEN else IDLE


def _finished_at(key: str | None, reason: str | None) -> Expression | None:
    """Return since when nothing is left to do, so that a row may expire.

    The row that says that another installation made an object never does: nobody would know it any more.
    """
    return None if key and reason == OTHER_INSTALLATION else from_now()
