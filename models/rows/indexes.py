"""Finds and builds the indexes that a collection lacks: they are part of the algorithm.

Building one in a large collection takes minutes: so it is never done under the usual time limit, nor on the way. A
collection that is not there lacks none: whoever has its first row makes it, with all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pymongo import IndexModel, timeout
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure

# What partial indexes are about. MongoDB uses one only for a query that it can see to be narrower: equality with a
# string is narrower than "after the empty string", but not, to its mind, than "a string".
A_STRING, A_DATE, SOME = {"$gt": ""}, {"$type": "date"}, {"$exists": True}

OPTIONS = ("unique", "partialFilterExpression")  # what an index means, besides its fields and its expiry
EXPIRY = "expireAfterSeconds"
NO_LIMIT = 0  # s: for pymongo, zero is none
NOT_FOUND, UNAUTHORIZED = 27, 13  # codes of MongoDB
SHOWN = 10  # groups of duplicates that are named, and documents of each


def expiry(keep: timedelta) -> IndexModel:
    """Return the index by which rows end `keep` after their `settled_at`: but not while they have notices that no hook
    was given yet."""
    seconds = int(keep.total_seconds())
    return IndexModel("settled_at", expireAfterSeconds=seconds, partialFilterExpression={"notices": None})


@dataclass(frozen=True)
class Gap:
    """What a collection lacks: indexes that are missing or mean something else, and an expiry of another length.

    `foreign` are indexes that are not ours and do something: forbid what we do not forbid, or delete what we keep.
    """

    collection: Collection[Any]
    missing: tuple[IndexModel, ...]
    late: tuple[IndexModel, ...]
    foreign: tuple[str, ...]
    exists: bool

    @property
    def unique(self) -> list[str]:
        """The missing ones without which nothing here is unique, by name."""
        return self.names([index for index in self.missing if index.document.get("unique")])

    @property
    def others(self) -> list[str]:
        """What is missing, or another expiry, that makes it slow or lasts longer, by name."""
        return self.names([index for index in (*self.missing, *self.late) if not index.document.get("unique")])

    def names(self, indexes: Sequence[IndexModel]) -> list[str]:
        """Return them as they are told of: customers.key_1."""
        return [f"{self.collection.name}.{index.document['name']}" for index in indexes]

    @property
    def lacking(self) -> bool:
        """Whether anything is missing, or of another expiry."""
        return bool(self.missing or self.late)

    @property
    def is_empty(self) -> bool:
        """Whether the collection has no document."""
        return self.collection.find_one({}, {"_id": 1}) is None


class Unguarded(OperationFailure):
    """A collection was made by others, or its indexes cannot be: no row is written there. `indexes` says why."""


@dataclass
class Guarded:
    """The collections of which this process knows that their unique indexes are there: rows may be written.

    Those that a start found are known from it, so that nobody asks again. Of any other, one question is asked before
    the first row, as another process may have made it meanwhile.
    """

    keep: timedelta | None = None  # how long rows last that are settled
    known: set[str] = field(default_factory=set)

    def start(self, keep: timedelta, known: Iterable[str]) -> None:
        """Begin with what a start knows."""
        self.keep, self.known = keep, {*known}

    def make(self, collection: Collection[Any], indexes: Sequence[IndexModel]) -> None:
        """Make a collection with its indexes, where there is none of that name; build nothing on one that is there.

        In MongoDB one `createIndexes` makes both at once, or neither, and two of them at once are one: nobody can die,
        or write a row, between the two. Raises Unguarded where a unique one is not there in the end.
        """
        lack, why = gap(collection, indexes), None
        if not lack.exists:
            try:
                with timeout(NO_LIMIT):
                    collection.create_indexes(list(indexes))
            except OperationFailure as error:  # another process may have been faster, and keeps rows longer
                why = error
            lack = gap(collection, indexes)
        if lack.unique or not lack.exists:
            raise Unguarded(f"no row is written without {', '.join(lack.unique or [collection.name])}") from why
        self.known.add(collection.name)


GUARDED = Guarded()


def gap(collection: Collection[Any], wanted: Sequence[IndexModel]) -> Gap:
    """Compare the indexes of a collection with those that it should have. Their names do not matter."""
    found = collection.index_information()
    meant = [(_meaning(index), index.get(EXPIRY)) for index in found.values()]
    missing = [index for index in wanted if _meaning(index.document) not in [meaning for meaning, _ in meant]]
    late = [
        index
        for index in wanted
        if index not in missing and (_meaning(index.document), index.document.get(EXPIRY)) not in meant
    ]
    ours = [_meaning(index.document) for index in wanted]
    replaced = {index.document["name"] for index in missing}  # `build` clears the way
    acts = [name for name, index in found.items() if index.get("unique") or EXPIRY in index]
    foreign = [name for name in acts if _meaning(found[name]) not in ours and name not in replaced]
    others = tuple(f"{collection.name}.{name}" for name in foreign)
    return Gap(collection, tuple(missing), tuple(late), others, exists=bool(found))


def _meaning(index: Any) -> tuple[list[tuple[str, Any]], list[Any]]:
    fields = index["key"]
    return list(fields.items() if isinstance(fields, dict) else fields), [index.get(name) for name in OPTIONS]


def build(lack: Gap) -> list[tuple[str, str]]:
    """Build what is missing, and change what is late, however long it takes; return what could not be built, and why.

    Raises PyMongoError when MongoDB is away, or does not let us.
    """
    with timeout(NO_LIMIT):
        for index in lack.late:
            _change_expiry(lack.collection, index)
        if not lack.missing:
            return []
        _clear_the_way(lack.collection, lack.missing)
        try:
            lack.collection.create_indexes(list(lack.missing))
        except DuplicateKeyError:  # the others can be built all the same
            return list(_each(lack))
        return []


def _each(lack: Gap) -> Iterator[tuple[str, str]]:
    for index in lack.missing:
        try:
            lack.collection.create_indexes([index])
        except DuplicateKeyError:  # what it says quotes the value
            told = "; ".join(", ".join(map(str, ids)) for ids in duplicates(lack.collection, index))
            yield lack.names([index])[0], f"these are duplicates, of which one may stay: {told}"


def duplicates(collection: Collection[Any], index: IndexModel) -> list[list[Any]]:
    """Return the ids of documents that a unique index forbids beside each other, some of them."""
    fields = list(index.document["key"])
    value = {name.replace(".", "_"): f"${name}" for name in fields}
    groups: list[dict[str, Any]] = [
        {"$match": index.document.get("partialFilterExpression", {})},
        {"$group": {"_id": value, "ids": {"$push": "$_id"}}},
        {"$match": {"ids.1": SOME}},
        {"$limit": SHOWN},
        {"$project": {"_id": 0, "ids": {"$slice": ["$ids", SHOWN]}}},
    ]
    return [group["ids"] for group in collection.aggregate(groups, allowDiskUse=True)]


def _change_expiry(collection: Collection[Any], index: IndexModel) -> None:
    """Who has no more than `readWrite` may not change an index, but build it anew."""
    name = next(n for n, i in collection.index_information().items() if _meaning(i) == _meaning(index.document))
    change = {"name": name, EXPIRY: index.document[EXPIRY]}
    try:
        collection.database.command("collMod", collection.name, index=change)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        _drop(collection, name)
        collection.create_indexes([index])


def _clear_the_way(collection: Collection[Any], indexes: Sequence[IndexModel]) -> None:
    """Drop what has the name of an index that is to be built, and means something else, as an older version's may."""
    names = {index.document["name"] for index in indexes}
    for name in names & collection.index_information().keys():
        _drop(collection, name)


def _drop(collection: Collection[Any], name: str) -> None:
    try:
        collection.drop_index(name)
    except OperationFailure as error:  # another process was faster
        if error.code != NOT_FOUND:
            raise
