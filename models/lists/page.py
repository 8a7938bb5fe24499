"""One page of a list: the queries of what the filters select, behind the last document of the page before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stripe_mongo_sync.models.lists.filters import CUSTOMER, Filters, Order

Json = dict[str, Any]
CURRENT = ("pending", "active")  # the statuses of a list that names none
NOBODY = ""  # a customer who has no object at Stripe yet
OLD = None  # a row of an older version names no owner yet: its own field decides


@dataclass(frozen=True)
class Selection:
    """What a caller wants to see of a list."""

    status: str | None = None
    customer: str | None = None  # Stripe's id
    payments: Sequence[str] = ()  # the payments of that customer, where only they name the customer
    equal: Mapping[str, Any] = field(default_factory=dict)  # by filter: a value, or several in a list
    since: Any = None  # the object was created then or later, …
    before: Any = None  # … and before this moment

    @property
    def is_empty(self) -> bool:
        """Whether it selects nothing, so that there is nothing to ask."""
        return self.customer == NOBODY or [] in self.equal.values()

    @property
    def filters(self) -> tuple[str, ...]:
        """The names of the given filters, the status apart."""
        dated = ("created",) if (self.since, self.before) != (None, None) else ()
        return (*((CUSTOMER,) if self.customer is not None else ()), *self.equal, *dated)


def queries(
    filters: Filters, chosen: Selection, last: Mapping[str, Any] | None
) -> tuple[list[tuple[Json, Order]], Order]:
    """Return the queries that together select a page, one after the other, each with its order; and their index.

    `last` is the document after which the page begins, as it is stored: each query enters the index there.
    """
    if not chosen.filters:
        where: Json = {"is_current": True} if chosen.status is None else {"status": chosen.status}
        new: Order = [("created_at", -1), ("_id", -1)]
        if last is not None:  # every document has that moment
            beside = {"created_at": last["created_at"], "_id": {"$lt": last["_id"]}}
            where["$or"] = [{"created_at": {"$lt": last["created_at"]}}, beside]
        return [(where, new)], [*((name, 1) for name in where if name != "$or"), *new]
    index = filters.index_of(chosen.filters)
    if index is None:
        raise ValueError("no index has these filters together")
    statuses = CURRENT if chosen.status is None else (chosen.status,)
    wanted: list[Json] = [{"status": {"$in": [*statuses]}}]
    for name, value in chosen.equal.items():
        wanted.append({filters.fields[name]: {"$in": value} if isinstance(value, list) else {"$eq": value}})
    if chosen.customer is not None:
        wanted.append(_of_customer(filters.fields[CUSTOMER], chosen))
    limits = {"$gte": chosen.since, "$lt": chosen.before}
    if limits := {name: limit for name, limit in limits.items() if limit is not None}:
        wanted.append({filters.born: limits})
    return [
        ({"$and": [*wanted, *([each] if each else [])]}, order) for each, order in _after(last, filters.born)
    ], index


def _of_customer(path: str, chosen: Selection) -> Json:
    """Return the query of what a customer has. Stripe may show the customer as an id or as an object."""
    named: list[Json] = [{path: chosen.customer}, {f"{path}.id": chosen.customer}]
    payments = [*chosen.payments]
    named += [{name: {"$in": payments}} for name in ("payment_intent", "charge")] if payments else []
    return {"owners": {"$in": [chosen.customer, *payments, OLD]}, "$or": named}


def _after(last: Mapping[str, Any] | None, born: str) -> list[tuple[Json, Order]]:
    """Return the queries of what follows a document, each with its order: of the same moment, with a smaller id; then
    of earlier moments. What has no such moment is at the end.

    Within one moment the order is that of the ids: MongoDB would sort in memory if the moment were named, too.
    """
    order: Order = [(born, -1), ("_id", -1)]
    if last is None:
        return [({}, order)]
    moment = value_at(last, born)
    beside: tuple[Json, Order] = ({born: moment, "_id": {"$lt": last["_id"]}}, [("_id", -1)])
    return [beside] if moment is None else [beside, ({born: {"$not": {"$gte": moment}}}, order)]


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path in a stored row; None if there is none."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def moment_of(filters: Filters, at: datetime) -> Any:
    """Return a moment as the field has it by which a type's documents are in order: a date, or Stripe's seconds."""
    return at if filters.born == "created_at" else int(at.timestamp())
