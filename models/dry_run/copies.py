"""A collection as a dry run would leave it: MongoDB's rows, and in place of those that it changed, their copies.

MongoDB itself evaluates the queries and updates, so the copies are what it would have stored.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.dry_run.run import DryRun, NotRehearsed, Row

Where = Mapping[str, Any]
Stages = list[dict[str, Any]]


class Found(Iterator[Row]):
    """A cursor over such a collection, with the methods that MongoEngine and we call."""

    def __init__(self, copies: "Copies", where: Where, projection: Any = None, **asked: Any) -> None:
        self._copies, self._where = copies, where
        self._rows: Iterator[Row] = iter(())
        self._projection, self._read = projection, False
        self.collection = asked.get("collection")  # whose cursor it is: MongoEngine counts by it
        self._sort, self._skip, self._limit = (asked.get(name) for name in ("sort", "skip", "limit"))

    def __next__(self) -> Row:
        if not self._read:
            self._rows, self._read = self._copies.read(self._where, self._stages()), True
        return next(self._rows)

    def _stages(self) -> Stages:
        order = [(self._sort, 1)] if isinstance(self._sort, str) else self._sort
        shown = self._projection if isinstance(self._projection, Mapping) else dict.fromkeys(self._projection or (), 1)
        found = {
            "$sort": dict(order or ()),
            "$skip": self._skip,
            "$limit": abs(self._limit or 0),
            "$project": shown,
        }
        return [{stage: value} for stage, value in found.items() if value]

    def __getitem__(self, index: int) -> Row:
        for row in self.clone().skip((self._skip or 0) + index).limit(1):
            return row
        raise IndexError("there are fewer rows")

    def clone(self) -> "Found":
        """Return the same cursor, before its first row."""
        asked = {"sort": self._sort, "skip": self._skip, "limit": self._limit, "collection": self.collection}
        return Found(self._copies, self._where, self._projection, **asked)

    def rewind(self) -> Self:
        """Start again with the first row."""
        self._read = False
        return self

    def sort(self, key: Any, direction: int | None = None) -> Self:
        """Set the order."""
        self._sort = key if direction is None else [(key, direction)]
        return self

    def skip(self, count: int) -> Self:
        """Leave out so many rows."""
        self._skip = count
        return self

    def limit(self, count: int) -> Self:
        """Find at most so many rows."""
        self._limit = count
        return self

    def distinct(self, key: str) -> list[Any]:
        """Return the values that a field of these rows has."""
        return self._copies.distinct(key, self._where)

    def close(self) -> None:
        """Do nothing: it holds nothing at MongoDB."""


class Copies:
    """One collection in a dry run."""

    def __init__(self, run: DryRun, rows: Collection[Row]) -> None:
        self._run, self._rows = run, rows
        self._database = rows.database.with_options(codec_options=rows.codec_options)

    # --- reads ---

    def read(self, where: Where, stages: Iterable[Mapping[str, Any]] = ()) -> Iterator[Row]:
        """Yield what an aggregation of the rows that `where` selects returns."""
        copies = self._run.of(self._rows.name)
        there = [{"$literal": row} for row in copies.values() if row is not None]
        added = [{"$unionWith": {"pipeline": [{"$documents": there}, {"$match": where}]}}] if there else []
        unchanged = {"$and": [where, {"_id": {"$nin": [*copies]}}]}
        return iter(self._rows.aggregate([{"$match": unchanged}, *added, *stages]))

    def distinct(self, key: str, where: Where) -> list[Any]:
        """Return the values that a field has."""
        each: Stages = [{"$unwind": f"${key}"}, {"$group": {"_id": f"${key}"}}]  # of a list, every entry counts
        return [row["_id"] for row in self.read(where, each)]

    def count(self, where: Where) -> int:
        """Return how many rows there are."""
        return sum(row["count"] for row in self.read(where, [{"$count": "count"}]))

    # --- writes ---

    def update(self, where: Where, change: Any, *, sort: Any = None, upsert: bool = False) -> tuple[Row | None, Any]:
        """Change or insert one row; return it as it was, and as it would be: None and None if there is none.

        Raises DuplicateKeyError where MongoDB would.
        """
        before = next(Found(self, where, sort=sort, limit=1), None)
        if before is None and not upsert:
            return None, None
        base = dict(_equals(where)) if before is None else before
        (after,) = self._evaluated(base, *_pipeline(change))
        self._require_unique(after, before)
        self._run.keep(self._rows.name, after["_id"], before, after)
        return before, after

    def update_all(self, where: Where, change: Any) -> int:
        """Change all rows that `where` selects; return how many."""
        ids = [row["_id"] for row in self.read(where, [{"$project": {"_id": 1}}])]
        return sum(self.update({"_id": id}, change)[1] is not None for id in ids)

    def delete(self, where: Where, *, sort: Any = None, limit: int = 1) -> list[Row]:
        """Delete rows, all of them with a limit of 0; return them."""
        gone = list(Found(self, where, sort=sort, limit=limit))
        for row in gone:
            self._run.keep(self._rows.name, row["_id"], row, None)
        return gone

    def _evaluated(self, row: Row, *stages: Mapping[str, Any]) -> list[Row]:
        return list(self._database.aggregate([{"$documents": [{"$literal": row}]}, *stages]))

    def _require_unique(self, row: Row, before: Row | None) -> None:
        """Raise DuplicateKeyError if a row has another's value of a unique index, or an inserted one its id."""
        others = {"_id": {"$ne": row["_id"]}}
        if before is None and self.count({"_id": row["_id"]}):
            raise DuplicateKeyError(f"{self._rows.name} has a row with this _id")
        for name, index in self._rows.index_information().items():
            if not index.get("unique"):
                continue
            keys, only = {key: _inside(row, key) for key, _ in index["key"]}, index.get("partialFilterExpression", {})
            if self._evaluated(row, {"$match": only}) and self.count({"$and": [only, keys, others]}):
                raise DuplicateKeyError(f"{self._rows.name} has a row with this value of {name}")


def _pipeline(change: Any) -> Stages:
    """Return the stages of an update. Raises NotRehearsed for one that is no pipeline: it may do what no stage does."""
    if not isinstance(change, list):
        raise NotRehearsed(NotRehearsed.says)
    return change


def _equals(where: Where) -> Iterator[tuple[str, Any]]:
    """Yield the fields that a row has which MongoDB inserts because this query found none."""
    for name, value in where.items():
        if name == "$and" or (name == "$or" and len(value) == 1):
            for inner in value:
                yield from _equals(inner)
        elif not name.startswith("$") and not (isinstance(value, Mapping) and any(map(_is_operator, value))):
            yield name, value


def _is_operator(name: Any) -> bool:
    return isinstance(name, str) and name.startswith("$")


def _inside(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row
