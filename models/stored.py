"""Reads and rewrites rows of older versions for the migrations: each rewrite requires an unchanged row.

A collection is named here without the prefix, so that a stored cursor stays valid when the prefix changes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection

from stripe_mongo_sync.models.base.registry import kinds
from stripe_mongo_sync.models.delivery import Delivery
from stripe_mongo_sync.models.event import Event
from stripe_mongo_sync.models.rows.formerly import OLD
from stripe_mongo_sync.models.rows.indexes import SOME
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.sure import sure

Row = dict[str, Any]


def rows_after(collection: str, after: Any, limit: int, *fields: str) -> list[Row]:
    """Return the next rows of a collection in the order of their ids, with these fields only."""
    where = {} if after is None else {"_id": {"$gt": after}}
    return list(_rows(collection).find(where, dict.fromkeys(fields, 1)).sort("_id", 1).limit(limit))


def old_rows_after(model: type[OwnRows], after: Any, limit: int) -> list[Any]:
    """Return the ids of the next rows whose fields have the names of an older version, in their order."""
    where = {model.mark: SOME, **OLD, **({} if after is None else {"_id": {"$gt": after}})}
    found = model._get_collection().find(where, {"_id": 1}).sort("_id", 1).limit(limit)
    return [row["_id"] for row in found]


def upgrade(model: type[OwnRows], ids: Sequence[Any]) -> int:
    """Give the fields of these rows their names of now, unless another process did it; return how many were left."""
    return sure(model.names).upgrade(model._get_collection(), {"_id": {"$in": [*ids]}})


def rewrite(collection: str, row: Row, guard: str, changes: Row) -> bool:
    """Set these fields of a row if its `guard` is as it was read; return False if another writer was first."""
    where = {"_id": row["_id"], guard: row.get(guard)}
    return _rows(collection).update_one(where, {"$set": changes}).matched_count == 1


def rewrite_each(collection: str, guard: str, changed: Sequence[tuple[Row, Row]]) -> bool:
    """Do the same for many rows, each with its changes, at once; return False if another writer was first at any."""
    each = [UpdateOne({"_id": row["_id"], guard: row.get(guard)}, {"$set": changes}) for row, changes in changed]
    return not each or _rows(collection).bulk_write(each, ordered=False).matched_count == len(each)


def row(collection: str, id: Any, *fields: str) -> Iterator[Row]:
    """Yield a row as it is now, if it still exists."""
    yield from _rows(collection).find({"_id": id}, dict.fromkeys(fields, 1))


def _rows(collection: str) -> Collection[Row]:
    """Return a collection, reduced to our rows."""
    models: tuple[type[OwnRows], ...] = (*kinds().values(), Event, Delivery)
    return next(model.own_rows() for model in models if model.plural() == collection)
