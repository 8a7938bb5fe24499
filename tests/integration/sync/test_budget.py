"""What things cost: round trips to MongoDB and calls of Stripe, counted from outside."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import pytest

from stripe_mongo_sync import sync
from tests.support import samples
from tests.support.heard import Heard
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

WRITES = {"insert", "update", "delete", "findAndModify"}
NAME = "user@here.com"


@dataclass
class Cost:
    """What a block cost."""

    mongo: list[str] = field(default_factory=list)
    stripe: list[str] = field(default_factory=list)

    @property
    def writes(self) -> list[str]:
        return [name for name in self.mongo if name in WRITES]


Measure = Callable[[], AbstractContextManager[Cost]]


@pytest.fixture
def metered(database: str) -> Iterator[tuple[World, Measure]]:
    """A world whose account is known and whose events are delivered, and what measures a block in it."""
    meter = Heard()
    world = World(database, listeners=(meter,))

    @contextmanager
    def cost() -> Iterator[Cost]:
        told, before, asked = Cost(), len(meter.commands), len(world.stripe.requests)
        yield told
        told.mongo = meter.commands[before:]
        told.stripe = [f"{request.method} {request.path}" for request in world.stripe.requests[asked:]]

    sync.create_customer("somebody@here.com")
    world.deliver()
    world.reconcile()
    yield world, cost
    assert_in_sync(world)
    world.stop()


def test_a_creation_is_two_durable_writes_and_one_call(metered: tuple[World, Measure]) -> None:
    world, cost = metered

    with cost() as told:
        assert world.http.post("/customers", json={"username": NAME}).status_code == 201

    assert told.mongo == ["findAndModify", "findAndModify"]
    assert told.stripe == ["POST /v1/customers"]


def test_a_webhook_is_three_round_trips_and_no_call(metered: tuple[World, Measure]) -> None:
    world, cost = metered
    customer = sync.create_customer(NAME)
    (created,) = world.webhooks()
    with cost() as told:
        world.deliver([created])
    assert (told.mongo, told.stripe) == (["aggregate", "update", "aggregate"], [])

    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    with cost() as told:
        assert world.deliver() == ["applied"]
    assert (told.mongo, told.stripe) == (["aggregate", "update", "aggregate"], [])
    assert customer.fetch_latest().name == "new"


def test_an_event_twice_or_not_for_us_costs_no_more(metered: tuple[World, Measure]) -> None:
    world, cost = metered
    sync.create_customer(NAME)
    (created,) = world.webhooks()
    world.deliver([created])
    ignored = created.replace(b'"livemode": false', b'"livemode": true').replace(b'"evt_', b'"evt_x')

    for raw, state, trips in ((created, "duplicate", 1), (ignored, "ignored", 2)):
        with cost() as told:
            assert world.deliver([raw]) == [state]
        assert len(told.mongo) == trips
        assert told.stripe == []


def test_an_idle_reconcile_is_one_get(metered: tuple[World, Measure]) -> None:
    world, cost = metered
    for kind in samples.CHANGES:
        samples.create(kind)
    world.deliver()
    world.reconcile()
    for minutes in (5, 60):
        world.advance(minutes=minutes)
        with cost() as told:
            assert world.reconcile().exit_code == 0
        assert told.stripe == ["GET /v1/events"]
        assert len(told.writes) == 2  # the checkpoint and the heartbeat


def test_a_full_comparison_asks_nothing_of_each_kind_that_is_not_there(metered: tuple[World, Measure]) -> None:
    world, cost = metered

    with cost() as told:
        report = world.reconcile(full=True)

    assert len(report.coverage.not_available) > 20
    assert len(told.mongo) < 40


def test_reading_costs_nothing_at_stripe(metered: tuple[World, Measure]) -> None:
    world, cost = metered

    with cost() as told:
        assert world.http.get("/customers/somebody@here.com").status_code == 200
        assert world.http.get("/customers?expand=stripe").status_code == 200
        assert world.http.get("/healthz").status_code == 200

    assert (told.stripe, told.writes) == ([], [])


def test_a_change_is_two_durable_writes_and_one_call(metered: tuple[World, Measure]) -> None:
    world, cost = metered
    world.advance(seconds=5)  # within two seconds of the last sight, one GET tells which of the two is newer

    with cost() as told:
        world.http.patch("/customers/somebody@here.com", json={"name": "new"})

    assert (len(told.writes), len(told.stripe)) == (2, 1)
    world.deliver()
