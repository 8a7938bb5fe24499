"""Pages of rows in the order of a moment (a row without one is the earliest), and within one moment of their ids.

An index has the moments and not the ids: rows that came together have one moment. So the moments are read by the index,
and of those that a page begins or ends with, the rows are sorted by their ids.
"""

from collections.abc import Mapping
from typing import Any

from pymongo.collection import Collection

Json = dict[str, Any]
Order = list[tuple[str, int]]


def page(
    rows: Collection[Json],
    where: Mapping[str, Any],
    order: tuple[str, int],
    last: Mapping[str, Any] | None,
    limit: int,
    *,
    hint: Order,
    without: tuple[str, ...] = (),
) -> list[Json]:
    """Return the first `limit` of the rows that `where` selects, in the `order` of a moment, after the row `last`."""
    (name, way), asked, found = order, [where], list[Json]()

    def key(row: Json) -> tuple[bool, Any, Any]:
        return row.get(name) is not None, row.get(name), row["_id"]

    def those(more: Mapping[str, Any], by: str) -> list[Json]:
        if limit == len(found):
            return []
        named = rows.find({"$and": [*asked, more]}, dict.fromkeys(without, 0)).sort(by, way)
        return [*named.limit(limit - len(found)).hint(hint)]

    if last is not None:
        found += those({name: last.get(name), "_id": {"$gt" if way > 0 else "$lt": last["_id"]}}, "_id")
        if (moment := last.get(name)) is None and way < 0:
            return found
        later = {"$ne": None} if moment is None else {"$gt": moment}
        asked.append({name: later if way > 0 else {"$not": {"$gte": moment}}})  # `$lt` would leave out null
    rest = those({}, name)
    if not rest:
        return found
    end = rest[-1].get(name)
    found += sorted((row for row in rest if row.get(name) != end), key=key, reverse=way < 0)
    return found + those({name: end}, "_id")
