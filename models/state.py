"""The state of the whole installation: its id, its Stripe account, and how far it has read."""

import logging
import secrets
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from types import NoneType
from typing import Any, ClassVar

from mongoengine import DateTimeField, StringField
from pymongo import ReturnDocument, WriteConcern
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.rows.clock import from_now, literal
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.scrub import ID

log = logging.getLogger("stripe_mongo_sync")

INSTALLATION = "installation"  # {"id"}
STRIPE = "stripe"  # {"account", "livemode", "keys": [digests]}
CHECKPOINT = "checkpoint"  # {"read_at", "newest": {"id", "created"} | None}: the last complete read of Stripe's events
CIRCUIT_BREAKER = "circuit_breaker"  # {"cap"}: the circuit breaker is open until an operator resets it
# Of the last reconcile: {"exit_code", "counts", "unseen", "missed": events without a webhook, "indexes": wrong ones,
# "without_webhook": which share of the newest events no webhook brought}.
HEARTBEAT = "heartbeat"
# and, after one with exit code 2, {"succeeded_at": when a reconcile last looked at everything, in seconds}
OWNERS = "owners"  # {"walks"}: how far an older version's comparison has read the lists under each owner
COMPARISON = "comparison"  # the same of a full comparison that was killed, and, by kind, what its lists showed
BACKFILL = "backfill"  # what the names of its cursors begin with: see sync/runs/walk.py
PLACES = f"^(?:{OWNERS}$|{COMPARISON}$|{BACKFILL})"  # the names of all cursors
OTHER_VERSION = "other_version"  # {"version"} of the last event that was rendered in another API version than ours
MIGRATIONS = (
    "migrations"  # {"done": [names], "place": {"name", "collection", "after"} | None}: see sync/runs/migrations.py
)
SCHEMA = "schema"  # {"number", "of", "whole": [ids of collections], "indexes": how many}: see sync/database/schema.py
ALIKE = "alike"  # {"ids"}: of customers whose username looks like another's, from before that was refused
ACCESS = "access"  # {"began"}: what customers had when a hook first listened to access is stored
PROCESSES = "processes"  # {"live": {id: {"program", "host", "pid", "settings", "at"}}}: see sync/presence.py
ENDPOINT = "endpoint"  # and the id of a webhook endpoint: {"digest"} of its secret, which Stripe never shows again
NUMBER, OR_NONE = (int, float), (dict, NoneType)
SHAPES: dict[str, dict[str, tuple[type, ...]]] = {  # the types of what is read of each value
    INSTALLATION: {"id": (str,)},
    STRIPE: {"account": (str,), "livemode": (bool,), "keys": (list,)},
    CHECKPOINT: {"read_at": NUMBER, "newest": OR_NONE},
    HEARTBEAT: {"exit_code": (int,), "counts": (dict,), "unseen": (list,)},
    OWNERS: {"walks": (list,)},
    BACKFILL: {"began_at": NUMBER, "events_from": NUMBER, "parts": (list,)},
    COMPARISON: {"began_at": NUMBER, "events_from": NUMBER, "parts": (list,)},
    OTHER_VERSION: {"version": (str,)},
    MIGRATIONS: {"done": (list,), "place": OR_NONE},
    SCHEMA: {"of": (str,), "whole": (list,), "indexes": (int,)},
    ALIKE: {"ids": (list,)},
    PROCESSES: {"live": (dict,)},
}
IN_PARTS = (SCHEMA, MIGRATIONS, ALIKE)  # each part is read by itself: without one, what it would spare is done again
REMEDY = {  # what to do where nothing but this row knows
    INSTALLATION: "this database begins as a new installation",
    STRIPE: "the next run binds this database to the account of STRIPE_SECRET_KEY",
}
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Edited(Exception):
    __doc__ = says = "A value that only MongoDB knows was edited there."


