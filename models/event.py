"""The inbox: one row for each event that Stripe sent or listed, with its state.

The row keeps the raw bytes, because some valid JSON cannot be stored as BSON, and Stripe's own words are the evidence.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Self

from mongoengine import BinaryField, DateTimeField, IntField, StringField
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.notice import NoticeOutbox, append_notices, of_event
from stripe_mongo_sync.models.base.resource import KINDS, is_id
from stripe_mongo_sync.models.base.whose import owners_before, owners_of_event
from stripe_mongo_sync.models.erasure import Erasure
from stripe_mongo_sync.models.rows.claimable import Claimable
from stripe_mongo_sync.models.rows.clock import LEASE, Expression, from_now, literal
from stripe_mongo_sync.models.rows.content import event_shown, is_key, may_have_keys
from stripe_mongo_sync.models.rows.indexes import A_DATE
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.scrub import ERASED, ID, scrub


class EventState(StrEnum):
    """The state of an event in the inbox."""

    RECEIVED = "received"  # stored, not applied yet
    WAITING = "waiting"  # its object is unknown so far, or its document is in doubt
    APPLIED = "applied"
    STALE = "stale"  # older than the snapshot
    IGNORED = "ignored"  # not ours, or not mirrored: `error` says which
    DEAD = "dead"  # given up after MAX_ATTEMPTS, or unreadable; an operator can replay it


class Via(StrEnum):
    """How an event came here."""

    WEBHOOK = "webhook"
    LIST = "list"  # reconcile read it in Stripe's list, and no webhook brought it


OPEN = (EventState.RECEIVED, EventState.WAITING)
FAILED = (EventState.RECEIVED, EventState.DEAD)
ACCOUNT = re.compile(r"acct_\w{1,100}", re.ASCII)
ACCOUNTS = re.compile(r"\w{1,100}(?:/\w{1,100}){0,8}", re.ASCII)  # acct_…, or a path of accounts: an event's context
MAX_ATTEMPTS = 15  # with the backoff below, about six hours


class Event(NoticeOutbox, Claimable):
    """One event, by Stripe's id."""

    meta: ClassVar = {"collection": "stripe_events", "strict": False, "auto_create_index": False, "index_cls": False}
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("lease", partialFilterExpression={"lease": A_DATE}),
        IndexModel([("state", 1), ("received_at", -1)]),
        IndexModel("object_id"),
        NoticeOutbox.notice_index,
    ]
    mark: ClassVar[str] = "attempts"
    id: str = StringField(primary_key=True)
    type: str = StringField()
    created: int = IntField()  # Stripe's, in seconds
    object_id: str | None = StringField()
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
        error: str | None = None,
        due: timedelta = LEASE,
        *,
        notify_hooks: bool = True,
        others: bool = False,
        via: Via = Via.LIST,
        erased: bool = False,
        as_of: datetime | None = None,
    ) -> bool:
        """Insert the row of an event; return False if it exists already. `notify_hooks` adds the notice of its type.

        If it exists, a webhook that came after reconcile had read the event is recorded, and so is an event that failed
        before and is applied now. Of an event of `others`, only its object and its owner are stored. `erased` says that
        it is about an erased person; otherwise the update itself checks that, or relies on a check `as_of` that time.
        """
        cls.insert_collection()  # before the time limit of the insert begins
        if others:
            event = of_others(event)
            return cls._insert(event, without_content(event), state, error, due, notify_hooks, via, erased=False)
        if erased:
            return cls._insert(event, without_content(event), state, None, due, notify_hooks, via, erased=True)

        def write(forgotten: bool, sure: Callable[[Any], Expression]) -> bool:
            words, why = (without_content(event), None) if forgotten else (sure(storable(event, raw)), error)
            return cls._insert(event, words, state, why, due, notify_hooks, via, erased=forgotten)

        before = owners_before(event)  # the document, which was checked, does not name these
        return Erasure.unless_forgotten(owners_of_event(event), write, None if before else as_of)

    @classmethod
    def _insert(
        cls,
        event: dict[str, Any],
        words: bytes | Expression,
        state: EventState,
        error: str | None,
        due: timedelta,
        notify_hooks: bool,
        via: Via,
        *,
        erased: bool,
    ) -> bool:
        is_open, created = state in OPEN, event.get("created")
        row = {
            "type": event["type"],
            "created": created if isinstance(created, int) and 0 <= created < 2**53 else None,  # None: it is no event
            "object_id": id_left(event) if erased else object_id(event),
            "raw": words,
            "state": state,
            "error": error,
            "attempts": 1,
            "via": via,
        }
        values = {
            **{name: literal(value) for name, value in row.items()},
            **(append_notices(of_event(event["type"])) if notify_hooks else {}),
            **({"erased_at": from_now()} if erased else {}),
            "received_at": from_now(),
            "lease": from_now(due) if is_open else None,
            "settled_at": None if is_open or state == EventState.DEAD else from_now(),
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

    def replay(self) -> Self | None:
        """Reopen a row, in whatever state, as if it had just come: claimed, with the operator's replay counted.

        Return None if another worker changed it at the same time.
        """
        return self._change(
            {
                "state": EventState.RECEIVED,
                "attempts": 1,
                "lease": from_now(LEASE),
                "settled_at": None,
                "replays": (self.replays or 0) + 1,
                "replayed_at": from_now(),
            }
        )

    def finish(
        self, state: EventState, error: str | None = None, due: timedelta | None = None, bared: bytes | None = None
    ) -> Self | None:
        """Record the result of a claimed row; an open one is due after `due`. `bared`, if given, replaces its body."""
        is_open = state in OPEN
        erased = {} if bared is None else {**_left(bared), "erased_at": from_now()}
        told = {
            "$cond": [{"$gt": ["$erased_at", None]}, None, literal(error)]
        }  # its text may quote a person who was erased since
        return self._change(
            {
                **erased,
                "state": state,
                "error": None if bared is not None else Expression(told),
                "attempts": 0 if state == EventState.WAITING else self.attempts,  # waiting is no failure
                "lease": from_now(LEASE if due is None else due) if is_open else None,
                "settled_at": None if is_open or state == EventState.DEAD else from_now(),
            }
        )

    def disown(self, event: dict[str, Any], error: str) -> Self | None:
        """Mark a claimed row as not ours, with the reason; only the ids of its object and its owner stay."""
        event = of_others(event)
        left = {"raw": without_content(event), "object_id": object_id(event), "error": error}
        return self._change({**left, "state": EventState.IGNORED, "lease": None, "settled_at": from_now()})

    def erase(self, event: dict[str, Any]) -> Self | None:
        """Remove all content except the id of its object; return None if a worker has claimed it."""
        return self._change({**_left(without_content(event)), "error": None, "erased_at": from_now()})

    @classmethod
    def waiting(cls, object_id: str) -> list[Self]:
        """Return the rows that wait for this object to have a document."""
        return list(cls.objects(object_id=object_id, state=EventState.WAITING))

    @classmethod
    def hasten(cls, object_id: str) -> None:
        """Make those rows due now, so that the next run applies them."""
        cls.own_rows().update_many(
            {"object_id": object_id, "state": EventState.WAITING}, [{"$set": {"lease": from_now()}}]
        )

    @classmethod
    def known(cls, ids: list[str]) -> set[str]:
        """Return those of `ids` that have a row already, in any state."""
        return {row.id for row in cls.objects(id__in=ids).only("id")}


def storable(event: dict[str, Any], raw: bytes) -> bytes:
    """Return the bytes to store of an event: Stripe's own, with keys removed.

    An object that is a key itself, or is nested too deep to be searched, is not stored.
    """
    if not may_have_keys(raw):
        return raw
    if is_key(event):
        return without_content(event)
    try:
        told = json.loads(raw)
        left = event_shown(told)
    except RecursionError:
        return without_content(event)
    return raw if left == told else json.dumps(left, separators=(",", ":")).encode()


def without_content(event: dict[str, Any]) -> bytes:
    """Return an event without the content of its object. It has no API version, so applying it refreshes the object."""
    data, request = event.get("data"), event.get("request")
    remote = data.get("object") if isinstance(data, dict) else None
    kind = str(remote.get("object")) if isinstance(remote, dict) else ""
    shown = {"id": id_left(event), "object": scrub(kind, "object")}
    model = KINDS.get(kind)
    if model is not None and model.resource.deletes(event["type"]):
        shown["deleted"] = True
    told = request.get("idempotency_key") if isinstance(request, dict) else None
    key = IdempotencyKey.parse(told) if isinstance(told, str) else None  # a key of another program may contain anything
    left = {name: scrub(event.get(name)) for name in ("created", "livemode")}
    for name, form in (("account", ACCOUNT), ("context", ACCOUNTS)):  # a replay needs them to see whose it is
        owner = event.get(name) and str(event[name])
        left[name] = owner if not owner or form.fullmatch(owner) else ERASED
    left |= {
        "id": event["id"],
        "object": scrub(event.get("object"), "object"),
        "type": event["type"],
        "api_version": None,
    }
    return json.dumps({**left, "request": {"idempotency_key": key and str(key)}, "data": {"object": shown}}).encode()


def _left(bared: bytes) -> dict[str, Any]:
    return {"raw": bared, "object_id": object_id(json.loads(bared))}


def id_left(event: dict[str, Any]) -> str | None:
    """Return the id of an event's object, for an event without content; None for a customer's id that was chosen.

    Such an id may be an e-mail address, and the customer is deleted, so that no refresh needs it.
    """
    id = object_id(event)
    return None if id and event["data"]["object"].get("object") == "customer" and not ID.fullmatch(id) else id


def of_others(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event that is not ours, without its object's id if a caller chose it: it may be a person's name."""
    if (id := object_id(event)) is None or ID.fullmatch(id):
        return event
    return {**event, "data": {"object": {**event["data"]["object"], "id": None}}}


def object_id(event: dict[str, Any]) -> str | None:
    """Return the id of an event's object, or None if it has none (invoice.upcoming, …)."""
    data = event.get("data")
    remote = data.get("object") if isinstance(data, dict) else None
    found = remote.get("id") if isinstance(remote, dict) else None
    return found if is_id(found) else None
