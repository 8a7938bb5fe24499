"""What the installation as a whole must remember: who it is, which Stripe it belongs to, how far it has read."""

import secrets
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from mongoengine import DateTimeField, StringField
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.rows.clock import from_now, literal
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.scrub import ID

INSTALLATION = "installation"  # {"id"}
STRIPE = "stripe"  # {"account", "livemode", "keys": [digests]}
CHECKPOINT = "checkpoint"  # {"read_at", "newest": {"id", "created"} | None}: the last whole read of Stripe's events
CIRCUIT_BREAKER = "latch"  # {"cap"}: the circuit breaker is open until an operator resets it
HEARTBEAT = "heartbeat"  # {"exit_code", "counts", "unseen"} of the last reconcile
OWNERS = "owners"  # {"walks"}: how far a full comparison has asked owners for what is listed under them only
PLACES = f"^(?:{OWNERS}$|backfill)"  # the names of what says how far a reading of lists is
OTHER_VERSION = "other_version"  # {"version"} of the last event that was rendered in another API version than ours
MIGRATIONS = (
    "migrations"  # {"done": [names], "place": {"name", "collection", "after"} | None}: see sync/runs/migrations.py
)
SCHEMA = "schema"  # {"number", "of", "whole": [ids of collections], "indexes": how many}: see sync/database/schema.py
ALIKE = "alike"  # {"ids"}: of customers whose username looks like another's, from before that was refused
ENDPOINT = "endpoint"  # and the id of a webhook endpoint: {"digest"} of its secret, which nobody can read again


class State(OwnRows):
    """One named value; `value` is replaced as a whole, conditionally."""

    meta: ClassVar = {"collection": "sync_state", "strict": False, "auto_create_index": False, "index_cls": False}
    mark: ClassVar[str] = "value"
    mark_is: ClassVar[str] = "object"
    id: str = StringField(primary_key=True)
    value: dict[str, Any] = JsonField()
    at: datetime = DateTimeField()

    @classmethod
    def read(cls, name: str) -> dict[str, Any] | None:
        """Return the value, or None when it was never written."""
        found = cls.own_rows().find_one({"_id": name})
        return None if found is None else {**found["value"], "at": found["at"]}

    @classmethod
    def read_each(cls, *names: str) -> dict[str, dict[str, Any]]:
        """Return the same of several names, of those that were written: one question."""
        return {row["_id"]: {**row["value"], "at": row["at"]} for row in cls.own_rows().find({"_id": {"$in": names}})}

    @classmethod
    def write(cls, name: str, value: dict[str, Any]) -> None:
        """Set the value, stamped with the server's time."""
        cls._upsert(name, {"value": literal(value), "at": from_now()})

    @classmethod
    def set_default(cls, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Set the value unless there is one; return the one that stands."""
        change = {"value": {"$ifNull": ["$value", literal(value)]}, "at": {"$ifNull": ["$at", from_now()]}}
        return dict(cls._upsert(name, change)["value"])

    @classmethod
    def raised(cls, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Set the value unless the one that is there has a higher `number`; return the one that stands."""
        higher = {"$gt": ["$value.number", literal(value["number"])]}
        change = {"value": {"$cond": [higher, "$value", literal(value)]}, "at": {"$cond": [higher, "$at", from_now()]}}
        return dict(cls._upsert(name, change)["value"])

    @classmethod
    def _upsert(cls, name: str, change: dict[str, Any]) -> dict[str, Any]:
        """Change the row of a name, or make it; of two that make it at once, MongoDB refuses one: then it is there."""
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
        """Give this database, a clone, an id of its own: what the original's keys made is not its business."""
        cls.clear(INSTALLATION)
        cls.clear(CHECKPOINT)
        return cls.installation()

    @classmethod
    def bind_account(cls, account: str, livemode: bool, key: str) -> dict[str, Any]:
        """Bind this database to a Stripe account and mode, unless it is bound; note a key of that account.

        Returns {"account", "livemode", "keys": [digests]} as they stand then.
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
        """Put an entry into a list of the value, unless it is there."""
        grown = {"$setUnion": [{"$ifNull": [f"$value.{field}", []]}, [literal(entry)]]}
        cls._upsert(name, {f"value.{field}": grown, "at": from_now()})

    @classmethod
    def clear(cls, name: str) -> None:
        """Forget the value."""
        cls.own_rows().find_one_and_delete({"_id": name})

    @classmethod
    def forget_places(cls, ids: Collection[str]) -> None:
        """Let a backfill, or the walks of owners, begin anew where one of these ids says how far they are.

        An id that Stripe gave tells of nobody, and its place stays; what somebody chose may be a name.
        """
        chosen = {id for id in ids if not ID.fullmatch(id)}
        for row in cls.own_rows().find({"_id": {"$regex": PLACES}}) if chosen else ():
            if not chosen.isdisjoint(_texts(row["value"])):
                cls.own_rows().find_one_and_delete({"_id": row["_id"], "at": row["at"]})

    @classmethod
    def installation(cls) -> str:
        """Return the random id of this database, made once; it is part of every idempotency key."""
        return str(cls.set_default(INSTALLATION, {"id": secrets.token_hex(6)})["id"])


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
