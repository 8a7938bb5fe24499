"""Queries that an index answers alone, without reading documents, so that they stay fast on any number of rows.

They do not check whether a row is ours, because that would read each row. A query that names a field which an older
version called otherwise upgrades what it would find, and finds no others.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS

from stripe_mongo_sync.models.rows.formerly import UPGRADE, UPGRADED
from stripe_mongo_sync.models.rows.own_rows import OwnRows

Row = TypeVar("Row", bound=OwnRows)
Model = type[OwnRows]
NOTHING: Mapping[str, dict[str, Any]] = {}
STRIPE_BEGAN = datetime(2010, 1, 1, tzinfo=UTC)
MOST = 100_000  # entries of an index that a count reads: a tenth of a second, where ten million would take several


def _known(model: Model, where: dict[str, Any], order: str = "_id", limit: int = MOST) -> dict[str, Any]:
    """Return the query of the same rows, once those of an older version are upgraded that it would find first."""
    names = model.names if UPGRADE else None
    if names is None or (names.query(where) == where and names.path(order) == order):
        return where
    model.own_rows().upgrade(where, [(order, 1)], limit)
    return {"$and": [where, UPGRADED]}


def count(model: Model, where: dict[str, Any]) -> int:
    """Count the rows that `where` selects, up to `MOST`."""
    rows = model._get_collection()
    return int(rows.database.command("count", rows.name, query=_known(model, where), limit=MOST)["n"])


def ask_each(
    models: Iterable[type[Row]], stages: Callable[[type[Row]], list[dict[str, Any]]]
) -> dict[type[Row], dict[str, Any]]:
    """Run `stages` on several types in one round trip; return the first row of each type that has one."""
    by_name = {model._get_collection_name(): model for model in models}
    if not by_name:
        return {}
    first, *others = [(name, [*stages(model), {"$set": {"of": {"$literal": name}}}]) for name, model in by_name.items()]
    unions = [{"$unionWith": {"coll": name, "pipeline": pipeline}} for name, pipeline in others]
    found = by_name[first[0]]._get_collection().aggregate([*first[1], *unions])
    return {by_name[row["of"]]: row for row in found}


def having(
    models: Iterable[type[Row]], where: dict[str, Any] | Callable[[type[Row]], dict[str, Any]]
) -> set[type[Row]]:
    """Return those of these types that have a row which `where` selects, which may be another query for each."""
    rest: list[dict[str, Any]] = [{"$limit": 1}, {"$project": {"_id": 0, "any": {"$literal": 1}}}]

    def asked(model: type[Row]) -> dict[str, Any]:
        return {"$match": _known(model, where(model) if callable(where) else where, limit=1)}

    return {*ask_each(models, lambda model: [asked(model), *rest])}


def count_each(models: Iterable[Model], where: dict[str, Any]) -> int:
    """Count the rows of all these types that `where` selects, up to `MOST` of each type."""
    rest: list[dict[str, Any]] = [{"$limit": MOST}, {"$count": "n"}]
    found = ask_each(models, lambda model: [{"$match": _known(model, where)}, *rest])
    return sum(row["n"] for row in found.values())


def counts(
    model: Model, name: str, values: Iterable[str], beside: Mapping[str, dict[str, Any]] = NOTHING
) -> tuple[dict[str, int], dict[str, int]]:
    """Count the rows of each value of a field, and those that each query of `beside` selects, in one round trip.

    If one value has `MOST` rows or more, its count is an estimate: MongoDB's estimate of all rows, less the others.
    """
    rows, asked = model._get_collection(), {**{str(value): {name: value} for value in values}, **beside}
    found_each: list[list[dict[str, Any]]] = [
        [{"$match": _known(model, where)}, {"$limit": MOST}, {"$count": "n"}, {"$set": {"of": {"$literal": each}}}]
        for each, where in asked.items()
    ]
    first, *more = found_each
    unions = [{"$unionWith": {"coll": rows.name, "pipeline": pipeline}} for pipeline in more]
    told = dict.fromkeys(asked, 0) | {row["of"]: row["n"] for row in rows.aggregate([*first, *unions])}
    others = {each: told.pop(each) for each in beside}
    found = {value: number for value, number in told.items() if number}
    many = [value for value, number in found.items() if number >= MOST]
    if len(many) == 1:
        less = sum(found.values()) - found[many[0]]
        found[many[0]] = max(MOST, rows.estimated_document_count() - less)
    return found, others


def smallest(model: Model, where: dict[str, Any], name: str) -> Any:
    """Return the smallest value of a field among the rows that `where` selects; None if there is none.

    It needs an index that begins with the fields of `where` and continues with this field. A date that Python cannot
    hold, which somebody wrote by hand, counts as none.
    """
    shown = {name: 1} if name == "_id" else {name: 1, "_id": 0}
    rows = model._get_collection()
    options = rows.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    found: Any = rows.with_options(options).find_one(_known(model, where, name, 1), shown, sort=[(name, 1)])
    for part in name.split("."):
        found = found and found.get(part)
    return None if isinstance(found, DatetimeMS) else found


def oldest(models: Iterable[Model]) -> datetime | None:
    """Return when the oldest document of these types was created, without reading any other field of it."""
    real = {"$gt": STRIPE_BEGAN}  # only dates, and only those that Python can hold
    born = (
        smallest(model, {"is_current": live, "created_at": real}, "created_at")
        for model in models
        for live in (True, False)
    )
    return min(filter(None, born), default=None)


def first_key(model: Model, where: dict[str, Any], name: str) -> Any:
    """Return the smallest value of a field inside a list. Only the entry of the index shows which one that is."""
    found = model._get_collection().find_one(where, return_key=True)
    return found and found.get(name)
