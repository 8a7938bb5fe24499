"""Scaling: what ten million documents weigh, what a question costs among them, and how they would lie on shards.

A quarter are customers, a quarter their subscriptions, and half are rows of the inbox, all copied from real ones. No
shard runs here: the distribution is computed with MongoDB's own hash, which is compared with a hashed index.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.bench.copies import HEX, NUMBER, PRIME, TEXT, copy_rows, id_of, text_of
from stripe_mongo_sync.bench.measure import conditions, percentile, table
from stripe_mongo_sync.bench.shards import by_hash, by_range, check_hash, fullest, hashed
from stripe_mongo_sync.bench.shop import Json, Shop, shop
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.sync.inbox.arrival import Arrival, arrive
from stripe_mongo_sync.sync.inbox.batch import commit
from stripe_mongo_sync.sync.inbox.inbox import receive_alone
from stripe_mongo_sync.sync.settings import Settings

DOCUMENTS, QUICK_DOCUMENTS = 10_000_000, 4_000
FEW, QUICK_FEW = 10_000, 1_000  # documents beside which the questions are measured
CALLS, QUICK_CALLS = 1_000, 5  # of each question
TOGETHER = 32  # events of a batch
SHARDS = (2, 4, 8)
NEW = 10_000  # documents that come next
INTERVAL = 10  # ms between the creation of two documents

Prepared = Callable[[], object]


def run(*, quick: bool, documents: int | None = None) -> Iterator[str]:
    """Measure, and yield the tables."""
    documents = documents or (QUICK_DOCUMENTS if quick else DOCUMENTS)
    few, calls = (QUICK_FEW, QUICK_CALLS) if quick else (FEW, CALLS)
    with shop() as service, ExitStack() as end:
        check_hash(service.stack.database, [ObjectId(), text_of(1), "", None])
        rows = Rows(service)
        sync.connect(Settings.from_environment(environment=service.stack.environment))
        end.callback(sync.disconnect)
        rows.fill(few)
        beside = Questions(rows).measured(calls)
        began = time.monotonic()
        rows.fill(documents)
        yield conditions(
            service.stack.database,
            service.mongod.dbpath,
            documents=f"{documents:,} in {', '.join(rows.counts)}, made in {time.monotonic() - began:.0f} s",
        )
        yield table("Bytes of a document", ("collection", "", "bytes"), [*rows.sizes()])
        among = Questions(rows).measured(calls)
        times = [(name, *beside[name], *among[name]) for name in among]
        yield table(f"Questions, {calls:,} of each, in ms", _head(few, documents), times)
        yield table(f"The fullest shard's part of {documents:,} documents, in %", SPREAD, [*rows.spread()])


def _head(few: int, documents: int) -> tuple[str, ...]:
    return ("", *(f"{name} of {number:,}" for number in (few, documents) for name in ("p50", "p99")))


class Rows:
    """The collections of the simulation: copies of a customer, of its subscription, and of an event about it."""

    def __init__(self, service: Shop) -> None:
        self.service, self.database = service, service.stack.database
        self.counts: dict[str, int] = {}
        self.customer = service.template.document
        self.price = self._made("prices", product=self._made("products", name="Tea"), currency="eur", unit_amount=500)
        owner, items = self.customer["stripe_id"], [{"price": self.price}]
        subscription = self._made("subscriptions", customer=owner, items=items, trial_period_days=7)
        self.templates = {
            "customers": self.customer,
            "subscriptions": self._one("subscriptions", {"stripe_id": subscription}),
            "stripe_events": self._one("stripe_events", {"object_id": owner, "creation_key": {"$gt": ""}}),
        }

    def _one(self, name: str, where: Json) -> Json:
        found = self.database[name].find_one(where)
        assert found is not None, where
        return dict(found)

    def _made(self, path: str, **body: Any) -> str:
        more = {"recurring": {"interval": "month"}} if path == "prices" else {}
        reply = self.service.stack.service.post(f"/{path}", {**body, **more})
        assert reply.status == 201, reply.body
        return str(reply.body["stripe_id"])

    def fill(self, documents: int) -> None:
        """Let the server make them."""
        self.counts = {
            "customers": documents // 4,
            "subscriptions": documents // 4,
            "stripe_events": documents - 2 * (documents // 4),
        }
        name, owner = {"$concat": [TEXT, "@here.com"]}, {"$concat": ["cus_", TEXT]}
        alike = {
            "_id": {"$toObjectId": HEX},
            "created_at": {"$subtract": ["$created_at", {"$multiply": [INTERVAL, NUMBER]}]},
            "request.key": HEX,
        }
        customer = {**alike, **_id("cus_"), "username": name, "username_key": name, "email": name, "owners": [owner]}
        self._fill("customers", {**customer, **self._key("customers")})
        about = {"customer": owner, "stripe.customer": owner, "owners": [owner]}
        self._fill("subscriptions", {**alike, **_id("sub_"), **about, **self._key("subscriptions")})
        event = {"_id": {"$concat": ["evt_", TEXT]}, "object_id": owner, "owners": [owner], "creation_key": None}
        self._fill("stripe_events", event)

    def _key(self, name: str) -> Json:
        before, id, after = self.templates[name]["creation_key"].partition(str(self.templates[name]["_id"]))
        assert id, before
        return {"creation_key": {"$concat": [before, HEX, after]}}

    def _fill(self, name: str, own: Json) -> None:
        copy_rows(self.database, name, self.templates[name], self.counts[name], own)

    def sizes(self) -> Iterator[tuple[str, str, float]]:
        """Yield the bytes of a document in each collection, and in each index; on disk, copies compress well."""
        for name, count in self.counts.items():
            told = self.database.command("collStats", name)
            yield name, "BSON", float(told["avgObjSize"])
            yield name, "all indexes", told["totalIndexSize"] / count
            for index, size in sorted(told["indexSizes"].items(), key=lambda each: -each[1]):
                yield name, f"  {index}", size / count

    def spread(self) -> Iterator[tuple[object, ...]]:
        """Yield for each key what the fullest shard would have, of all documents and of those that come next."""
        for name, paths in KEYS.items():
            found = self.database[name].find({}, {"_id": 0, **dict.fromkeys(paths, 1)})
            stored: dict[str, list[Any]] = {path: [] for path in paths}
            for row in found:
                for path, values in stored.items():
                    values.append(row.get(path))  # an adopted customer has no username
            for path, values in stored.items():
                new = [NEXT.get((name, path), text_of)(PRIME - 1 - number) for number in range(NEW)]
                hashes = [*map(hashed, values)]
                parts = [fullest(by_hash(hashes, shards)) for shards in SHARDS]
                yield name, path, "hash", *parts, fullest(by_hash(map(hashed, new), SHARDS[-1]))
                if path == "_id" and isinstance(values[0], ObjectId):  # how Stripe draws its ids is not known
                    ordered = sorted(values)
                    ranged = [fullest(by_range(ordered, values, shards)) for shards in SHARDS]
                    yield name, path, "range", *ranged, fullest(by_range(ordered, new, SHARDS[-1]))


def _id(prefix: str) -> Json:
    return {path: {"$concat": [prefix, TEXT]} for path in ("stripe_id", "stripe.id")}


KEYS = {
    "customers": ("_id", "stripe_id", "username_key"),
    "subscriptions": ("_id", "stripe_id"),
    "stripe_events": ("_id", "object_id"),
}
NEXT: dict[tuple[str, str], Callable[[int], Any]] = {  # what a new document has, if it is no text in no order
    **{(name, "_id"): lambda number: ObjectId() for name in ("customers", "subscriptions")},
    **{(name, "stripe_id"): lambda number: None for name in ("customers", "subscriptions")},  # until it is linked
}
SPREAD = ("collection", "key", "by", *(f"of {shards} shards" for shards in SHARDS), f"of the next {NEW:,}")


class Questions:
    """The journeys that docs/scaling.md lists, each about random customers."""

    _seconds = itertools.count(int(time.time()) + 60)

    def __init__(self, rows: Rows) -> None:
        self.rows, self.count = rows, rows.counts["customers"]

    def measured(self, calls: int) -> dict[str, tuple[float, float]]:
        """Return the p50 and the p99 of each, in ms; of a batch, for each event."""
        return {
            "a webhook, in a batch of its own": _timed(calls, lambda: partial(_applied, [self._updated()])),
            f"webhooks, {TOGETHER} together, each": _timed(
                max(calls // TOGETHER, 1),
                lambda: partial(_applied, [self._updated() for _ in range(TOGETHER)]),
                TOGETHER,
            ),
            "a webhook alone": _timed(calls, lambda: partial(receive_alone, self._updated())),
            "a duplicate": _timed(calls, self._repeated),
            "an unknown object": _timed(calls, lambda: partial(_adopted, self._unknown())),
            "create a customer": _timed(calls, lambda: partial(sync.create_customer, f"{ObjectId()}@here.com")),
            "a customer by username": _timed(calls, lambda: partial(_found, self._name())),
            "access": _timed(calls, lambda: partial(_entitled, self._name(), self.rows.price)),
        }

    def _number(self) -> int:
        return random.randrange(self.count)

    def _name(self) -> str:
        return f"{text_of(self._number())}@here.com"

    def _updated(self) -> Arrival:
        """Return an event that renames a random customer."""
        known = self.rows.database.customers.find_one({"_id": id_of(self._number())})
        assert known is not None
        return self._event(known, "customer.updated", name="Eve")

    def _together(self) -> Prepared:
        return partial(_applied, [self._updated() for _ in range(TOGETHER)])

    def _unknown(self) -> Arrival:
        """Return the creation of an object that has no document."""
        return self._event(self.rows.service.template.copy(creation_key=None), "customer.created")

    def _repeated(self) -> Prepared:
        """Return the second delivery of such an event."""
        again = self._updated()
        _applied([again])
        return partial(_duplicate, again)

    def _event(self, document: Json, type: str, **changed: Any) -> Arrival:
        return arrive(self.rows.service.template.event_of(document, type, next(self._seconds), **changed))


def _timed(calls: int, prepared: Callable[[], Prepared], each: int = 1) -> tuple[float, float]:
    """Prepare and make these calls, one after the other; return the p50 and the p99 in ms, divided by `each`."""
    took = []
    for _ in range(calls):
        call = prepared()
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began) / each)
    return percentile(took, 50), percentile(took, 99)


def _applied(arrivals: Sequence[Arrival]) -> None:
    for arrival, answer in zip(arrivals, commit(arrivals), strict=True):
        assert (answer or receive_alone(arrival)) == "applied"  # alone, as ever, if MongoDB took too long for a batch


def _duplicate(arrival: Arrival) -> None:
    assert commit([arrival]) == ["duplicate"]


def _adopted(arrival: Arrival) -> None:
    assert receive_alone(arrival) == "applied"


def _found(name: str) -> None:
    assert Customer.by_username(name) is not None


def _entitled(name: str, price: str) -> None:
    assert sync.access(name, price=price)["entitled"]
