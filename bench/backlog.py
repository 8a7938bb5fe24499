"""Backlog: how fast one, two and four runs drain the backlog of an outage, in how much memory, beside live traffic.

The first table measures the service alone: Stripe's list is prepared (`bench.proxy`), and nothing is limited. In the
others Stripe limits the speed: the emulator answers 429 beyond 25 requests a second, as a sandbox does, or takes 300 ms
for each request.
"""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

from bson import ObjectId

from stripe_mongo_sync.bench.load import fire
from stripe_mongo_sync.bench.measure import conditions, peak_memory, percentile, table
from stripe_mongo_sync.bench.outage import Size, create_backlog, signed
from stripe_mongo_sync.bench.proxy import counted, stripe_proxy
from stripe_mongo_sync.bench.shop import Shop, shop
from stripe_mongo_sync.emulator.fronts.control import Control
from stripe_mongo_sync.models.rows.content import digest

SMALL, WHOLE, QUICK = Size(5_000, 5_000, 1_000), Size(100_000, 100_000, 20_000), Size(60, 250, 20)
PACED, QUICK_PACED = Size(100, 300, 400), Size(10, 250, 30)
SLOW, QUICK_SLOW = Size(10, 250, 150), Size(10, 250, 10)
LIMIT, LATENCY = 25, 0.3  # requests a second that a sandbox takes; seconds for each request
BEFORE, QUICK_BEFORE = 15.0, 1.0  # seconds of live traffic before a drain
BUSY, CALM = 0.05, 0.25  # seconds between two live requests; CALM where Stripe limits them together with the runs
POLL = 0.05  # seconds between two measurements of the memory
UNLIMITED = "1000"  # requests a second, more than a run can send
FLAT = 1.2  # at most so many times the memory with a twentieth of the backlog


@dataclass
class LiveTraffic:
    """Live traffic: a creation and a webhook in turn. Latencies are in seconds."""

    shop: Shop
    pause: float
    creations: list[float] = field(default_factory=list)
    webhooks: list[float] = field(default_factory=list)
    pending: int = 0  # creations that Stripe did not answer in time

    @contextmanager
    def going(self) -> Iterator["LiveTraffic"]:
        """Send the traffic while the block runs."""
        over = Event()
        thread = Thread(target=self._run, args=(over,))
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def _run(self, over: Event) -> None:
        model, stack = self.shop.template, self.shop.stack
        known = model.copy()
        Control(stack.stripe_url).insert("customer", known["stripe"])
        stack.database.customers.insert_one(known)
        for number in itertools.count(1):
            began = time.monotonic()
            reply = stack.service.post("/customers", {"username": f"live{ObjectId()}@here.com"})
            self.creations.append(time.monotonic() - began)
            assert reply.status in (201, 202), reply.body
            self.pending += reply.status == 202
            body = model.event_of(
                known, "customer.updated", known["snapshot_latest"] + number, name=known["stripe"]["name"]
            )
            self.webhooks += fire(stack.url, [signed(self.shop, body)], 1, status=200, says=b"applied")
            if over.wait(self.pause):
                return

    def row(self, before: "LiveTraffic") -> tuple[float, ...]:
        """Return p50 and p99 of both in ms, and the ratio of each p99 to that of `before`."""
        row: list[float] = []
        for now, then in ((self.creations, before.creations), (self.webhooks, before.webhooks)):
            row += [1000 * percentile(now, 50), 1000 * percentile(now, 99), percentile(now, 99) / percentile(then, 99)]
        return tuple(row)


@dataclass
class DrainResult:
    """The result of one or more runs that drained a backlog together."""

    runs: int
    size: Size
    seconds: float
    peaks: list[float]  # peak memory of each run, in MB
    counts: Counter[str]
    writes: float  # writes to MongoDB for each operation or event
    busiest: int  # requests in the busiest second
    refused: int  # requests that got a 429
    before: LiveTraffic
    live: LiveTraffic

    def row(self) -> tuple[object, ...]:
        """Return the row of the table."""
        rate = self.size.total / self.seconds
        cells = (
            self.runs,
            str(self.size),
            self.seconds,
            rate,
            self.writes,
            max(self.peaks),
            self.busiest,
            self.refused,
        )
        return (*cells, *self.live.row(self.before))


HEAD = (
    *("runs", "backlog", "seconds", "per second", "writes each", "peak MB", "requests/s", "429"),
    *("create p50 ms", "p99", "× before", "webhook p50 ms", "p99", "× before"),
)


