"""Backfill and the full comparison: how many objects a second, in how much memory, beside one bulk insert of them.

Each runs in its own process. Its speed is measured with pages made from a template: the emulator sorts the whole list
for each page, so at 100,000 objects the benchmark would measure the emulator. That the backfill copies everything is
proved with the emulator itself, where it is killed twice.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from pymongo import MongoClient, WriteConcern
from pymongo.database import Database

from stripe_mongo_sync.bench.measure import conditions, cpu_seconds, peak_memory, table
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import ROOT
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.sync.runs.walk import TOGETHER

SIZES, QUICK_SIZES = (10_000, 100_000), (3_000,)
BATCH = 1_000  # rows of one insert of the baseline
PAGE = 100
LARGEST_PROOF = 100_000  # the emulator sorts the whole list for each page
INTERVAL = 60  # seconds between the creation of two customers
POLL = 0.02  # seconds between two measurements of the memory
FLAT = 1.1  # at most so many times the memory of the smallest account
KEY = "sk_test_bench"
TIMEOUT = 600.0  # seconds until a held page must have been requested

Json = dict[str, Any]


class Pages(ThreadingHTTPServer):
    """Serves Stripe's list of so many customers, each page made from a template, and empty lists of all other types."""

    daemon_threads = True

    def __init__(self, size: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.size, stripe = size, Emulator()
        self.account = json.dumps({"object": "account", "id": stripe.account}).encode()
        self._newest = int(stripe.clock.now()) - 3600
        marks = {"line1": "@line1", "city": "Berlin", "country": "DE", "postal_code": "10115"}
        made = stripe.insert("customer", created=0, email="@number@here.com", name="Ada @number", address=marks)
        self._template = json.dumps({**made, "id": "@id", "created": "@created"}).replace('"@created"', "@created")

    def customer(self, number: int) -> str:
        """Return the JSON of one; the greater the number, the younger it is."""
        values = {"@id": f"cus_Bench{number:012}", "@created": str(self._newest - INTERVAL * (self.size - number))}
        text = self._template
        for mark, value in {**values, "@line1": f"Street {number}", "@number": str(number)}.items():
            text = text.replace(mark, value)
        return text

    def page(self, cursor: str) -> bytes:
        """Return the page after this customer."""
        after = int(cursor.removeprefix("cus_Bench")) if cursor else self.size
        data = ", ".join(map(self.customer, range(after - 1, max(after - 1 - PAGE, -1), -1)))
        more = json.dumps(after > PAGE)
        return f'{{"object": "list", "url": "/v1/customers", "has_more": {more}, "data": [{data}]}}'.encode()

    def __enter__(self) -> Self:
        self._thread = Thread(target=self.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body together
    server: Pages

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        cursor = parse_qs(asked.query).get("starting_after", [""])[0]
        if asked.path == "/v1/customers" and "test_clock" not in asked.query:
            body = self.server.page(cursor)
        elif asked.path == "/v1/account":
            body = self.server.account
        else:
            body = json.dumps({"object": "list", "url": asked.path, "has_more": False, "data": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the log would be measured, too."""


@dataclass
class Account:
    """A Stripe account with this many customers, and the database that they are copied into."""

    size: int
    mongod: Mongod
    database: Database[Any]
    directory: Path

    def command(self, url: str, *line: str) -> subprocess.Popen[bytes]:
        """Start a command, by default a backfill, that reads from this address."""
        with (self.directory / "backfill.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "sync", *(line or ("backfill", "customers")), "--rate", "1000", "--json"],
                cwd=self.directory,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT),
                    "STRIPE_SECRET_KEY": KEY,
                    "STRIPE_API_BASE": url,
                    "MONGODB_URI": self.mongod.uri(self.database.name),
                },
                stdout=subprocess.PIPE,
                stderr=log,
            )


def run(*, quick: bool, documents: int | None = None) -> Iterator[str]:
    """Measure, and yield the tables. Raises AssertionError unless all is copied in constant memory."""
    sizes = (documents,) if documents else QUICK_SIZES if quick else SIZES
    with (
        Mongod() as mongod,
        tempfile.TemporaryDirectory() as directory,
        MongoClient[Any](mongod.uri("bench")) as client,
    ):
        yield conditions(client.get_default_database(), mongod.dbpath, Stripe="pages made in this process")
        rows, proofs, peaks = [], [], []
        for size in sizes:
            account = Account(size, mongod, client[f"bench_{size}"], Path(directory))
            measured, peak = _measured(account)
            rows += measured
            peaks.append(peak)
            client.drop_database(account.database.name)
            if size <= LARGEST_PROOF:
                proofs.append(_proof(account))
                client.drop_database(account.database.name)
        head = ("", "objects", "seconds", "per second", "CPU s", "MongoDB CPU s", "peak MB", "rate ÷ baseline")
        yield table("Backfill, and a full comparison", head, rows)
        yield "\n".join([*proofs, f"memory: {peaks[-1] / peaks[0]:.2f} × that of the smallest account"])
    assert quick or peaks[-1] < FLAT * peaks[0], f"memory grows with the account: {peaks}"


def _account(size: int) -> Emulator:
    stripe = Emulator()
    now = int(stripe.clock.now())
    for number in range(size):
        born = now - 3600 - INTERVAL * (size - number)
        stripe.insert("customer", created=born, email=f"{number}@here.com", name=f"Ada {number}")
    return stripe


def _measured(account: Account) -> tuple[list[tuple[object, ...]], float]:
    size = account.size
    with Pages(size) as stripe:
        began = time.monotonic()
        assert _read(stripe.url) == size
        listing = time.monotonic() - began
        copied, backfill = _timed(account, stripe.url)
        assert copied["counts"] == {"adopt": size}, copied
        _assert_equal(account, map(stripe.customer, range(size)))
        compared, full = _timed(account, stripe.url, "reconcile", "--full", "--owner-reads", "1")
        assert (any(compared["counts"].values()), compared["exit_code"]) == (False, 0), compared
    baseline, baseline_cpu = _baseline(account)
    rows: list[tuple[object, ...]] = [
        ("baseline: bulk insert", size, baseline, size / baseline, "", baseline_cpu, "", 1.0),
        ("the list, read and parsed", size, listing, size / listing, "", "", "", baseline / listing),
    ]
    for name, (took, *used) in {"backfill": backfill, "reconcile --full, all equal": full}.items():
        rows.append((name, size, took, size / took, *used, baseline / took))
    return rows, max(backfill[-1], full[-1])


def _timed(account: Account, url: str, *line: str) -> tuple[Json, tuple[float, float, float, float]]:
    """Run a command; return its report, its seconds, its CPU time and MongoDB's, and its peak memory."""
    mongodb, began = cpu_seconds(account.mongod.pid), time.monotonic()
    process, peak, used = account.command(url, *line), 0.0, 0.0
    while process.poll() is None:
        peak, used = max(peak, peak_memory(process.pid)), max(used, cpu_seconds(process.pid))
        time.sleep(POLL)
    took = time.monotonic() - began
    return _report(process), (took, used, cpu_seconds(account.mongod.pid) - mongodb, peak)


def _report(process: subprocess.Popen[bytes]) -> Json:
    out, _ = process.communicate()
    return dict(json.loads(out))


def _baseline(account: Account) -> tuple[float, float]:
    """Insert the same documents, a thousand at once, into a collection that has no index; return the seconds."""
    rows = account.database.get_collection("baseline", write_concern=WriteConcern("majority"))
    took, used = 0.0, cpu_seconds(account.mongod.pid)
    for batch in _batches(account.database.customers.find()):
        began = time.monotonic()
        rows.insert_many(batch, ordered=False)
        took += time.monotonic() - began
    return took, cpu_seconds(account.mongod.pid) - used


def _batches(rows: Iterable[Json]) -> Iterator[list[Json]]:
    batch: list[Json] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _proof(account: Account) -> str:
    """Kill a backfill twice, run it to its end, and return the proof that everything was copied."""
    stripe = _account(account.size)
    with Server(stripe) as server:
        for _ in range(2):
            skip = account.size // PAGE // 3
            held = stripe.fault("hold", method="GET", path="/v1/customers", skip=skip)
            process = account.command(server.url)
            assert held.entered.wait(TIMEOUT), "the page was not requested"
            process.send_signal(signal.SIGKILL)
            process.communicate()
            held.release()
        report = _report(account.command(server.url))
    assert (report["resumed"], report["exit_code"], sum(report["counts"].values())) == (True, 0, account.size), report
    assert report["counts"].get("same", 0) <= 2 * TOGETHER * PAGE, f"a kill costs what was stored at once: {report}"
    same = _assert_equal(account, map(json.dumps, stripe.objects("customer")))
    return f"{account.size:,} objects, killed twice: equal to the emulator's list, {same[:12]} on both sides"


def _assert_equal(account: Account, listed: Iterable[str]) -> str:
    """Assert that the documents are Stripe's objects, and return the digest of all of them."""
    live = account.database.customers.find({"is_current": True}, {"stripe_id": 1, "digest": 1})
    here = _digest(f"{row['stripe_id']} {row['digest']}" for row in live)
    there = _digest(f"{remote['id']} {digest(remote)}" for remote in map(json.loads, listed))
    assert here == there, "not what Stripe lists"
    return here


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _read(url: str) -> int:
    """Read the whole list without storing it; return the number of its objects."""
    connection, count = HTTPConnection(urlsplit(url).netloc), 0
    query: dict[str, Any] = {"limit": PAGE}
    while True:
        connection.request("GET", f"/v1/customers?{urlencode(query)}", headers={"Authorization": f"Bearer {KEY}"})
        page = json.loads(connection.getresponse().read())
        count += len(page["data"])
        if not page["has_more"]:
            connection.close()
            return count
        query["starting_after"] = page["data"][-1]["id"]
