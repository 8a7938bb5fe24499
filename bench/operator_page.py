"""The operator's page among a million customers and events: how long each page takes, and what MongoDB examines for it.

A page of a list may examine what it shows, a chart what it counts; a search finds its row by an index.
"""

import re
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from pymongo import timeout

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import create_app
from stripe_mongo_sync.bench.measure import conditions, table
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.models import Customer, Delivery, Event
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.sync.settings import Settings

Json = dict[str, Any]
DOCUMENTS, QUICK_DOCUMENTS = 1_000_000, 2_000  # customers, and as many events; a tenth of deliveries
BATCH = 10_000  # rows of one insert
HOUR = 3600  # s that filling a collection may take
TIMES, QUICK_TIMES = 7, 2  # each page is loaded
TOKEN = "a-token-to-measure-the-page-with"
BODY = b'{"id": "evt", "data": {"object": {"id": "cus"}}}' + b" " * 1500  # bytes of an event
NAME = "user77@here.com"


def customer(number: int, now: datetime) -> Json:
    """Return a customer; one of a thousand is due, and one of ten thousand in review."""
    name, waits = f"user{number}@here.com", number % 1000 == 7
    return {
        "_id": ObjectId(),
        "revision": 1,
        "status": "active",
        "is_current": True,
        "stripe_id": f"cus_{number:014}",
        "username": name,
        "username_key": name,
        "email": name,
        "created_at": now - timedelta(seconds=number),
        "updated_at": now,
        "confirmed_at": now,
        "owners": [f"cus_{number:014}"],
        "stripe": {"id": f"cus_{number:014}", "created": 1_700_000_000 + number, "object": "customer", "email": name},
        "due_at": now - timedelta(seconds=number % 9000) if waits else None,
        "due_reason": "retry" if waits else None,
        "review_reason": "an operator must decide" if number % 10_000 == 9 else None,
        "orphans": [],
        "undone_orphans": [],
    }


def event(number: int, now: datetime) -> Json:
    """Return an event: of a million, fifty thousand are of the last hour; one of a thousand is dead."""
    at = now - timedelta(seconds=number * 0.07)
    dead, whose = number % 1000 == 3, f"cus_{number // 200 if number < 200 * 1000 else number:014}"
    return {
        "_id": f"evt_{number:020}",
        "type": "customer.updated" if number % 3 else "customer.created",
        "created": int(at.timestamp()) - 1,
        "object_id": whose,
        "creation_key": None,
        "owners": [whose],
        "raw": BODY,
        "state": "dead" if dead else "applied",
        "reason": "it failed" if dead else None,
        "via": "webhook",
        "attempts": 15 if dead else 1,
        "received_at": at,
        "finished_at": None if dead else at,
        "due_at": None,
    }


def delivery(number: int, now: datetime) -> Json:
    """Return a delivery; one of a hundred is dead, and one of a thousand pending."""
    state = "dead" if number % 100 == 3 else "pending" if number % 1000 == 5 else "done"
    return {
        "_id": f"{number:024}:1:customer.active:shop.hooks.welcome",
        "notice": f"{number:024}:1:customer.active",
        "name": "customer.active",
        "occurred_at": now - timedelta(seconds=number),
        "hook": "shop.hooks.welcome",
        "kind": "customer",
        "owners": [f"{number:024}"],
        "state": state,
        "attempts": 1,
        "replays": 0,
        "due_at": now if state == "pending" else None,
        "dead_at": now if state == "dead" else None,
        "reason": None,
        "finished_at": now if state == "done" else None,
    }


def fill(model: type[OwnRows], rows: Iterator[Json]) -> None:
    """Insert the rows, and build the indexes afterwards, which takes a fraction of the time."""
    with timeout(HOUR):
        model.insert_collection()
        collection = model._get_collection()
        collection.drop_indexes()
        while batch := list(islice(rows, BATCH)):
            collection.insert_many(batch, ordered=False)
        collection.create_indexes(model.wanted(sync.current().settings.retention))


