"""Limits each query and update to our own rows, and closes the methods of MongoEngine that would change them.

What lies in a collection of ours without our mark is somebody else's. The mark is a field that every row of ours has
had since its first write. It is asked for in one place, `own_rows()`, by which `objects` asks, too, so that nothing can
forget it. What an index alone answers (`tally.py`) asks without.

MongoEngine's own ways to write are closed: they change MongoDB alone, so nothing would reach Stripe, and no revision
guards them. Our code writes by `own_rows()`, conditionally.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any, ClassVar, NoReturn, cast

from mongoengine import QuerySet
from mongoengine.queryset import QuerySetNoCache
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor
from pymongo.database import Database

from stripe_mongo_sync.models.rows.database import OURS, OwnDocuments, database, prefix
from stripe_mongo_sync.models.rows.indexes import GUARDED, expiry
from stripe_mongo_sync.models.rows.mongoengine_types import Document
from stripe_mongo_sync.models.rows.sure import sure

Row = dict[str, Any]
Where = Mapping[str, Any]
THERE = {"$exists": True}
WRITING = frozenset(("$out", "$merge"))  # the stages of an aggregation that write
NOT_MADE_BY_US = {  # options of a collection, which nobody can take from it: each would lose or confuse rows of ours
    "capped": "a capped collection",
    "expireAfterSeconds": "a collection whose rows expire",
    "collation": "a collection with a collation",  # to which cus_a and cus_A may be one
}
LOOKED_AT = 20  # rows at each end of a collection: where others were first, or still write, one of theirs is among them


class ReadOnly(Exception):
    __doc__ = says = "MongoEngine's ways to write are closed on these documents: call `update` instead."


class Closed:
    """What takes the place of one of MongoEngine's ways to write: whoever calls it gets ReadOnly."""

    def __set_name__(self, owner: type, way: str) -> None:
        self.way = way

    def __get__(self, asked: Any, owner: Any) -> "Closed":
        """Return what raises ReadOnly; to type checkers, something that cannot be called."""

        def closed(*args: Any, **kwargs: Any) -> NoReturn:
            refuse(getattr(asked, "_document", owner), self.way)

        return cast("Closed", closed)


def refuse(model: "type[OwnRows]", way: str) -> NoReturn:
    """Raise ReadOnly, which says what to call."""
    raise ReadOnly(f"{way}() on {model.__name__} would change MongoDB alone: nothing was written. {model.instead}")


class ReadingQuerySet:
    """The ways to read of MongoEngine's query sets, and of our rows only."""

    _document: "type[OwnRows]"

    def __init__(self, document: "type[OwnRows]", collection: Collection[Row]) -> None:
        super().__init__(document, document.own_rows())  # type: ignore[call-arg]  # of the query set beside it

    create = Closed()
    insert = Closed()
    update = Closed()
    update_one = Closed()
    upsert_one = Closed()
    modify = Closed()
    delete = Closed()
    map_reduce = Closed()  # it may write anywhere, and JavaScript is not run here
    exec_js = Closed()

    def aggregate(self, pipeline: Any, *more: Any, **kwargs: Any) -> Any:
        """Return what the stages make of the rows. Raises ReadOnly for those that write."""
        stages = [pipeline] if isinstance(pipeline, Mapping) else list(pipeline)
        if not WRITING.isdisjoint(chain(*stages, *more)):
            refuse(self._document, "aggregate")
        return super().aggregate(stages, *more, **kwargs)  # type: ignore[misc]


class OwnQuerySet(ReadingQuerySet, QuerySet):
    """What `objects` asks: our rows only."""

    def no_cache(self) -> "OwnUncachedQuerySet":
        """Return the same query without a cache."""
        return self._clone_into(OwnUncachedQuerySet(self._document, self._collection))


class OwnUncachedQuerySet(ReadingQuerySet, QuerySetNoCache):
    """The same, uncached."""

    def cache(self) -> OwnQuerySet:
        """Return the same, cached."""
        return self._clone_into(OwnQuerySet(self._document, self._collection))


class OwnRows(Document, metaclass=OwnDocuments):
    """A document of which questions and changes reach rows of ours only."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "queryset_class": OwnQuerySet, "db_alias": OURS}
    mark: ClassVar[str]
    mark_is: ClassVar[str] = "number"  # MongoDB's name of what the mark is in each of our rows
    indexes: ClassVar[list[IndexModel]] = []
    instead: ClassVar[str] = "These rows are the service's own; `update` changes documents."

    stored: Mapping[str, Any] | None = None  # the row as it lies in MongoDB, where it was read one by one

    save = Closed()
    cascade_save = Closed()
    modify = Closed()
    update = Closed()
    delete = Closed()
    drop_collection = Closed()
    ensure_indexes = Closed()
    create_index = Closed()

    def __str__(self) -> str:
        fields = (f"{name}={str(value)!r}" for name, value in self.identity().items() if value is not None)
        return " ".join((self.title(), str(self.pk), *fields))

    def __repr__(self) -> str:
        return f"<{self}>"

    @classmethod
    def title(cls) -> str:
        """Return what kind of row this is."""
        return cls.__name__.lower()

    def identity(self) -> dict[str, Any]:
        """Return the fields that `repr` shows beside the id: no secret, and nothing of a person, as logs show them."""
        return {}

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return the indexes that the collection must have, where what is settled lasts so long."""
        return [*cls.indexes, expiry(keep)]

    @classmethod
    def insert_collection(cls) -> "Marked":
        """Return the collection for a new row: it has its unique indexes, whoever made it, and when.

        Raises Unguarded where it has not, and none is built on what is there.
        """
        rows = cls.own_rows()
        if rows.name not in GUARDED.known:
            GUARDED.make(rows, cls.wanted(sure(GUARDED.keep)))
        return rows

    @classmethod
    def plural(cls) -> str:
        """Return the name of its rows in addresses, reports and stored places: its collection's without the prefix."""
        return str(cls._meta["collection"])

    @classmethod
    def _get_collection_name(cls) -> str:
        return prefix() + cls.plural()

    @classmethod
    def _get_db(cls) -> Database[Any]:
        return database()

    @classmethod
    def own_rows(cls) -> "Marked":
        """Return the collection as it is for us: the rows that have our mark."""
        return Marked(cls._get_collection(), cls.mark)


