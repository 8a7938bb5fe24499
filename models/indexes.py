"""Indexes: they are part of the algorithm, so a missing one is fatal."""

from datetime import timedelta
from typing import Any

from mongoengine import Document
from pymongo import IndexModel

# What partial indexes are about. MongoDB uses one only for a query that it can see to be narrower: equality with a
# string is narrower than "after the empty string", but not, to its mind, than "a string".
A_STRING, A_DATE, SOME = {"$gt": ""}, {"$type": "date"}, {"$exists": True}


OPTIONS = ("unique", "partialFilterExpression", "expireAfterSeconds")  # what an index means, besides its fields


def _expiry(keep: timedelta) -> IndexModel:
    seconds = int(keep.total_seconds())
    return IndexModel("settled_at", expireAfterSeconds=seconds, partialFilterExpression={"notices": None})


def strange_indexes(model: type[Document], indexes: list[IndexModel], keep: timedelta) -> list[str]:
    """Return the indexes that are missing, that are not as they should be, or that forbid what we do not forbid."""
    collection = model._get_collection()
    wanted = {index.document["name"]: index.document for index in (*indexes, _expiry(keep))}
    found = collection.index_information()
    wrong = [name for name, index in wanted.items() if _meaning(found.get(name)) != _meaning(index)]
    foreign = [name for name, index in found.items() if index.get("unique") and name not in wanted]
    return [f"{collection.name}.{name}" for name in (*wrong, *foreign)]


def _meaning(index: Any) -> Any:
    if index is None:
        return None
    fields = index["key"]
    return list(fields.items() if isinstance(fields, dict) else fields), [index.get(name) for name in OPTIONS]


def build_indexes(model: type[Document], indexes: list[IndexModel], keep: timedelta) -> None:
    """Build the indexes of a collection, and let its documents expire `keep` after their `settled_at`: but not while
    they have notices that no hook was given yet.

    Raises where one cannot be built: they are part of the algorithm, and without them nothing here is unique.
    """
    collection, expiry = model._get_collection(), _expiry(keep)
    name, seconds = expiry.document["name"], expiry.document["expireAfterSeconds"]
    built = collection.index_information().get(name, {})
    if built and "partialFilterExpression" not in built:  # made before there were notices
        collection.drop_index(name)
        built = {}
    if built.get("expireAfterSeconds", seconds) != seconds:  # the setting was another one
        collection.database.command("collMod", collection.name, index={"name": name, "expireAfterSeconds": seconds})
    collection.create_indexes([*indexes, expiry])
