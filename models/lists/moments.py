"""Pages of rows in the order of a moment, and within one moment of their ids.

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
    beyond = "$gt" if way > 0 else "$lt"

    def those(more: Mapping[str, Any], by: str) -> list[Json]:
        if limit == len(found):
            return []
        named = rows.find({"$and": [*asked, more]}, dict.fromkeys(without, 0)).sort(by, way)
        return [*named.limit(limit - len(found)).hint(hint)]

    if last is not None:
        found += those({name: last[name], "_id": {beyond: last["_id"]}}, "_id")
        asked.append({name: {beyond: last[name]}})
    rest = those({}, name)
    if not rest:
        return found
    end = rest[-1][name]
    whole = [row for row in rest if row[name] != end]
    found += sorted(whole, key=lambda row: (row[name], row["_id"]), reverse=way < 0)
    return found + those({name: end}, "_id")
