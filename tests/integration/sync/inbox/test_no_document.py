"""An event that was ignored because its object had no document, while a process that had stopped was inserting one."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, Status
from stripe_mongo_sync.models.event import GONE, EventState
from stripe_mongo_sync.sync.engine.adopt import adopt_unless_ours
from stripe_mongo_sync.sync.inbox import inbox
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support.forks import child, ended
from tests.support.heard import Listener
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


class Stop(Listener):
    """Stops a process before it sends MongoDB a command that matches, until another process has done its part."""

    def __init__(self) -> None:
        self.before: Callable[[CommandStartedEvent], bool] = lambda event: False
        self.meanwhile: Callable[[], object] = lambda: None
        self.done: Future[object] | None = None

    def started(self, event: CommandStartedEvent) -> None:
        if self.done is None and self.before(event):
            self.done = Future()  # so that what the other process writes stops nobody
            with ThreadPoolExecutor(1) as other:
                self.done = other.submit(self.meanwhile)

    def require_done(self) -> None:
        """Raise what the other process met. It must have had its turn."""
        assert self.done is not None, "nobody stopped"
        self.done.result(0)


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def world(database: Database[Any], stop: Stop) -> Iterator[World]:
    """A service whose processes can be stopped; nothing is compared in full any more unless a test asks for it."""
    world = World(database, listeners=(stop,))
    world.start()
    world.reconcile()
    yield world
    world.stop()


def by_webhook(world: World) -> None:
    world.deliver()


def by_reconcile(world: World) -> None:
    world.advance(minutes=16)
    assert world.deliver() == ["waiting"]
    world.reconcile()


def by_full_comparison(world: World) -> None:
    world.webhooks()
    world.advance(minutes=20)
    world.reconcile(full=True)


def by_backfill(world: World) -> None:
    world.webhooks()
    world.advance(minutes=20)
    backfill(("customer",), patience=Throttle(1000.0))


def inserts_a_customer(event: CommandStartedEvent) -> bool:
    return event.command.get(event.command_name) == "customers" and (
        event.command_name == "insert" or bool(event.command.get("upsert"))
    )


def marks_as_ignored(event: CommandStartedEvent) -> bool:
    written = event.command_name in ("findAndModify", "update", "insert")
    return written and event.command[event.command_name] == "stripe_events" and GONE in str(event.command)


def drained_without_adoption(world: World) -> list[int]:
    """What waits is applied by another process, with ADOPT=no; return how it ended."""

    def work() -> None:
        sync.disconnect()
        sync.connect(replace(world.read, adopt=False), http_client=world.stripe.transport())
        inbox.drain()

    return ended(child(work))


@pytest.mark.fault("165")
@pytest.mark.parametrize("adopts", [by_webhook, by_reconcile, by_full_comparison, by_backfill])
def test_a_deletion_that_was_over_before_the_insert_is_not_lost(
    world: World, stop: Stop, adopts: Callable[[World], None]
) -> None:
    made = world.stripe.dashboard.create("customer", email="user@here.com")

    def is_deleted() -> None:
        world.stripe.dashboard.delete("customer", made["id"])
        assert world.deliver()[-1:] == ["waiting"]
        world.advance(minutes=20)
        inbox.drain()
        assert Event.objects.get(type="customer.deleted").state == EventState.IGNORED

    stop.before, stop.meanwhile = inserts_a_customer, is_deleted
    adopts(world)
    stop.require_done()
    world.converge()

    assert [customer.status for customer in Customer.objects] == [Status.DELETED]
    assert_in_sync(world)


@pytest.mark.fault("165")
@pytest.mark.parametrize("way", ["drained", "listed"])
def test_an_insert_before_the_event_is_marked_as_ignored_is_seen(world: World, stop: Stop, way: str) -> None:
    """The other process stops after it has looked for a document, and found none."""
    made = world.stripe.dashboard.create("customer", email="user@here.com")
    world.webhooks()
    seen = Reply(made, made["created"], made["created"], replayed=False, request_id="req_1")
    world.stripe.dashboard.delete("customer", made["id"])
    assert way == "listed" or world.deliver() == ["waiting"]
    world.advance(minutes=20)

    stop.before, stop.meanwhile = marks_as_ignored, lambda: adopt_unless_ours(Customer, seen, None)
    inbox.drain() if way == "drained" else world.reconcile()
    stop.require_done()
    world.converge()

    assert [customer.status for customer in Customer.objects] == [Status.DELETED]
    assert_in_sync(world)


@pytest.mark.fault("165")
def test_with_adoption_off_an_update_is_not_lost_either(world: World, stop: Stop) -> None:
    """A process with ADOPT=no ignores what one with ADOPT=yes is about to adopt."""
    made = world.stripe.dashboard.create("customer", email="user@here.com")

    def is_ignored() -> None:
        world.advance(minutes=20)
        assert world.deliver() == ["waiting"]
        world.advance(minutes=20)
        assert drained_without_adoption(world) == [0]
        assert Event.objects.distinct("state") == [EventState.IGNORED]

    def is_updated() -> None:
        world.stripe.dashboard.update("customer", made["id"], name="Edited")
        is_ignored()

    is_ignored()

    stop.before, stop.meanwhile = inserts_a_customer, is_updated
    backfill(("customer",), patience=Throttle(1000.0))
    stop.require_done()
    world.converge()

    assert Customer.objects.get().name == "Edited"
    assert Event.objects.get(type="customer.created").state == EventState.IGNORED, "it shows nothing new"
    assert_in_sync(world)


@pytest.mark.fault("165")
def test_the_document_of_an_earlier_object_with_a_chosen_id_reopens_nothing(world: World) -> None:
    """That document will never be the one of the object that is gone, so its event is done with."""
    world.stripe.dashboard.create("coupon", id="SPRING", percent_off=10, duration="once")
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.delete("coupon", "SPRING")
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.create("coupon", id="SPRING", percent_off=20, duration="once")
    (created,) = world.webhooks()
    world.advance(minutes=1)
    world.stripe.dashboard.delete("coupon", "SPRING")
    world.webhooks()  # the deletion is lost
    world.advance(minutes=20)

    assert world.deliver([created]) == ["waiting"]
    world.advance(minutes=20)
    inbox.drain()

    (row,) = Event.objects(type="coupon.created", state=EventState.IGNORED)
    assert (row.reason, row.due_at) == (GONE, None)
    assert [coupon.status for coupon in Coupon.objects] == [Status.DELETED]
