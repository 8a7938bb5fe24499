"""Lists and access among a million documents of each type: explains every combination of filters that is accepted.

A page may examine what it returns, and with a customer also what that customer has; of all others, a few rows.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import combinations, islice
from typing import Any

from bson import ObjectId
from pymongo import timeout
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.bench.measure import conditions, table
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.models import Customer, Price, StagedDocument, State, kinds
from stripe_mongo_sync.models.lists.page import queries
from stripe_mongo_sync.sync.entitlements.question import SUMMARY
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.shop.lists import selected

Json = dict[str, Any]
DOCUMENTS, QUICK_DOCUMENTS = 1_000_000, 600  # of each type; even of the few, a scan is told from an index
HAS, QUICK_HAS = 200, 12  # documents of the customer
BATCH = 10_000  # documents of one insert
T = 1_700_000_000
MINE, THEIRS = "cus_Mine0000", "cus_Theirs00"
NAME = "mine@here.com"
FEW = 12  # entries of an index that may be read beside those that are found
PAGE = 20
OTHERS = {("invoice", "stripe_status"): "open", ("subscription", "stripe_status"): "active"}  # what `access` looks for
VALUES = {"stripe_status": "paid", "payment_status": "paid", "price": "price_1", "product": "prod_1"}
KINDS = {kind: model.filters() for kind, model in kinds().items() if len(model.filters().names) > 1}
ALIKE = {(tuple(each.fields.items()), each.born, each.is_dated): kind for kind, each in reversed(KINDS.items())}
FILTERED = sorted(ALIKE.values())  # one of the kinds whose filters read the same fields
OF_ACCESS = ("subscription", "invoice", "order", "price", SUMMARY)
MINUTE, HOUR = 60, 3600  # seconds that one explanation may take, and that a collection may take to be filled


def put(row: Json, path: str, value: Any) -> None:
    """Set the field at a path; `items` and `data` are lists."""
    name, _, rest = path.partition(".")
    if not rest:
        row[name] = value
    elif name in ("items", "data") and not (name == "items" and rest.startswith("data")):
        row.setdefault(name, [{}])
        put(row[name][0], rest, value)
    else:
        put(row.setdefault(name, {}), rest, value)


def row(model: type[StagedDocument], number: int, every: int = 50) -> Json:
    """Return a stored row as a filter reads it: one of twenty has each value, and one of `every` is the customer's."""
    mine = number % every == 0
    born = T + number
    made: Json = {
        "_id": ObjectId(),
        "revision": 1,
        "status": "deleted" if number % 7 == 0 and not mine else "active",
        "is_current": not (number % 7 == 0 and not mine),
        "stripe_id": f"x_{model.__name__}_{number}",
        "created_at": datetime.fromtimestamp(born, UTC),
        "owners": [MINE if mine else THEIRS],
        "stripe": {"id": f"x_{number}", "created": born},
    }
    for name, path in model.filters().fields.items():
        if (name, path) == ("product", "items.price"):
            continue  # the price has the product
        other = OTHERS.get((model.resource.kind, name), "other")
        other = other if number % 20 else VALUES.get(name, f"{name}_1")
        put(made, path, (MINE if mine else THEIRS) if name == "customer" else other)
    return made


def fill(model: type[StagedDocument], documents: int, every: int = 50) -> None:
    """Insert this many rows."""
    rows = (row(model, number, every) for number in range(documents))
    while batch := list(islice(rows, BATCH)):
        model.insert_collection().insert_many(batch, ordered=False)


def priced() -> list[Json]:
    """Return the two prices of the product by which orders are found."""
    return [{**row(Price, number), "stripe_id": f"price_{number}", "product": "prod_1"} for number in (1, 2)]


def accepted(model: type[StagedDocument], documents: int) -> Iterator[Json]:
    """Yield every combination of this type's filters that is accepted."""
    names = [name for name in model.filters().names if name != "username"]
    for count in range(1, len(names) + 1):
        for some in combinations(names, count):
            if model.filters().index_of([name for name in some if name != "status"]) is not None:
                values: Json = {"customer": MINE, "status": "active", "created": {"gte": T, "lt": T + documents}}
                yield {name: values.get(name, VALUES.get(name, f"{name}_1")) for name in some}


def explained(model: type[StagedDocument], given: Json, last: Mapping[str, Any] | None = None) -> list[Json]:
    """Return what MongoDB examines for one page, for each query of it."""
    chosen = selected(model, given)
    wheres, index = queries(model.filters(), chosen, last)
    found = []
    for where, order in wheres:
        command = {
            "find": model._get_collection_name(),
            "filter": {**where, "revision": {"$exists": True}},
            "sort": dict(order),
            "limit": PAGE,
            **({"hint": dict(index)} if chosen.filters else {}),
        }
        with timeout(MINUTE):
            told = model._get_db().command({"explain": command, "verbosity": "executionStats"})
        found.append(dict(told["executionStats"]) | {"stages": _stages(told["queryPlanner"]["winningPlan"])})
    return found