def logged_in(app: Flask) -> FlaskClient:
    """Return a client with a session."""
    client = app.test_client()
    found = re.search(r'name="form_word" value="(\w+)"', client.get("/ops/login").text)
    word = found[1] if found else ""
    assert client.post("/ops/login", data={"form_word": word, "token": TOKEN}).status_code == 303
    return client


def places() -> Iterator[tuple[str, str]]:
    """Yield the pages, with their names."""
    one = Customer.by_username(NAME)
    assert one is not None
    dead = f"evt_{3:020}"
    yield from (
        ("overview", "/"),
        ("documents", "/documents"),
        ("documents, active", "/documents?kind=customer&status=active"),
        ("documents, none", "/documents?kind=customer&status=rolled_back"),
        ("documents, a page later", f"/documents?after={one.id}"),
        ("search by username and e-mail", f"/search?q={NAME.upper()}"),
        ("search by an unknown address", "/search?q=nobody@here.com"),
        ("search by Stripe's id", f"/search?q={one.stripe_id}"),
        ("search by our id", f"/search?q={one.id}"),
        ("search by an event", f"/search?q={dead}"),
        ("one document, with 200 events", f"/documents/customer/{one.id}"),
        ("events", "/events"),
        ("events, dead", "/events?state=dead"),
        ("events, by type", "/events?type=customer.c*"),
        ("events, by a type that none has", "/events?type=invoice.*"),
        ("events, by object", f"/events?object={one.stripe_id}"),
        ("one event", f"/events/evt_{1:020}"),
        ("deliveries", "/deliveries"),
        ("deliveries, dead", "/deliveries?state=dead"),
        ("review", "/review"),
        ("unfinished", "/review?all="),
    )


def run(*, quick: bool, documents: int | None = None) -> Iterator[str]:
    """Load each page some times, and yield the table."""
    documents = documents or (QUICK_DOCUMENTS if quick else DOCUMENTS)
    with Mongod() as mongod:
        own = {"STRIPE_SECRET_KEY": "sk_test_bench", "STRIPE_WEBHOOK_SECRET": "whsec_bench", "API_RATE": "0"}
        own |= {"MONGODB_URI": mongod.uri("bench"), "API_TOKENS": f"ann:read+operate:{TOKEN}"}
        settings = Settings.from_environment(environment=own)
        app = create_app(settings, api=False, ops=True)
        try:
            now = datetime.now(UTC)
            fill(Customer, (customer(number, now) for number in range(documents)))
            fill(Event, (event(number, now) for number in range(documents)))
            fill(Delivery, (delivery(number, now) for number in range(documents // 10)))
            client = logged_in(app)
            rows = [_measured(client, *place, QUICK_TIMES if quick else TIMES) for place in places()]
            told = f"{documents:,} customers and events, {documents // 10:,} deliveries"
            yield conditions(Customer._get_db(), mongod.dbpath, documents=told)
        finally:
            sync.disconnect()
    yield table(
        "The operator's page", ("page", "median ms", "worst ms", "commands", "documents examined at most"), rows
    )


def _measured(client: FlaskClient, name: str, path: str, times: int) -> tuple[str, str, str, int, str]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        response = client.get(f"/ops{path}")
        took.append(1000 * (time.perf_counter() - began))
        assert response.status_code in (200, 302), (path, response.status_code)
    commands, examined = _profiled(client, path)
    return name, f"{statistics.median(took):.0f}", f"{max(took):.0f}", commands, f"{examined:,}"


def _profiled(client: FlaskClient, path: str) -> tuple[int, int]:
    """Return how many commands MongoDB gets for a page, and the most documents that one of them examines.

    Raises AssertionError if one scans a collection of ours that has many documents.
    """
    database = Customer._get_db()
    database.command("profile", 2)
    client.get(f"/ops{path}")
    database.command("profile", 0)
    profile = database["system.profile"]
    ours = {"ns": {"$not": re.compile("system.profile")}, "docsExamined": {"$exists": True}}
    found = [*profile.find(ours, {"docsExamined": 1, "planSummary": 1, "ns": 1})]
    profile.drop()
    for one in found:
        assert "COLLSCAN" not in one.get("planSummary", "") or one["docsExamined"] <= 100, one
    return len(found), max((one["docsExamined"] for one in found), default=0)
