"""Reconcile among a million documents: what a run costs with nothing to do, and with a thousand overdue documents.

It also explains every query of reconcile and of the API, so that no cost grows with the number of documents.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe
from bson import ObjectId
from pymongo import WriteConcern

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.bench.copies import HEX, NUMBER, copy_rows
from stripe_mongo_sync.bench.load import fire, request
from stripe_mongo_sync.bench.measure import baseline, conditions, cpu_seconds, peak_memory, percentile, table
from stripe_mongo_sync.bench.plans import HEAD, Plan, Plans
from stripe_mongo_sync.bench.shop import Json, Shop, shop
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.runs.reconcile import run_once
from stripe_mongo_sync.sync.settings import Settings

DOCUMENTS, QUICK_DOCUMENTS = 1_000_000, 2_000
OVERDUE, QUICK_OVERDUE = 1_000, 20
ROUNDS, QUICK_ROUNDS = 3, 1
POLL = 0.02  # seconds between two measurements of the memory
INTERVAL = 10  # ms between the creation of two documents
BASELINE_WRITES = 100
STATUS = "status"


@dataclass
class Job:
    """A command that runs several times, each time in its own process."""

    name: str
    arguments: list[str]
    per: int = 0  # documents or events that it must process
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    mongodb: list[float] = field(default_factory=list)
    memory: float = 0.0
    calls: int = 0  # Stripe requests of the last run


def run(*, quick: bool, documents: int | None = None) -> Iterator[str]:
    """Measure, and yield the tables. Raises AssertionError if a query scans."""
    documents = documents or (QUICK_DOCUMENTS if quick else DOCUMENTS)
    overdue, rounds = (QUICK_OVERDUE, QUICK_ROUNDS) if quick else (OVERDUE, ROUNDS)
    with shop() as service:
        service.stack.reconcile()  # writes the checkpoint
        began = time.monotonic()
        fill(service, documents)
        yield conditions(
            service.stack.database,
            service.mongod.dbpath,
            documents=f"{documents:,} active, made in {time.monotonic() - began:.0f} s",
            rounds=rounds,
        )
        yield _runs(service, overdue, rounds)
        plans = _plans(service)
        yield table(f"Plans, among {documents:,} documents", HEAD, [plan.row() for plan in plans])
    # `status` may count everything, as operators run it rarely.
    scans = [f"{plan.question}: {' ← '.join(plan.stages)}" for plan in plans if plan.scans and plan.asker != STATUS]
    assert not scans, "\n".join(["these queries examine more than they find:", *scans])


def fill(service: Shop, documents: int) -> None:
    """Let the server create this many active customers from the template."""
    model = service.template.document
    before, after = model["creation_key"].split(str(model["_id"]))
    name, stripe_id = {"$concat": [HEX, "@here.com"]}, {"$concat": ["cus_", HEX]}
    own = {
        "_id": {"$toObjectId": HEX},
        "stripe_id": stripe_id,
        "stripe.id": stripe_id,
        "creation_key": {"$concat": [before, HEX, after]},
        "request.key": HEX,
        "username": name,
        "username_key": name,
        "created_at": {"$subtract": ["$created_at", {"$multiply": [INTERVAL, NUMBER]}]},
    }
    copy_rows(service.stack.database, "customers", model, documents, own)


def _runs(service: Shop, overdue: int, rounds: int) -> str:
    start = Job("baseline: start, connect, end", ["-c", "import sync; sync.connect()"])
    idle = Job("reconcile, nothing to do", ["-m", "sync", "reconcile", "--rate", "1000", "--json"])
    busy = Job(f"reconcile, {overdue:,} overdue", idle.arguments, overdue)
    missed = Job(f"reconcile, {overdue:,} events missed", idle.arguments, overdue)
    health = Job(STATUS, ["-m", "sync", "status", "--json"])
    writes, posts = [], []
    for _ in range(rounds):
        writes += baseline(service.stack.database, BASELINE_WRITES, 1, 1_000)
        posts += _posts(service, BASELINE_WRITES)
        service.stack.stripe.clock.advance(3600)  # so that earlier events are not among the latest ones
        service.stack.stripe.dashboard.create("product", name="A new hour")
        service.stack.reconcile()
        for job in (start, idle, busy, missed, health):
            if job is busy:
                _fall_due(service, overdue)
            report = _timed(service, job)
            if job is busy:
                assert report["counts"].get("send") == overdue, report
            if job is missed:
                assert report["counts"].get("event_applied") == overdue, report
    assert service.stack.database.customers.count_documents({"status": "pending"}) == 0
    write, post = (1000 * percentile(latencies, 50) for latencies in (writes, posts))
    note = f"baseline, one at a time: a durable write {write:.2f} ms, a POST to the emulator {post:.2f} ms"
    return f"{_table([start, idle, busy, missed, health], write)}\n\n{note}"


def _table(jobs: list[Job], write: float) -> str:
    nothing = statistics.median(jobs[1].seconds)
    rows = []
    for job in jobs:
        seconds = statistics.median(job.seconds)
        each = max(0.0, 1000 * (seconds - nothing) / job.per) if job.per else 0.0
        numbers = (seconds, statistics.median(job.cpu), statistics.median(job.mongodb), job.memory)
        rows.append((job.name, *numbers, job.calls, each or "", each / write if each else ""))
    head = ("", "seconds", "CPU s", "MongoDB CPU s", "peak MB", "Stripe calls", "ms for each", "÷ durable write")
    return table("Reconcile", head, rows)


def _timed(service: Shop, job: Job) -> Json:
    stack = service.stack
    calls, mongodb, began = len(stack.stripe.requests), cpu_seconds(service.mongod.pid), time.monotonic()
    with (stack.directory / "bench.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=stack.directory,
            env=stack.environment,
        )
        used = 0.0
        while process.poll() is None:
            job.memory = max(job.memory, peak_memory(process.pid))
            used = max(used, cpu_seconds(process.pid))
            time.sleep(POLL)
    job.seconds.append(time.monotonic() - began)
    job.cpu.append(used)
    job.mongodb.append(cpu_seconds(service.mongod.pid) - mongodb)
    job.calls = len(stack.stripe.requests) - calls
    assert process.stdout
    with process.stdout:
        report: Json = json.loads(process.stdout.read() or b"{}")
    return report


def _fall_due(service: Shop, count: int) -> None:
    """Insert pending documents whose creator died before it called Stripe."""
    now, made = datetime.now(UTC), []
    for _ in range(count):
        one = service.template.copy(
            **dict.fromkeys(
                (
                    "stripe_id",
                    "stripe",
                    "digest",
                    "snapshot_earliest",
                    "snapshot_latest",
                    "confirmed_at",
                    "status_changed_by",
                )
            ),
            status="pending",
            in_doubt=True,
            due_at=now - timedelta(seconds=1),
            created_at=now,
        )
        one["operation"] = {
            "verb": "create",
            "prerequisites": [],
            "method": "post",
            "path": "/v1/customers",
            "params": {"email": one["username"], "name": "Ada"},
            "api_version": stripe.api_version,
            "key": one["creation_key"],
            "staged_at": now - timedelta(minutes=3),
            "attempts": 1,
            "outcome_unknown": False,
            "saved_error_at": None,
        }
        made.append(one)
    service.stack.database.customers.with_options(write_concern=WriteConcern("majority")).insert_many(made)


def _posts(service: Shop, count: int) -> list[float]:
    url = service.stack.stripe_url
    headers = {
        "Authorization": f"Bearer {service.stack.environment['STRIPE_SECRET_KEY']}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    requests = [request(url, "/v1/products", b"name=A+product", headers) for _ in range(count)]
    return fire(url, requests, 1, status=200)


def _plans(service: Shop) -> list[Plan]:
    """Run every kind of request once in this process, and return the plans of the queries."""
    _fall_due(service, 3)
    plans = Plans(service.stack.mongodb_uri)
    settings = Settings.from_environment(serve=True, environment=service.stack.environment)
    with ExitStack() as end:
        http = create_app(settings, listeners=(plans,)).test_client()
        end.callback(sync.disconnect)
        http.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {service.stack.service.token}"
        with plans.of("reconcile"):
            run_once()
        with plans.of("reconcile, events missed"):
            run_once()
        customers = service.stack.database.customers
        middle = customers.estimated_document_count() // 2  # in the middle of every index, where no scan is short
        known = customers.find(sort=[("is_current", 1), ("created_at", -1)]).skip(middle).limit(1).next()
        with plans.of("POST"):
            body = {"username": f"{ObjectId()}@here.com"}
            made = http.post("/customers", json=body, headers={"Idempotency-Key": "k"})
            assert made.status_code == 201, made.json
            id = made.json["id"] if made.json else ""
            assert http.post("/customers", json=body, headers={"Idempotency-Key": "k"}).status_code == 201
        for asker, address in (
            ("GET by id", str(known["_id"])),
            ("GET by Stripe id", known["stripe_id"]),
            ("GET by username", known["username"]),
            ("GET list", ""),
            ("GET next page", f"?starting_after={known['_id']}"),
            ("GET list by status", "?status=deleted"),
            ("GET list by creation", f"?created[lt]={known['stripe']['created'] + 1}"),
            ("GET list by creation, next page", f"?created[lt]=34000000000&starting_after={known['_id']}"),
            ("GET access", f"{known['username']}/access"),
            ("GET access, by product", f"{known['_id']}/access?product=prod_1"),
            ("GET invoices of a customer", f"{known['username']}/invoices"),
        ):
            with plans.of(asker):
                path = f"/customers/{address}" if address[:1].isalnum() else f"/customers{address}"
                assert http.get(path).status_code == 200, address
        with plans.of("PATCH"):
            assert http.patch(f"/customers/{id}", json={"name": "Eve"}).status_code == 200
        with plans.of("DELETE"):
            assert http.delete(f"/customers/{id}").status_code == 200
        for type in ("customer.updated", "customer.created"):
            with plans.of(f"webhook {type}"):
                _deliver(http, service, known, type)
        with plans.of("webhook, adopts"):
            _deliver(http, service, service.template.copy(creation_key=None), "customer.created")
        with plans.of(STATUS):
            status()
    return plans.found


def _deliver(http: Any, service: Shop, known: Json, type: str) -> None:
    changed = {"name": "Eve"} if type.endswith(".updated") else {}
    raw = service.template.event_of(known, type, known["snapshot_latest"] + 1, **changed)
    signature = stripe.WebhookSignature.generate_signature_header(raw.decode(), service.stack.webhook_secret)
    answer = http.post("/webhooks/stripe", data=raw, headers={"Stripe-Signature": signature})
    assert answer.status_code == 200, answer.json
