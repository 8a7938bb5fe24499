"""Rows as an older version of this program stored them: read as they are, and rewritten only if nobody changed them."""

from collections.abc import Iterator
from typing import Any

from mongoengine.connection import get_db

Row = dict[str, Any]


def collections() -> set[str]:
    """Return the names of all collections."""
    return set(get_db().list_collection_names())


def rows_after(collection: str, after: Any, limit: int, *fields: str) -> list[Row]:
    """Return the next rows of a collection by their id, with these fields only."""
    where = {} if after is None else {"_id": {"$gt": after}}
    return list(get_db()[collection].find(where, dict.fromkeys(fields, 1)).sort("_id", 1).limit(limit))


def rewrite(collection: str, row: Row, guard: str, changes: Row) -> bool:
    """Set these fields of a row if its `guard` is as it was read; False when somebody was faster."""
    where = {"_id": row["_id"], guard: row.get(guard)}
    found = get_db()[collection].find_one_and_update(where, {"$set": changes}, projection={"_id": 1})
    return found is not None


def row(collection: str, id: Any, *fields: str) -> Iterator[Row]:
    """Yield a row as it is now, if it is still there."""
    yield from get_db()[collection].find({"_id": id}, dict.fromkeys(fields, 1))


def drop(collection: str) -> None:
    """Remove a whole collection, of a kind that is kept no more."""
    get_db().drop_collection(collection)