def _stages(plan: Json) -> list[str]:
    inner = [plan[name] for name in ("inputStage", "queryPlan") if name in plan] + plan.get("inputStages", [])
    return [plan.get("stage", ""), *(stage for each in inner for stage in _stages(each))]


def worst(model: type[StagedDocument], documents: int, has: int) -> tuple[int, int, Json]:
    """Explain all combinations, each for its first page and one in the middle; return how many these were, how many
    queries, and the one that examines most beside what it returns.

    Raises AssertionError if one scans, sorts, or examines more than it may.
    """
    middle = model.own_rows().find_one({"stripe_id": f"x_{model.__name__}_{documents // 2}"})
    combined, tried, costly = 0, 0, Json()
    for given in accepted(model, documents):
        combined += 1
        mine = has if "customer" in given else 0
        for told in [each for last in (None, middle) for each in explained(model, given, last)]:
            tried += 1
            assert {"COLLSCAN", "SORT"}.isdisjoint(told["stages"]), (given, told["stages"])
            more = max(told["totalDocsExamined"], told["totalKeysExamined"]) - told["nReturned"]
            assert more <= mine + FEW, (given, more)
            if more >= costly.get("more", 0):
                costly = {**told, "given": given, "more": more}
    return combined, tried, costly


def run(*, quick: bool, documents: int | None = None) -> Iterator[str]:
    """Explain all, and yield the tables. Raises AssertionError if a query scans."""
    documents = documents or (QUICK_DOCUMENTS if quick else DOCUMENTS)
    has = QUICK_HAS if quick else HAS
    asked, every, began = Asked(), documents // has, time.monotonic()
    with Mongod() as mongod, ExitStack() as end:
        own = {"STRIPE_SECRET_KEY": "sk_test_bench", "MONGODB_URI": mongod.uri("bench")}
        sync.connect(Settings.from_environment(environment=own), listeners=(asked,))
        end.callback(sync.disconnect)
        Price.insert_collection().insert_many(priced())
        rows = []
        for kind in sorted(
            {*FILTERED, *OF_ACCESS}, key=lambda kind: (kind == "price", kind)
        ):  # the product has few prices until then
            model = kinds()[kind]
            _fill(model, documents, every)
            combined, tried, costly = worst(model, documents, -(-documents // every))
            rows.append((kind, combined, tried, *(costly[name] for name in EXAMINED), " ".join(costly["given"])))
            if kind not in OF_ACCESS:
                model._get_collection().drop()
        _fill(Customer, documents, documents)
        parts = _access(asked)
        yield conditions(
            Customer._get_db(),
            mongod.dbpath,
            documents=f"{documents:,} of each type, {has} of them the customer's",
            seconds=f"{time.monotonic() - began:.0f}",
        )
    yield table("Lists: of each type, the query that examines most beside what it returns", HEAD, rows)
    yield table("Access", ("part", "indexes", "keys", "documents"), parts)
    assert all(max(keys, found) <= 3 * has + FEW for _, _, keys, found in parts), parts


def _fill(model: type[StagedDocument], documents: int, every: int) -> None:
    """Insert the rows, and build the indexes afterwards, which takes a fraction of the time."""
    with timeout(HOUR):
        collection = model.insert_collection()
        model._get_collection().drop_indexes()
        fill(model, documents, every)
        collection.create_indexes(model.wanted(sync.current().settings.retention))


class Asked(CommandListener):
    """Keeps the last aggregation."""

    pipeline: list[Json]

    def started(self, event: CommandStartedEvent) -> None:
        """Keep it."""
        if event.command_name == "aggregate":
            self.pipeline = event.command["pipeline"]

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Do nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Do nothing."""


def _access(asked: Asked) -> list[tuple[str, str, int, int]]:
    """Ask whether a customer may come in, and return what each part of the question examines, and by which indexes."""
    me = {"stripe_id": MINE, "username": NAME, "username_key": NAME, "status": "active", "is_current": True}
    Customer.insert_collection().insert_one({"revision": 1, "created_at": datetime.now(UTC), "owners": [MINE], **me})
    sync.access(NAME, product="prod_1")
    command = {"aggregate": Customer._get_collection_name(), "pipeline": asked.pipeline, "cursor": {}}
    told = Customer._get_db().command({"explain": command, "verbosity": "executionStats"})
    own = told["stages"][0]["$cursor"]
    plan = " ".join(_stages(own["queryPlanner"]["winningPlan"]))
    parts = [("customer", plan, *(own["executionStats"][name] for name in EXAMINED[:2]))]
    for stage in told["stages"]:
        if "$lookup" not in stage or stage["$lookup"]["from"] == State._get_collection_name():
            continue  # of a few rows that every installation has
        assert not int(stage["collectionScans"]), stage["$lookup"]
        examined = (int(stage[name]) for name in EXAMINED[:2])
        parts.append((stage["$lookup"]["as"], ", ".join(stage["indexesUsed"]), *examined))
    return parts


EXAMINED = ("totalKeysExamined", "totalDocsExamined", "nReturned")
HEAD = ("type", "combinations", "queries", "keys", "documents", "found", "filters")
