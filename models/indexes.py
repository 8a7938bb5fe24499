"""Indexes: they are part of the algorithm, so a missing one is fatal."""

from datetime import timedelta

from mongoengine import Document
from pymongo import IndexModel

# What partial indexes are about. MongoDB uses one only for a query that it can see to be narrower: equality with a
# string is narrower than "after the empty string", but not, to its mind, than "a string".
A_STRING, A_DATE, SOME = {"$gt": ""}, {"$type": "date"}, {"$exists": True}


def build_indexes(model: type[Document], indexes: list[IndexModel], keep: timedelta) -> None:
    """Build the indexes of a collection, and let its documents expire `keep` after their `settled_at`: but not while
    they have notices that no hook was given yet.

    Raises where one cannot be built: they are part of the algorithm, and without them nothing here is unique.
    """
    collection, seconds = model._get_collection(), int(keep.total_seconds())
    expiry = IndexModel("settled_at", expireAfterSeconds=seconds, partialFilterExpression={"notices": None})
    name = expiry.document["name"]
    built = collection.index_information().get(name, {})
    if built and "partialFilterExpression" not in built:  # made before there were notices
        collection.drop_index(name)
        built = {}
    if built.get("expireAfterSeconds", seconds) != seconds:  # the setting was another one
        collection.database.command("collMod", collection.name, index={"name": name, "expireAfterSeconds": seconds})
    collection.create_indexes([*indexes, expiry])