class Marked(Collection[Row]):
    """A collection of MongoDB's driver, of which only the rows with a mark are there."""

    def __init__(self, rows: Collection[Row], mark: str) -> None:
        options = {name: getattr(rows, name) for name in ("codec_options", "read_preference", "write_concern")}
        super().__init__(rows.database, rows.name, read_concern=rows.read_concern, **options)
        self.mark = mark

    def with_options(self, *args: Any, **kwargs: Any) -> Any:
        """Return the same with other options."""
        return Marked(super().with_options(*args, **kwargs), self.mark)

    def ours(self, where: Any) -> Where:
        """Return the query of those of the rows that are ours."""
        asked = where if isinstance(where, Mapping) else {} if where is None else {"_id": where}
        return asked if self.mark in asked else {**asked, self.mark: THERE}

    def find(self, filter: Any = None, *args: Any, **kwargs: Any) -> Cursor[Row]:
        return super().find(self.ours(filter), *args, **kwargs)

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Row | None:
        """Return one of our rows. By the id alone, MongoDB's shortest way: the row itself says whether it is ours."""
        if args or kwargs or not isinstance(filter, Mapping) or filter.keys() != {"_id"}:
            return super().find_one(filter, *args, **kwargs)
        found = next(iter(super().find(filter, limit=-1)), None)
        return found if found is not None and self.mark in found else None

    def find_one_and_update(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        return super().find_one_and_update(self.ours(filter), *args, **kwargs)

    def find_one_and_delete(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        return super().find_one_and_delete(self.ours(filter), *args, **kwargs)

    def update_one(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        return super().update_one(self.ours(filter), *args, **kwargs)

    def update_many(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        return super().update_many(self.ours(filter), *args, **kwargs)

    def delete_one(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        return super().delete_one(self.ours(filter), *args, **kwargs)

    def delete_many(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        return super().delete_many(self.ours(filter), *args, **kwargs)

    def count_documents(self, filter: Where, *args: Any, **kwargs: Any) -> int:
        return super().count_documents(self.ours(filter), *args, **kwargs)

    def distinct(self, key: str, filter: Any = None, *args: Any, **kwargs: Any) -> list[Any]:
        asked = filter if "query" in kwargs else self.ours(filter)  # a cursor's, whose `find` has said so
        return super().distinct(key, asked, *args, **kwargs)

    def aggregate(self, pipeline: Sequence[Where], *args: Any, **kwargs: Any) -> CommandCursor[Row]:
        return super().aggregate([{"$match": self.ours(None)}, *pipeline], *args, **kwargs)


def collections() -> dict[str, Row]:
    """Return what MongoDB says of each collection of the database, by its name."""
    return {told["name"]: dict(told) for told in database().list_collections()}


def indexes_in_all() -> int:
    """Return how many indexes all collections of the database have together."""
    return int(database().command("dbStats")["indexes"])


def strangers(models: Iterable[type[OwnRows]], there: Mapping[str, Row]) -> list[str]:
    """Return the collections of these models in which rows of others were seen, and what has the name of one and is
    none of ours, as a view: one question, whatever they hold. `there` is what `collections` told.

    It looks at the first and the last of each, by their ids: a database that is shared holds what others wrote before
    us. It is no search: what is in the midst of millions is passed over later, by every question. Here a mark has its
    type, too, as its name is a usual word.
    """
    named = [model for model in models if model._get_collection_name() in there]
    names = [model._get_collection_name() for model in named]
    others = {name: kind for name in names if (kind := _other_kind(there[name]))}
    parts = [
        {
            "$unionWith": {
                "coll": model._get_collection_name(),
                "pipeline": [
                    {"$sort": {"_id": order}},
                    {"$limit": LOOKED_AT},
                    {"$match": {model.mark: {"$not": {"$type": model.mark_is}}}},
                    {"$limit": 1},
                    {"$project": {"_id": 0, "of": model._get_collection_name()}},
                ],
            }
        }
        for model in named
        if model._get_collection_name() not in others
        for order in (1, -1)
    ]
    found = database().aggregate([{"$documents": []}, *parts]) if parts else ()
    return sorted({*(row["of"] for row in found), *(f"{name} ({kind})" for name, kind in others.items())})


def _other_kind(told: Mapping[str, Any]) -> str | None:
    """Return what MongoDB has of a name that is no collection as we make them; None where it is one."""
    if told["type"] != "collection":
        return f"a {told['type']}"
    options = told.get("options", {})
    return next((kind for option, kind in NOT_MADE_BY_US.items() if options.get(option)), None)
