"""Limits each query and update to our own rows, and closes the methods of MongoEngine that would change them.

A row in one of our collections without our mark belongs to another program. The mark is a field that each of our rows
has from its first write on. `own_rows()` adds it to every query, and `objects` uses `own_rows()`, so no query can omit
it. Only queries that an index answers alone (`tally.py`) do without.

MongoEngine's own methods that write are closed: they change MongoDB alone, so nothing would reach Stripe, and no
revision guards them. Our code writes by `own_rows()`, conditionally.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import chain
from typing import Any, ClassVar, NoReturn, Self, cast

from bson.codec_options import DatetimeConversion
from mongoengine import QuerySet
from mongoengine.queryset import QuerySetNoCache
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database

from stripe_mongo_sync.models.dry_run.run import dry_run
from stripe_mongo_sync.models.rows.database import OURS, Document, OwnDocuments, database, prefix
from stripe_mongo_sync.models.rows.formerly import UPGRADE, Names
from stripe_mongo_sync.models.rows.indexes import GUARDED, expiry
from stripe_mongo_sync.models.rows.marked import Marked, Row
from stripe_mongo_sync.models.rows.sure import sure

WRITING = frozenset(("$out", "$merge"))  # the stages of an aggregation that write
NOT_MADE_BY_US = {  # options with which rows would be lost, confused or refused
    "capped": "a capped collection",
    "expireAfterSeconds": "a collection whose rows expire",
    "collation": "a collection with a collation",  # for which cus_a and cus_A may be equal
    "validator": "a collection with a validator",  # which may refuse rows of ours
}
LOOKED_AT = 20  # rows at each end of a collection: another program that was first, or still writes, has one of them


class ReadOnly(Exception):
    __doc__ = says = "MongoEngine's methods that write are closed on these documents: call `update` instead."


class Closed:
    """Replaces one of MongoEngine's methods that write: a call of it raises ReadOnly."""

    def __set_name__(self, owner: type, way: str) -> None:
        self.way = way

    def __get__(self, asked: Any, owner: Any) -> "Closed":
        """Return a function that raises ReadOnly. Type checkers see a type that cannot be called."""

        def closed(*args: Any, **kwargs: Any) -> NoReturn:
            refuse(getattr(asked, "_document", owner), self.way)

        return cast("Closed", closed)


def refuse(model: "type[OwnRows]", way: str) -> NoReturn:
    """Raise ReadOnly, which names the function to call instead."""
    raise ReadOnly(f"{way}() on {model.__name__} would change MongoDB alone: nothing was written. {model.instead}")


class ReadingQuerySet:
    """The methods of MongoEngine's query sets that read, limited to our rows."""

    _document: "type[OwnRows]"

    def __init__(self, document: "type[OwnRows]", collection: Collection[Row]) -> None:
        super().__init__(document, document.own_rows())  # type: ignore[call-arg]  # the other base's

    create = Closed()
    insert = Closed()
    update = Closed()
    update_one = Closed()
    upsert_one = Closed()
    modify = Closed()
    delete = Closed()
    map_reduce = Closed()  # it may write to any collection, and no JavaScript is run here
    exec_js = Closed()

    def aggregate(self, pipeline: Any, *more: Any, **kwargs: Any) -> Any:
        """Return the result of an aggregation over our rows. Raises ReadOnly for stages that write."""
        stages = [pipeline] if isinstance(pipeline, Mapping) else list(pipeline)
        if not WRITING.isdisjoint(chain(*stages, *more)):
            refuse(self._document, "aggregate")
        return super().aggregate(stages, *more, **kwargs)  # type: ignore[misc]


class OwnQuerySet(ReadingQuerySet, QuerySet):
    """The query set of `objects`: it finds our rows only."""

    def no_cache(self) -> "OwnUncachedQuerySet":
        """Return the same query without a cache."""
        return self._clone_into(OwnUncachedQuerySet(self._document, self._collection))


class OwnUncachedQuerySet(ReadingQuerySet, QuerySetNoCache):
    """The same, uncached."""

    def cache(self) -> OwnQuerySet:
        """Return the same, cached."""
        return self._clone_into(OwnQuerySet(self._document, self._collection))


