"""`/metrics`: who may read it, what it counts of the API and of Stripe, and that it names nobody."""

from math import prod
from uuid import uuid4

from flask import Flask
from prometheus_client import REGISTRY, Counter, generate_latest

from stripe_mongo_sync import sync
from stripe_mongo_sync.api import init_app
from tests.support.answers import problem
from tests.support.scraped import CLOSED, WATCH, Scrape, scrape
from tests.support.world import TOKEN, World

NAME = "ada@here.com"


def watched(world: World) -> World:
    """A world with a token that may only watch."""
    world.settings["API_TOKENS"] = f"{TOKEN}, {WATCH}, ops:operate:the-token-of-the-operators"
    world.start()
    return world


def test_who_may_watch_or_operate_reads_the_metrics_and_nobody_else(world: World) -> None:
    client = watched(world).http

    scrape(client)
    ops = client.get("/metrics", headers={"Authorization": "Bearer the-token-of-the-operators"})
    assert ops.status_code == 200
    assert "`metrics`" in problem(client.get("/metrics"), 403, "forbidden")["detail"]
    problem(world.app.test_client().get("/metrics"), 401, "unauthorized")
    for path in ("/status", "/customers", "/operations"):
        problem(client.get(path, headers={"Authorization": "Bearer the-token-of-the-watch"}), 403, "forbidden")


def test_every_metric_is_told_from_the_beginning(world: World) -> None:
    told = scrape(watched(world).http)

    assert {*told.families} | {"stripe_sync_operations"} == {*CLOSED}
    for name in ("webhooks", "stripe_requests", "events", "oldest_due_seconds", "hook_deliveries"):
        values = CLOSED[f"stripe_sync_{name}"].values()
        assert len(told.families[f"stripe_sync_{name}"].samples) == prod(map(len, values)), "so its first rise is seen"


def test_what_is_asked_and_answered_is_counted_and_names_nobody(world: World) -> None:
    client = watched(world).http
    before = scrape(client)

    customer = sync.create_customer(NAME)
    assert client.get("/healthz").status_code == 200, "it is not counted: probes would outnumber the callers"
    assert client.get(f"/customers/{NAME}").status_code == 200
    assert client.get(f"/customers/{uuid4().hex}").status_code == 404
    assert client.patch(f"/customers/{NAME}", json={"name": "Ada"}).status_code == 200
    world.stripe.fault("decline", method="POST")
    assert client.patch(f"/customers/{NAME}", json={"name": "Countess"}).status_code == 402
    world.stripe.fault("cut_after", method="POST", times=2)
    assert client.patch(f"/customers/{NAME}", json={"name": "Lady"}).status_code == 202

    told = scrape(client)
    text = str(told.samples)
    assert NAME not in text
    assert str(customer.id) not in text
    assert customer.stripe_id not in text
    assert told.since(before, "http_request_seconds_count") == {("2xx",): 3.0, ("4xx",): 2.0}
    assert told.since(before, "operations_total") == {
        ("customer", "done", "create"): 1,
        ("customer", "done", "update"): 1,
        ("customer", "refused", "update"): 1,
        ("customer", "pending", "update"): 1,
    }
    asked = told.since(before, "stripe_requests_total")
    assert {key: asked[key] for key in asked if key[0] == "post"} == {
        ("post", "reply"): 2, ("post", "refusal"): 1, ("post", "unknown"): 2
    }  # fmt: skip
    assert told.since(before, "stripe_request_seconds_count") == {(): sum(asked.values())}


def test_a_mounted_application_tells_what_its_process_counted(world: World) -> None:
    watched(world)
    host = Flask("shop")
    init_app(host, api=True, settings=world.read)
    told = host.test_client().get("/billing/metrics", headers={"Authorization": "Bearer the-token-of-the-watch"})
    alone = Flask("another")
    init_app(alone, settings=world.read)

    assert Scrape(told.text).value("mongodb_up") == 1
    assert alone.test_client().get("/billing/metrics").status_code == 404, "it serves the webhook alone"


def test_the_metrics_of_the_host_are_not_told(world: World) -> None:
    """Nor are ours among its own: a host may serve the default registry to everybody."""
    theirs = Counter("shop_logins", "Who came.", ["username"])
    theirs.labels(NAME).inc()
    try:
        scrape(watched(world).http)
        assert b"stripe_sync_" not in generate_latest()
    finally:
        REGISTRY.unregister(theirs)
