"""Peers: the same webhooks, turn by turn, to this service and to sync-engine 0.48.5 with PostgreSQL.

A round sends distinct `customer.updated` events about customers that both sides know; all connections are opened at
once. sync-engine keeps no event: it writes the customer. This service keeps each event, too, and both write durably.
"""

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Protocol

from stripe_mongo_sync.bench.load import fire, signed
from stripe_mongo_sync.bench.measure import WARM_UP, conditions, cpu_seconds, percentile, table
from stripe_mongo_sync.bench.shop import Json, Shop, Template, shop
from stripe_mongo_sync.bench.sync_engine import Postgres, SyncEngine, install, missing

ROUNDS, QUICK_ROUNDS = 5, 1
EVENTS, QUICK_EVENTS = 2_000, 300  # in a round; more than the largest number of connections
CONNECTIONS = (16, 64, 256)
OURS = "stripe-mongo-sync"
PROCESSES = (1, 2)  # of both: on two cores, which is faster depends on the number of connections
HEAD = ("", "per second", "least", "most", "p50 ms", "p99 ms", "CPU ms service", "database", "rate ÷ best peer")


class Subject(Protocol):
    """What takes webhooks at an address, and can be asked what came of them."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def secret(self) -> str: ...

    def used(self) -> tuple[float, float]:
        """Return the seconds of processor time so far of the service and of its database."""

    def prove(self, name: str, second: int, count: int) -> None:
        """Assert that so many customers have this name, by events of this second."""


class Sample(NamedTuple):
    """The numbers of one round, or their medians."""

    per_second: float
    p50: float  # ms
    p99: float  # ms
    service: float  # processor time in ms for each event
    database: float


class Ours:
    """This service as `bench.shop` runs it."""

    path = "/webhooks/stripe"

    def __init__(self, service: Shop) -> None:
        workers = len(service.stack.workers())
        self.name = f"{OURS}, {workers} worker{'s' * (workers > 1)}"
        self._service = service
        self.url, self.secret = service.stack.url, service.stack.webhook_secret

    def seed(self, customers: Sequence[Json]) -> None:
        """Store customers that are known before the first round."""
        self._service.stack.database.customers.insert_many(customers)

    def used(self) -> tuple[float, float]:
        """Return the seconds of processor time so far of gunicorn's workers and of MongoDB."""
        return cpu_seconds(*self._service.stack.workers()), cpu_seconds(self._service.mongod.pid)

    def prove(self, name: str, second: int, count: int) -> None:
        """Assert that each event was kept and applied."""
        database = self._service.stack.database
        written = database.customers.count_documents({"name": name})
        kept = database.stripe_events.count_documents({"created": second, "state": "applied"})
        assert written == kept == count, f"{written} documents and {kept} applied events of {count}"


def run(
    *, quick: bool, rounds: int | None = None, events: int | None = None, connections: Sequence[int] = ()
) -> Iterator[str]:
    """Measure, and yield the table; yield what is missing if this machine cannot run the peer."""
    if lacks := missing():
        yield "\n".join(["Peers: not measured. This machine lacks", *(f"  {each}" for each in lacks)])
        return
    install()
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    events = events or (QUICK_EVENTS if quick else EVENTS)
    with ExitStack() as all_of_it:
        services = [all_of_it.enter_context(shop(number)) for number in PROCESSES]
        postgres, service = all_of_it.enter_context(Postgres()), services[0]
        peers = [all_of_it.enter_context(SyncEngine(postgres, number).running()) for number in PROCESSES]
        size = len(service.template.event_of(service.template.document, "customer.updated", 0, name="x"))
        yield conditions(
            service.stack.database,
            service.mongod.dbpath,
            PostgreSQL=postgres.ask("show server_version"),
            rounds=f"{rounds} of {events:,} events of {size:,} bytes",
        )
        ours, customers = [Ours(each) for each in services], [service.template.copy() for _ in range(events)]
        for each in ours:
            each.seed(customers)
        measured = _measured(service.template, customers, [*ours, *peers], rounds, connections or CONNECTIONS)
        yield _compared(measured)


Samples = dict[tuple[int, str], list[Sample]]  # by number of connections and name


def _measured(
    template: Template, customers: Sequence[Json], subjects: Sequence[Subject], rounds: int, connections: Sequence[int]
) -> Samples:
    measured = Samples()
    seconds = itertools.count(int(time.time()) + 60)  # later than every second of the documents
    for number in connections:
        for second in itertools.islice(seconds, WARM_UP + rounds):
            name = f"Ada {second}"
            bodies = [template.event_of(each, "customer.updated", second, name=name) for each in customers]
            for subject in subjects:
                sample = _round(subject, bodies, number)
                subject.prove(name, second, len(customers))
                measured.setdefault((number, subject.name), []).append(sample)
    return measured


def _round(subject: Subject, bodies: Sequence[bytes], connections: int) -> Sample:
    requests = [signed(subject.url, subject.path, body, subject.secret) for body in bodies]
    before, began = subject.used(), time.monotonic()
    latencies = fire(subject.url, requests, connections, status=200)
    took, after = time.monotonic() - began, subject.used()
    service, database = (1000 * (now - then) / len(bodies) for then, now in zip(before, after, strict=True))
    p50, p99 = (1000 * percentile(latencies, percent) for percent in (50, 99))
    return Sample(len(bodies) / took, p50, p99, service, database)


def _compared(measured: Samples) -> str:
    medians = {
        key: Sample(*map(statistics.median, zip(*samples[WARM_UP:], strict=True))) for key, samples in measured.items()
    }
    rows = []
    for (number, name), median in medians.items():
        rates = [sample.per_second for sample in measured[number, name][WARM_UP:]]
        best = max(other.per_second for (at, who), other in medians.items() if at == number and OURS not in who)
        spread = (min(rates), max(rates))
        rows.append(
            (f"{name}, {number} connections", median.per_second, *spread, *median[1:], median.per_second / best)
        )
    return table("Peers: customer.updated, signed, each round in turn", HEAD, rows)