def run(*, quick: bool) -> Iterator[str]:
    """Measure, and yield the tables. Raises AssertionError unless all is drained in constant memory."""
    free: list[DrainResult] = []
    for runs, size in [(2, QUICK)] if quick else [(1, SMALL), (2, SMALL), (4, SMALL), (4, WHOLE)]:
        with shop() as service:
            if not free:
                yield conditions(service.stack.database, service.mongod.dbpath, gunicorn=service.sized())
            free.append(_drained(service, size, runs, quick, "--rate", UNLIMITED))
    ratios = " · ".join(f"{d.runs} runs: {free[0].seconds / d.seconds:.2f} × as fast as one" for d in free[1:-1])
    yield "\n\n".join(filter(None, [table("No limit, Stripe at once", HEAD, [d.row() for d in free]), ratios]))
    paced: list[DrainResult] = []
    for runs in (2,) if quick else (1, 4):
        with shop() as service:
            paced.append(_drained(service, QUICK_PACED if quick else PACED, runs, quick, limit=LIMIT))
    yield table(f"At 20 requests a second for each run, where Stripe takes {LIMIT}", HEAD, [d.row() for d in paced])
    slow: list[DrainResult] = []
    for runs in (2,) if quick else (1, 4):
        with shop() as service:
            slow.append(_drained(service, QUICK_SLOW if quick else SLOW, runs, quick, delay=LATENCY))
    yield table(f"At 20 requests a second, Stripe takes {LATENCY} s for each", HEAD, [d.row() for d in slow])
    flat = max(free[-1].peaks) / max(free[-2].peaks) if len(free) > 1 else 1.0
    yield f"in sync at the end of each drain; memory: {flat:.2f} × that with a twentieth of the backlog"
    assert flat < FLAT, f"memory grows with the backlog: {[d.peaks for d in free]}"
    assert all(drained.busiest <= 21 * drained.runs for drained in (*paced, *slow)), "faster than --rate"


def _drained(
    service: Shop, size: Size, runs: int, quick: bool, *options: str, delay: float = 0.0, limit: int | None = None
) -> DrainResult:
    service.stack.reconcile()  # writes the checkpoint
    listing = create_backlog(service, size)
    pause = CALM if limit else BUSY
    before, live = LiveTraffic(service, pause), LiveTraffic(service, pause)
    with before.going():
        time.sleep(QUICK_BEFORE if quick else BEFORE)
    with stripe_proxy(service.stack.stripe_url, listing, service.stack.directory, delay) as url:
        writes, began = _writes(service), time.monotonic()
        Control(service.stack.stripe_url).limit(limit)
        with live.going():
            peaks, counts = _run(service, url, runs, *options)
        took, writes = time.monotonic() - began, _writes(service) - writes
        Control(service.stack.stripe_url).limit()
        busiest, answers = counted(url)
        _make_due(service)  # so that the next run takes what a 429 left pending
        _run(service, url, 1, "--rate", UNLIMITED)
    assert counts["send"] >= size.pending, counts
    _assert_in_sync(service, size)
    each = writes / (size.total + len(live.creations) + len(live.webhooks))
    return DrainResult(runs, size, took, peaks, counts, each, busiest, answers[429], before, live)


def _run(service: Shop, url: str, runs: int, *options: str) -> tuple[list[float], Counter[str]]:
    """Run so many drains at the same time; return the peak memory of each in MB, and the sum of their counts."""
    stack = service.stack
    with (stack.directory / "bench.log").open("ab") as log:
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "sync", "reconcile", "--json", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=stack.directory,
                env={**stack.environment, "STRIPE_API_BASE": url},
            )
            for _ in range(runs)
        ]
    peaks = [0.0] * runs
    while any(process.poll() is None for process in processes):
        peaks = [max(peak, peak_memory(process.pid)) for peak, process in zip(peaks, processes, strict=True)]
        time.sleep(POLL)
    counts: Counter[str] = Counter()
    for process in processes:
        report = json.loads(process.communicate()[0])
        assert report["exit_code"] == 0, report
        counts.update(report["counts"])
    return peaks, counts


def _writes(service: Shop) -> int:
    """Return the number of writes of that server so far, including those that matched nothing."""
    counted = service.stack.database.client.admin.command("serverStatus")["metrics"]["commands"]
    return sum(int(counted[name]["total"]) for name in ("findAndModify", "insert", "update"))


def _make_due(service: Shop) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    service.stack.database.customers.update_many(
        {"due_at": {"$type": "date"}}, {"$set": {"due_at": past, "leased_until": None}}
    )


def _assert_in_sync(service: Shop, size: Size) -> None:
    """Assert that nothing is pending, and that each document equals its object."""
    database = service.stack.database
    assert database.stripe_events.count_documents({"state": {"$in": ["received", "dead", "waiting"]}}) == 0
    assert database.stripe_events.count_documents({"_id": {"$regex": "^evt_missed_"}}) == size.missed
    assert (
        database.customers.count_documents({"$or": [{"status": {"$ne": "active"}}, {"operation": {"$ne": None}}]}) == 0
    )
    here = {row["stripe_id"]: row["digest"] for row in database.customers.find({}, {"stripe_id": 1, "digest": 1})}
    there = {remote["id"]: digest(remote) for remote in Control(service.stack.stripe_url, 120).objects("customer")}
    assert here == there, f"{len(here.items() ^ there.items())} customers are not as Stripe has them"
