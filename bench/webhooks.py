"""Webhooks: how many signed events a second the service stores and applies, and at what cost."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from stripe_mongo_sync.bench.load import fire, signed
from stripe_mongo_sync.bench.measure import WARM_UP, baseline, compared, conditions
from stripe_mongo_sync.bench.sale import sell
from stripe_mongo_sync.bench.shop import Json, Shop, shop
from stripe_mongo_sync.bench.siege import SILENT, SLOW, siege

CONNECTIONS, QUICK_CONNECTIONS = (16, 64, 256), (16,)
ROUNDS, QUICK_ROUNDS = 5, 1
EVENTS, QUICK_EVENTS = 2_000, 20  # in a round; a tenth of them in a round of one at a time
APPLIED, DUPLICATE, ANY = b"applied", b"duplicate", b"state"

Load = Callable[[int, int], tuple[Sequence[bytes], bytes, Callable[[], None]]]
"""(events, second) -> the bodies, what each answer says, and what proves that they were applied."""


def run(
    *, quick: bool, rounds: int | None = None, events: int | None = None, connections: Sequence[int] = ()
) -> Iterator[str]:
    """Measure, and yield the tables."""
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    events = events or (QUICK_EVENTS if quick else EVENTS)
    connections = connections or (QUICK_CONNECTIONS if quick else CONNECTIONS)
    with shop() as service:
        loads = Loads(service)
        yield conditions(
            service.stack.database,
            service.mongod.dbpath,
            gunicorn=service.sized(),
            rounds=f"{rounds} of {events:,} events of {loads.size:,} bytes",
        )
        measure = _Measure(service, rounds, loads.size)
        all_of_them: dict[str, Load] = {
            "customer.updated": loads.updated,
            "customer.created, confirms": loads.confirmed,
            "a duplicate": loads.repeated,
            "all about one customer": loads.burst,
            "sales: four types, orders": loads.sales,
        }
        for number in connections:
            title = f"Webhooks: signed events, each stored and applied, {number} connections"
            yield measure(title, events, number, all_of_them)
        one = {"customer.updated": loads.updated}
        yield measure("Webhooks, one at a time", max(events // 10, 1), 1, one)
        with siege(service.stack.url):
            title = (
                f"Webhooks beside {SLOW} slow bodies and {SILENT:,} silent connections, {connections[0]} connections"
            )
            yield measure(title, events, connections[0], one)


class _Measure:
    """Measures loads turn by turn with the baseline, round by round, and returns their table."""

    def __init__(self, service: Shop, rounds: int, size: int) -> None:
        self._service, self._rounds, self._size = service, rounds, size
        self._seconds = itertools.count(int(time.time()) + 60, 2_000)  # each later than what is stored

    def __call__(self, title: str, events: int, connections: int, loads: Mapping[str, Load]) -> str:
        stack = self._service.stack
        written, meters = self._service.own_meter(), {name: self._service.meter() for name in loads}
        for second in itertools.islice(self._seconds, WARM_UP + self._rounds):
            with written.round() as latencies:
                latencies += baseline(stack.database, events, connections, self._size)
            for name, load in loads.items():
                bodies, says, prove = load(events, second)
                requests = [signed(stack.url, "/webhooks/stripe", body, stack.webhook_secret) for body in bodies]
                with meters[name].round() as latencies:
                    latencies += fire(stack.url, requests, connections, status=200, says=says)
                prove()
        return compared(title, {"baseline: one durable write": written, **meters})


class Loads:
    """What is sent; all but duplicates are about documents of their own."""

    def __init__(self, service: Shop) -> None:
        self._template, self._database, self._sale = service.template, service.stack.database, sell(service)
        self._last: Sequence[bytes] = ()
        self.size = len(self._template.event_of(self._template.document, "customer.updated", 0, name="x"))

    def updated(self, count: int, second: int) -> tuple[Sequence[bytes], bytes, Callable[[], None]]:
        """Change the name of so many customers."""
        customers, name = self._seed(count), f"Ada {second}"
        self._last = bodies = [self._template.event_of(c, "customer.updated", second, name=name) for c in customers]

        def prove() -> None:
            assert self._customers(customers, name=name) == count
            assert self._events(bodies, state="applied") == count

        return bodies, APPLIED, prove

    def confirmed(self, count: int, second: int) -> tuple[Sequence[bytes], bytes, Callable[[], None]]:
        """Confirm so many customers, which the service created."""
        customers = self._seed(count, confirmed_at=None)
        bodies = [self._template.event_of(each, "customer.created", second) for each in customers]

        def prove() -> None:
            assert self._customers(customers, confirmed_at={"$type": "date"}) == count
            assert self._events(bodies, state="applied") == count

        return bodies, APPLIED, prove

    def repeated(self, count: int, second: int) -> tuple[Sequence[bytes], bytes, Callable[[], None]]:
        """Send again what `updated` sent in this round."""
        bodies, rows = self._last, self._events(self._last)

        def prove() -> None:
            assert self._events(bodies, state="applied") == rows == count

        return bodies, DUPLICATE, prove

    def burst(self, count: int, second: int) -> tuple[Sequence[bytes], bytes, Callable[[], None]]:
        """Change one customer up to 1,000 times, a second after the other; many arrive when a later one did."""
        customers, changes = self._seed(1), min(count, 1_000)
        bodies = [
            self._template.event_of(customers[0], "customer.updated", second + number, name=f"Ada {second + number}")
            for number in range(changes)
        ]

        def prove() -> None:
            assert self._customers(customers, name=f"Ada {second + changes - 1}") == 1
            assert self._events(bodies, state={"$in": ["applied", "stale"]}) == changes

        return bodies, ANY, prove

    def sales(self, count: int, second: int) -> tuple[Sequence[bytes], bytes, Callable[[], None]]:
        """Pay orders: a charge, its payment intent, and the customer change, until there are so many events."""
        bodies: list[bytes] = []
        seeded: dict[str, list[Json]] = {}
        while len(bodies) < count:
            documents, told = self._sale.copy(second)
            bodies += told
            for name, rows in documents.items():
                seeded.setdefault(name, []).extend(rows)
        for name, rows in seeded.items():
            self._database[name].insert_many(rows)

        def prove() -> None:
            orders = {"_id": {"$in": [each["_id"] for each in seeded["orders"]]}}
            assert self._database.orders.count_documents({**orders, "payment_status": "paid"}) == len(seeded["orders"])
            assert self._customers(seeded["customers"], name="Ada King") == len(seeded["customers"])
            assert self._events(bodies, state="applied") == len(bodies)

        return bodies, APPLIED, prove

    def _seed(self, count: int, **changes: object) -> list[Json]:
        made = [self._template.copy(**changes) for _ in range(count)]
        self._database.customers.insert_many(made)
        return made

    def _customers(self, among: Sequence[Json], **wanted: object) -> int:
        ids = [document["_id"] for document in among]
        return self._database.customers.count_documents({"_id": {"$in": ids}, **wanted})

    def _events(self, bodies: Sequence[bytes], **wanted: object) -> int:
        ids = [json.loads(body)["id"] for body in bodies]
        return self._database.stripe_events.count_documents({"_id": {"$in": ids}, **wanted})