class OwnRows(Document, metaclass=OwnDocuments):
    """A document class whose queries and changes reach our own rows only."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "queryset_class": OwnQuerySet, "db_alias": OURS}
    mark: ClassVar[str]
    mark_is: ClassVar[str] = "number"  # the type of the mark, as MongoDB names it
    names: ClassVar[Names | None] = None  # what the fields were called before 0.3
    indexes: ClassVar[list[IndexModel]] = []
    instead: ClassVar[str] = "These rows are the service's own; `update` changes documents."

    stored: Mapping[str, Any] | None = None  # the row as it is in MongoDB, if rows were read one by one

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
        """Return the name of this type of row, for `repr`."""
        return cls.__name__.lower()

    def identity(self) -> dict[str, Any]:
        """Return the fields that `repr` and logs show beside the id: no secrets and no personal data."""
        return {}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the document of a row as MongoDB stores it. Raises an error of MongoEngine if that is impossible."""
        found: Self = cls._from_son(row)
        found.stored = row
        return found

    @classmethod
    def stored_rows(cls) -> Marked:
        """Return our rows in the collection as they are stored, whatever dates are in them."""
        rows = cls.own_rows()
        anything = rows.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
        return cast("Marked", rows.with_options(codec_options=anything))

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return the indexes that the collection must have, if finished rows are kept for this time."""
        return [*cls.indexes, expiry(keep)]

    @classmethod
    def insert_collection(cls) -> Marked:
        """Return the collection for an insert, created if it did not exist. It has its unique indexes.

        Raises Unguarded if it lacks one: none is built on a collection that exists.
        """
        rows = cls.own_rows()
        if rows.name not in GUARDED.known and dry_run() is None:
            GUARDED.make(rows, cls.wanted(sure(GUARDED.keep)))
        return rows

    @classmethod
    def know_before(cls, rows: Iterable[Mapping[str, Any]]) -> None:
        """Upgrade the rows of an older version that have a unique value of one of these, so that its index knows it."""
        if cls.names is None or not UPGRADE:
            return
        taken = []
        for index in (index.document for index in cls.indexes if index.document.get("unique")):
            only = index.get("partialFilterExpression", {})
            for row in rows:
                values = {name: _inside(row, name) for name in index["key"] if name not in ("_id", "is_current")}
                taken += [{**only, **values}] if None not in values.values() else []
        if taken:
            cls.own_rows().upgrade({"$or": taken})

    @classmethod
    def _build_index_specs(cls, meta_indexes: Any) -> list[Any]:
        """Return none to MongoEngine, which searches each field of each class for them: `indexes` has ours."""
        return []

    @classmethod
    def plural(cls) -> str:
        """Return the collection's name without the prefix, as paths, reports and stored cursors have it."""
        return str(cls._meta["collection"])

    @classmethod
    def _get_collection_name(cls) -> str:
        return prefix() + cls.plural()

    @classmethod
    def _get_db(cls) -> Database[Any]:
        return database()

    @classmethod
    def own_rows(cls) -> Marked:
        """Return the collection, limited to the rows that have our mark."""
        return Marked(cls._get_collection(), cls.mark, cls.names)


def collections() -> dict[str, Row]:
    """Return MongoDB's description of each collection of the database, by name."""
    return {told["name"]: dict(told) for told in database().list_collections()}


def indexes_in_all() -> int:
    """Return the number of indexes of all collections of the database together."""
    return int(database().command("dbStats")["indexes"])


def strangers(models: Iterable[type[OwnRows]], there: Mapping[str, Row]) -> list[str]:
    """Return the collections of these models that have another program's rows, and what has such a name but is no
    collection as we create them, such as a view. `there` is what `collections` returned.

    One query reads the first and the last rows of each collection by their ids, because in a shared database other
    programs wrote before us, or still write. Their rows in the middle of millions are not found, but every query of
    ours leaves them out. The type of the mark is checked, too, because its name is a common word.
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
                    {"$match": {"$nor": [{mark: {"$type": model.mark_is}} for mark in _marks(model)]}},
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


def _marks(model: type[OwnRows]) -> set[str]:
    return {model.mark} if model.names is None else {model.mark, model.names.path(model.mark)}


def _inside(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def _other_kind(told: Mapping[str, Any]) -> str | None:
    """Return what MongoDB has under this name, if that is no collection as we create them; else None."""
    if told["type"] != "collection":
        return f"a {told['type']}"
    options = dict(told.get("options", {}))
    if options.get("validationAction") == "warn" or options.get("validationLevel") == "off":
        options.pop("validator", None)  # it refuses nothing
    return next((kind for option, kind in NOT_MADE_BY_US.items() if options.get(option)), None)
