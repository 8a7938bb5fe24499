"""Finds and builds the indexes that a collection lacks. They are part of the algorithm.

In a large collection this takes minutes, so it is done without the usual time limit, and never during a request. A
collection that does not exist lacks none: the first insert creates it together with all of its indexes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pymongo import IndexModel, timeout
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure

# Conditions of partial indexes. MongoDB uses such an index only for a query that is evidently narrower. It takes
# equality with a string for narrower than `$gt: ""`, but not for narrower than `$type: "string"`.
A_STRING, A_DATE, SOME = {"$gt": ""}, {"$type": "date"}, {"$exists": True}

OPTIONS = ("unique", "partialFilterExpression")  # they define an index together with its fields and its expiry
EXPIRY = "expireAfterSeconds"
NO_LIMIT = 0  # s; pymongo takes zero for no limit
NOT_FOUND, UNAUTHORIZED = 27, 13  # codes of MongoDB
SHOWN = 10  # groups of duplicates in a message, and documents of each group


def expiry(keep: timedelta) -> IndexModel:
    """Return the index that lets rows expire `keep` after their `finished_at`, unless they still have notices."""
    seconds = int(keep.total_seconds())
    return IndexModel("finished_at", expireAfterSeconds=seconds, partialFilterExpression={"notices": None})


@dataclass(frozen=True)
class Gap:
    """The indexes that a collection lacks: those that are missing or differ, and those with another expiry (`late`).

    `foreign` are indexes that are not ours, and that reject rows which we accept, or delete rows which we keep.
    """

    collection: Collection[Any]
    missing: tuple[IndexModel, ...]
    late: tuple[IndexModel, ...]
    foreign: tuple[str, ...]
    exists: bool

    @property
    def unique(self) -> list[str]:
        """The names of the missing unique indexes."""
        return self.names([index for index in self.missing if index.document.get("unique")])

    @property
    def others(self) -> list[str]:
        """The names of the other indexes that are missing or have another expiry: queries are slow, or rows stay."""
        return self.names([index for index in (*self.missing, *self.late) if not index.document.get("unique")])

    @property
    def wrong(self) -> list[str]:
        """The names of all that are missing or differ, and of those that are not ours."""
        return [*self.unique, *self.others, *self.foreign]

    def names(self, indexes: Sequence[IndexModel]) -> list[str]:
        """Return their names as messages show them: customers.key_1."""
        return [f"{self.collection.name}.{index.document['name']}" for index in indexes]

    @property
    def lacking(self) -> bool:
        """Whether an index is missing or has another expiry."""
        return bool(self.missing or self.late)

    @property
    def is_empty(self) -> bool:
        """Whether the collection has no document."""
        return self.collection.find_one({}, {"_id": 1}) is None


class Unguarded(OperationFailure):
    """A collection lacks a unique index, so no row is written there. The command `indexes` says why."""


@dataclass
class Guarded:
    """The collections whose unique indexes exist, as this process has seen, so that rows may be written there.

    The start finds those that exist then. Any other is checked once, before this process writes its first row, because
    another process may have created it meanwhile.
    """

    keep: timedelta | None = None  # how long finished rows are kept
    known: set[str] = field(default_factory=set)

    def start(self, keep: timedelta, known: Iterable[str]) -> None:
        """Set the collections that the start has found."""
        self.keep, self.known = keep, {*known}

    def make(self, collection: Collection[Any], indexes: Sequence[IndexModel]) -> None:
        """Create a collection with its indexes if it does not exist; build nothing on one that exists.

        One `createIndexes` of MongoDB creates both or neither, and two at the same time have the effect of one. So no
        process can die, or write a row, in between. Raises Unguarded if a unique index is missing afterwards.
        """
        lack, why = gap(collection, indexes), None
        if not lack.exists:
            try:
                with timeout(NO_LIMIT):
                    collection.create_indexes(list(indexes))
            except OperationFailure as error:  # another process may have been first, with a longer expiry
                why = error
            lack = gap(collection, indexes)
        if lack.unique or not lack.exists:
            missing = ", ".join(lack.unique or [collection.name])
            raise Unguarded(f"nothing was written, because unique indexes are missing: {missing}") from why
        self.known.add(collection.name)


GUARDED = Guarded()


def gap(collection: Collection[Any], wanted: Sequence[IndexModel]) -> Gap:
    """Compare the indexes of a collection with those that it should have, whatever their names are."""
    found = collection.index_information()
    meant = [(_meaning(index), index.get(EXPIRY)) for index in found.values()]
    missing = [index for index in wanted if _meaning(index.document) not in [meaning for meaning, _ in meant]]
    late = [
        index
        for index in wanted
        if index not in missing and (_meaning(index.document), index.document.get(EXPIRY)) not in meant
    ]
    ours = [_meaning(index.document) for index in wanted]
    replaced = {index.document["name"] for index in missing}  # `build` drops these
    acts = [name for name, index in found.items() if index.get("unique") or EXPIRY in index]
    foreign = [name for name in acts if _meaning(found[name]) not in ours and name not in replaced]
    others = tuple(f"{collection.name}.{name}" for name in foreign)
    return Gap(collection, tuple(missing), tuple(late), others, exists=bool(found))


def _meaning(index: Any) -> tuple[list[tuple[str, Any]], list[Any]]:
    fields = index["key"]
    return list(fields.items() if isinstance(fields, dict) else fields), [index.get(name) for name in OPTIONS]


def build(lack: Gap) -> list[tuple[str, str]]:
    """Build the missing indexes, and change the expiry of the others, without a time limit.

    Return the indexes that could not be built, with the reasons. Raises PyMongoError when MongoDB does not answer, or
    does not permit it.
    """
    with timeout(NO_LIMIT):
        for index in lack.late:
            _change_expiry(lack.collection, index)
        if not lack.missing:
            return []
        _clear_the_way(lack.collection, lack.missing)
        try:
            lack.collection.create_indexes(list(lack.missing))
        except DuplicateKeyError:  # one of them cannot be built: try each by itself
            return list(_each(lack))
        return []


def _each(lack: Gap) -> Iterator[tuple[str, str]]:
    for index in lack.missing:
        try:
            lack.collection.create_indexes([index])
        except DuplicateKeyError:  # its message quotes the value, so it is not shown
            told = "; ".join(", ".join(map(str, ids)) for ids in duplicates(lack.collection, index))
            yield lack.names([index])[0], f"these are duplicates, of which one may stay: {told}"


def drop_outlived(collection: Collection[Any], gone: set[str]) -> list[str]:
    """Drop the indexes over fields that no row has any more; return their names as messages show them."""
    dropped = []
    for name, index in collection.index_information().items():
        fields = {field for field, _ in index["key"]} | {*index.get("partialFilterExpression", ())}
        if not fields.isdisjoint(gone):
            _drop(collection, name)
            dropped.append(f"{collection.name}.{name}")
    return dropped


def duplicates(collection: Collection[Any], index: IndexModel) -> list[list[Any]]:
    """Return some groups of documents that have the same value for a unique index, by their ids."""
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
    """Change an index's expiry. A user with no more than `readWrite` may not do that, so it is dropped and rebuilt."""
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
    """Drop indexes that have the name of one that is to be built, but differ, as those of an older version may."""
    names = {index.document["name"] for index in indexes}
    for name in names & collection.index_information().keys():
        _drop(collection, name)


def _drop(collection: Collection[Any], name: str) -> None:
    try:
        collection.drop_index(name)
    except OperationFailure as error:  # another process may have dropped it
        if error.code != NOT_FOUND:
            raise