class State(OwnRows):
    """One named value, which is replaced as a whole by one conditional update."""

    meta: ClassVar = {"collection": "sync_state", "strict": False, "auto_create_index": False, "index_cls": False}
    mark: ClassVar[str] = "value"
    mark_is: ClassVar[str] = "object"
    id: str = StringField(primary_key=True)
    value: dict[str, Any] = JsonField()
    at: datetime = DateTimeField()

    @classmethod
    def read(cls, name: str) -> dict[str, Any] | None:
        """Return the value; None if it was never written, or edited and can be found out again. Raises Edited."""
        found = cls.own_rows().find_one({"_id": name})
        return None if found is None else _told(found)

    @classmethod
    def read_each(cls, *names: str) -> dict[str, dict[str, Any]]:
        """Return the values of those of these names that were written, with one query."""
        found = {row["_id"]: _told(row) for row in cls.own_rows().find({"_id": {"$in": names}})}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def write(cls, name: str, value: dict[str, Any]) -> None:
        """Set the value, with MongoDB's time."""
        cls._upsert(name, {"value": literal(value), "at": from_now()})

    @classmethod
    def note(cls, name: str, value: dict[str, Any]) -> None:
        """Set a value that only spares work, without waiting for a majority: a failover may lose it."""
        change = {"$set": {"value": value}, "$currentDate": {"at": True}}
        cls._at_once().update_one({"_id": name}, change, upsert=True)

    @classmethod
    def push(cls, name: str, field: str, entry: Any) -> None:
        """Append an entry to a list of such a value."""
        change = {"$push": {f"value.{field}": entry}, "$currentDate": {"at": True}}
        cls._at_once().update_one({"_id": name}, change, upsert=True)

    @classmethod
    def renew_entry(cls, name: str, field: str, id: str, entry: dict[str, Any], kept: timedelta) -> None:
        """Set an entry of such a value with MongoDB's time, and remove those that are older than `kept`.

        Of two concurrent inserts of the value MongoDB refuses one, which then is a change.
        """
        old = {"$cond": [{"$eq": [{"$type": f"$value.{field}"}, "object"]}, f"$value.{field}", {}]}
        young = {"$filter": {"input": {"$objectToArray": old}, "cond": {"$gt": ["$$this.v.at", from_now(-kept)]}}}
        renewed = {id: {"$mergeObjects": [literal(entry), {"at": from_now()}]}}
        entries = {"$mergeObjects": [{"$arrayToObject": young}, renewed]}
        change = [{"$set": {f"value.{field}": entries, "at": from_now()}}]
        made = partial(cls._at_once().update_one, {"_id": name}, change, upsert=True)
        try:
            made()
        except DuplicateKeyError:
            made()

    @classmethod
    def _at_once(cls) -> Any:
        return cls.own_rows().with_options(write_concern=WriteConcern(1))

    @classmethod
    def set_default(cls, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Set the value unless there is one; return the stored value."""
        change = {"value": {"$ifNull": ["$value", literal(value)]}, "at": {"$ifNull": ["$at", from_now()]}}
        return dict(cls._upsert(name, change)["value"])

    @classmethod
    def raised(cls, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Set the value unless the stored one has a higher `number`; return the stored value."""
        higher = {"$gt": ["$value.number", literal(value["number"])]}
        change = {"value": {"$cond": [higher, "$value", literal(value)]}, "at": {"$cond": [higher, "$at", from_now()]}}
        return dict(cls._upsert(name, change)["value"])

    @classmethod
    def _upsert(cls, name: str, change: dict[str, Any]) -> dict[str, Any]:
        """Change or insert the row of a name. Of two concurrent inserts MongoDB refuses one, which then is a change."""
        made = partial(
            cls.own_rows().find_one_and_update,
            {"_id": name},
            [{"$set": change}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        try:
            return dict(made())
        except DuplicateKeyError:
            return dict(made())

    @classmethod
    def renew_installation(cls) -> str:
        """Give this database, a clone, a new id, so that it leaves alone what the original's keys created."""
        cls.clear(INSTALLATION)
        cls.clear(CHECKPOINT)
        return cls.installation()

    @classmethod
    def bind_account(cls, account: str, livemode: bool, key: str) -> dict[str, Any]:
        """Bind this database to a Stripe account and mode, unless it is bound; record a key of that account.

        Return the stored {"account", "livemode", "keys": [digests]}.
        """
        cls.set_default(STRIPE, {"account": account, "livemode": livemode, "keys": []})
        found = cls.own_rows().find_one_and_update(
            {"_id": STRIPE, "value.account": account, "value.livemode": livemode},
            [{"$set": {"value.keys": {"$setUnion": ["$value.keys", [literal(key)]]}, "at": from_now()}}],
            return_document=ReturnDocument.AFTER,
        )
        return dict(found["value"]) if found else cls.read(STRIPE) or {}

    @classmethod
    def add(cls, name: str, field: str, entry: Any) -> None:
        """Add an entry to a list of the value, unless it is there."""
        grown = {"$setUnion": [{"$ifNull": [f"$value.{field}", []]}, [literal(entry)]]}
        cls._upsert(name, {f"value.{field}": grown, "at": from_now()})

    @classmethod
    def set_part(cls, name: str, field: str, part: Any) -> None:
        """Set one field of the value."""
        cls._upsert(name, {f"value.{field}": literal(part), "at": from_now()})

    @classmethod
    def rename(cls, old: str, new: str) -> None:
        """Give the value another name, unless that has a value."""
        if (value := cls.read(old)) is not None:
            cls.set_default(new, {part: told for part, told in value.items() if part != "at"})
            cls.clear(old)

    @classmethod
    def clear_parts(cls, name: str) -> None:
        """Delete the value, and those whose names begin with this one and a blank."""
        cls.own_rows().delete_many({"_id": {"$gte": name, "$lt": f"{name}!"}})

    @classmethod
    def clear(cls, name: str) -> None:
        """Delete the value."""
        cls.own_rows().find_one_and_delete({"_id": name})

    @classmethod
    def forget_places(cls, ids: Collection[str]) -> None:
        """Delete each cursor that contains one of these ids, so that its backfill or comparison starts again.

        A cursor with an id that Stripe generated stays: only a chosen id may be a person's name.
        """
        chosen = {id for id in ids if not ID.fullmatch(id)}
        for row in cls.own_rows().find({"_id": {"$regex": PLACES}}) if chosen else ():
            if not chosen.isdisjoint(_texts(row["value"])):
                cls.own_rows().find_one_and_delete({"_id": row["_id"], "at": row["at"]})

    @classmethod
    def installation(cls) -> str:
        """Return the random id of this database, generated once; it is part of every idempotency key."""
        return str(cls.set_default(INSTALLATION, {"id": secrets.token_hex(6)})["id"])


def _told(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the value of a row without what no write of ours has left so; None if the rest is of no use."""
    name, value = row["_id"], row.get("value")
    shape = SHAPES.get(BACKFILL if str(name).startswith(BACKFILL) else name, {})
    value = value if isinstance(value, dict) else {}
    wrong = [part for part, types in shape.items() if not isinstance(value.get(part), types)]
    if wrong and name in REMEDY:
        told = f"{State._get_collection_name()} {name} was edited in MongoDB ({', '.join(wrong)})"
        raise Edited(f"{told}: restore this row from a backup. Without one, delete it, and {REMEDY[name]}.")
    if wrong and name not in IN_PARTS:
        log.warning("%s %s was edited in MongoDB, and is not used", State._get_collection_name(), name)
        return None
    at = row.get("at")
    known = {part: told for part, told in value.items() if part not in wrong}
    return {**known, "at": at if isinstance(at, datetime) else LONG_AGO}


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def last_success(heartbeat: dict[str, Any] | None) -> float | None:
    """Return when a reconcile last looked at everything, in seconds; None if none did."""
    if heartbeat is None:
        return None
    if heartbeat["exit_code"] != 2:
        return float(heartbeat["at"].timestamp())
    before = heartbeat.get("succeeded_at")
    return float(before) if isinstance(before, NUMBER) else None
