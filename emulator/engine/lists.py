"""Lists: filtered, sorted newest first, and read in pages by two kinds of cursor (stripe-facts.md#lists)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from stripe_mongo_sync.emulator.engine.resource import Filter, Resource
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Field, Hash, Many, Text, Time, Whole, read
from stripe_mongo_sync.emulator.protocol.wire import Json

WINDOW = Hash(fields={name: Time() for name in ("gt", "gte", "lt", "lte")}, fill=False)
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


class Created(Field):
    """A second, or a range of seconds."""

    def parse(self, raw: Any, name: str) -> Any:
        return WINDOW.parse(raw, name) if isinstance(raw, dict) else Time().parse(raw, name)


def during(name: str) -> Filter:
    """Return a filter by a second of the object, or by a range of seconds; an object without one does not pass."""
    return Filter(Created(), lambda object, asked: _is_in(object.get(name), asked))


def _is_in(second: int | None, asked: int | Json) -> bool:
    if second is None or isinstance(asked, int):
        return second == asked
    return all(COMPARE[name](second, bound) for name, bound in asked.items() if bound is not None)


PAGING: dict[str, Field] = {
    "limit": Whole(least=1, most=100),
    "starting_after": Text(),
    "ending_before": Text(),
    "expand": Many(each=Text()),
}


def fields(row: Resource) -> dict[str, Field]:
    created: dict[str, Field] = {"created": Created()} if row.created_filter else {}
    return {**PAGING, **created, **{name: filter.field for name, filter in row.filters.items()}}


def read_query(row: Resource, raw: Json) -> Json:
    params = {name: value for name, value in read(fields(row), raw).items() if value is not None}
    if "starting_after" in params and "ending_before" in params:
        raise errors.invalid(
            "Received both starting_after and ending_before parameters. Please pass in only one.", "starting_after"
        )
    return params


def page(row: Resource, params: Json, objects: Iterable[Json], cursor: Callable[[str, str], Json], url: str) -> Json:
    """Return a page of objects (given oldest first). `cursor(id, param)` returns the object of a cursor, or raises."""
    # Sorting is stable, so objects of the same second keep their order of insertion.
    order = sorted(objects, key=lambda object: _when(row, object))
    start, end = params.get("starting_after"), params.get("ending_before")
    mark = cursor(start, "starting_after") if start else cursor(end, "ending_before") if end else None
    if mark is not None:
        at = next((index for index, each in enumerate(order) if each["id"] == mark["id"]), None)
        if at is None:  # the cursor's object was deleted or filtered out: find its place by its time
            at = next((index for index, each in enumerate(order) if _when(row, each) > _when(row, mark)), len(order))
            order = order[:at] if start else order[at:]
        else:
            order = order[:at] if start else order[at + 1 :]
    limit = params.get("limit", 10)
    # Read from the cursor on, only as far as needed to know `has_more`.
    outwards = order if end else reversed(order)
    kept = list(islice((each for each in outwards if _passes(row, params, each)), limit + 1))
    data = kept[:limit]
    return {"object": "list", "url": url, "has_more": len(kept) > limit, "data": data[::-1] if end else data}


def part(items: list[Json], params: Json, url: str) -> Json:
    """Return a page of the parts of an object, in their own order."""
    ids = [each["id"] for each in items]
    start, end = params.get("starting_after"), params.get("ending_before")
    for name, id in (("starting_after", start), ("ending_before", end)):
        if id is not None and id not in ids:
            raise errors.no_such("item", id, name, status=400)
    limit = params.get("limit") or 10
    rest = items[ids.index(start) + 1 :] if start else items[: ids.index(end)] if end else items
    data = rest[-limit:] if end else rest[:limit]
    return {"object": "list", "url": url, "has_more": len(rest) > limit, "data": data}


def _when(row: Resource, object: Json) -> int:
    return int(object.get(row.created_field, 0))


def _passes(row: Resource, params: Json, object: Json) -> bool:
    if (created := params.get("created")) is not None and not _is_in(_when(row, object), created):
        return False
    return all(filter.keep(object, params[name]) for name, filter in row.filters.items() if name in params)
