"""A collection of MongoDB's driver, reduced to the rows with our mark. `OwnRows.own_rows()` returns it.

While rows of an older version may be there, each method first upgrades those that it would find, and finds no others.
In a dry run (`models/dry_run/`), no method writes, and all see what the writes before would have changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor
from pymongo.errors import WriteConcernError

from stripe_mongo_sync.models.dry_run.copies import Copies, Found
from stripe_mongo_sync.models.dry_run.run import dry_run, require_meant
from stripe_mongo_sync.models.rows.formerly import UPGRADE, UPGRADED, Names, UpgradingCursor

Row = dict[str, Any]
Where = Mapping[str, Any]
THERE = {"$exists": True}


@contextmanager
def _unmet_write_concern() -> Iterator[None]:
    """Raise WriteConcernError in place of the driver's AttributeError (pymongo 4.20).

    When a write may not reach the majority, as at a failover, the driver adds labels to the error of MongoDB.
    With a decoder like ours, or for raw rows, it has read that error as a document that cannot be changed.
    """
    try:
        yield
    except AttributeError as error:
        if error.name != "update":
            raise
        raise WriteConcernError("the majority may not have this write", None) from error


def ours(where: Where, mark: str) -> Where:
    """Return the query for those of the rows that have our mark."""
    return where if mark in where else {**where, mark: THERE}


class Marked(Collection[Row]):
    """A collection of MongoDB's driver that shows only the rows with our mark."""

    def __init__(self, rows: Collection[Row], mark: str, names: Names | None) -> None:
        options = {name: getattr(rows, name) for name in ("codec_options", "read_preference", "write_concern")}
        super().__init__(rows.database, rows.name, read_concern=rows.read_concern, **options)
        self.mark, self.names = mark, names

    def with_options(self, *args: Any, **kwargs: Any) -> Any:
        """Return the same collection with other options."""
        return Marked(super().with_options(*args, **kwargs), self.mark, self.names)

    def ours(self, where: Any) -> Where:
        """Return the query for those of the rows that are ours."""
        asked = ours(where if isinstance(where, Mapping) else {} if where is None else {"_id": where}, self.mark)
        return {"$and": [asked, UPGRADED]} if self._upgrades else asked

    @property
    def _copies(self) -> Copies | None:
        """The collection as the dry run of this context would leave it, if this is one."""
        run = dry_run()
        return None if run is None else Copies(run, self.database[self.name].with_options(self.codec_options))

    @property
    def _upgrades(self) -> bool:
        return self.names is not None and bool(UPGRADE)

    def upgrade(self, where: Any, sort: Any = None, limit: int = 0) -> None:
        """Upgrade the rows of an older version that a query would find first."""
        if self.names is not None and UPGRADE:
            asked = where if isinstance(where, Mapping) else {} if where is None else {"_id": where}
            self.names.upgrade(self.database[self.name], asked, sort or (), limit)

    def find(self, filter: Any = None, *args: Any, **kwargs: Any) -> Cursor[Row]:
        if (copies := self._copies) is not None:
            return cast("Cursor[Row]", Found(copies, self.ours(filter), *args, collection=self, **kwargs))
        if self._upgrades:
            return UpgradingCursor(self, self.ours(filter), *args, **kwargs)
        return super().find(self.ours(filter), *args, **kwargs)

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Row | None:
        """Return one of our rows. A query by `_id` alone is the fastest: the mark is then checked in the result."""
        alone = isinstance(filter, Mapping) and filter.keys() == {"_id"} and not (args or kwargs)
        if not alone or self._upgrades or dry_run() is not None:
            return super().find_one(filter, *args, **kwargs)
        found = next(iter(super().find(filter, limit=-1)), None)
        return found if found is not None and self.mark in found else None

    def find_one_and_update(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        """Change one of our rows. If the driver had to repeat it, it returns the whole row: without `projection`."""
        self.upgrade(filter, kwargs.get("sort"), 1)
        if (copies := self._copies) is not None:
            asked = {name: kwargs[name] for name in ("sort", "upsert") if name in kwargs}
            before, after = copies.update(self.ours(filter), *args, **asked)
            return after if kwargs.get("return_document") == ReturnDocument.AFTER else before
        with _unmet_write_concern():
            return super().find_one_and_update(self.ours(filter), *args, **kwargs)

    def find_one_and_delete(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        self.upgrade(filter, kwargs.get("sort"), 1)
        if (copies := self._copies) is not None:
            return next(iter(copies.delete(self.ours(filter), sort=kwargs.get("sort"))), None)
        with _unmet_write_concern():
            return super().find_one_and_delete(self.ours(filter), *args, **kwargs)

    def update_one(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        self.upgrade(filter, kwargs.get("sort"), 1)
        if (copies := self._copies) is not None:
            return SimpleNamespace(matched_count=int(copies.update(self.ours(filter), *args, **kwargs)[1] is not None))
        return super().update_one(self.ours(filter), *args, **kwargs)

    def update_many(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        self.upgrade(filter)
        if (copies := self._copies) is not None:
            return SimpleNamespace(matched_count=copies.update_all(self.ours(filter), *args))
        return super().update_many(self.ours(filter), *args, **kwargs)

    def delete_one(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        self.upgrade(filter, None, 1)
        if (copies := self._copies) is not None:
            return SimpleNamespace(deleted_count=len(copies.delete(self.ours(filter))))
        return super().delete_one(self.ours(filter), *args, **kwargs)

    def delete_many(self, filter: Where, *args: Any, **kwargs: Any) -> Any:
        self.upgrade(filter)
        if (copies := self._copies) is not None:
            return SimpleNamespace(deleted_count=len(copies.delete(self.ours(filter), limit=0)))
        return super().delete_many(self.ours(filter), *args, **kwargs)

    def count_documents(self, filter: Where, *args: Any, **kwargs: Any) -> int:
        self.upgrade(filter)
        if (copies := self._copies) is not None:
            return copies.count(self.ours(filter))
        return super().count_documents(self.ours(filter), *args, **kwargs)

    def estimated_document_count(self, *args: Any, **kwargs: Any) -> int:
        if (copies := self._copies) is not None:
            return copies.count(self.ours(None))
        return super().estimated_document_count(*args, **kwargs)

    def distinct(self, key: str, filter: Any = None, *args: Any, **kwargs: Any) -> list[Any]:
        self.upgrade(kwargs.get("query", filter))
        asked = filter if "query" in kwargs else self.ours(filter)  # a cursor passes `query`, and has the mark in it
        if (copies := self._copies) is not None:
            return copies.distinct(key, self.ours(kwargs.get("query", filter)))
        return super().distinct(key, asked, *args, **kwargs)

    def aggregate(self, pipeline: Sequence[Where], *args: Any, **kwargs: Any) -> CommandCursor[Row]:
        self.upgrade(pipeline[0].get("$match") if pipeline else None)
        if (copies := self._copies) is not None:
            return cast("CommandCursor[Row]", copies.read(self.ours(None), pipeline))
        return super().aggregate([{"$match": self.ours(None)}, *pipeline], *args, **kwargs)

    def insert_one(self, *args: Any, **kwargs: Any) -> Any:
        require_meant()
        return super().insert_one(*args, **kwargs)

    def insert_many(self, *args: Any, **kwargs: Any) -> Any:
        require_meant()
        return super().insert_many(*args, **kwargs)

    def replace_one(self, *args: Any, **kwargs: Any) -> Any:
        require_meant()
        return super().replace_one(*args, **kwargs)

    def find_one_and_replace(self, *args: Any, **kwargs: Any) -> Any:
        require_meant()
        return super().find_one_and_replace(*args, **kwargs)

    def bulk_write(self, *args: Any, **kwargs: Any) -> Any:
        require_meant()
        return super().bulk_write(*args, **kwargs)
