"""The hazards that the model found: each is a trace that once ended wrong, on the real database.

Decisions 102 to 104 tell them one by one.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator import Fault
from stripe_mongo_sync.models import Coupon, Customer, Event, Price, Status, kinds
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.sync.engine.observations import existence_of
from tests.simulation.schedule import Schedule
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


@contextmanager
def asleep(world: World, act: Callable[[], Any], fault: str = "hold_after") -> Iterator[Fault]:
    """Let `act` run in a thread that sleeps around its POST; it wakes at the end of the block."""
    held = world.stripe.fault(fault, method="POST")
    thread = threading.Thread(target=act)
    thread.start()
    assert held.entered.wait(10)
    yield held
    held.release()
    thread.join()


def test_there_and_back_again_ends_where_stripe_is(world: World) -> None:
    customer = sync.create_customer("user@here.com", name="A")
    world.deliver()
    letters = []
    for name in ("B", "A"):
        world.advance(seconds=10)
        world.stripe.dashboard.update("customer", customer.stripe_id, name=name)
        letters += world.webhooks()

    world.deliver(reversed(letters))

    assert customer.fetch_latest().name == "A"
    assert_in_sync(world)


def test_a_reply_that_overlaps_a_look_is_not_taken_blindly(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver()
    world.advance(seconds=10)

    with asleep(world, lambda: sync.update(customer.fetch_latest(), {"name": "ours"})):
        world.stripe.dashboard.update("customer", customer.stripe_id, name="theirs")
        world.deliver()

    assert customer.fetch_latest().name == "theirs"
    world.converge()
    assert_in_sync(world)


def test_the_end_of_an_earlier_life_does_not_end_the_next(world: World) -> None:
    first, _ = sync.create(Coupon, {"id": "SUMMER", "percent_off": 10, "duration": "once"})
    world.deliver()
    sync.delete(first)
    second, _ = sync.create(Coupon, {"id": "SUMMER", "percent_off": 20, "duration": "once"})

    world.deliver()

    assert (first.fetch_latest().status, second.fetch_latest().status) == (Status.DELETED, Status.ACTIVE)
    assert_in_sync(world)


@pytest.mark.fault("43")
def test_a_refusal_is_not_final_when_another_attempt_was_made_meanwhile(world: World) -> None:
    world.reconcile()
    body = {**samples.body("price"), "currency": "zzz"}  # refused before it is carried out, so the key keeps nothing
    told: list[Any] = []

    def create() -> None:
        told.append(sync.create(Price, body)[0])

    with asleep(world, create, "hold"):
        world.advance(minutes=3)
        world.reconcile()

    assert told[0].status == Status.PENDING, "nobody may be told that nothing is left"
    world.converge()
    price = told[0].fetch_latest()
    assert (price.status, price.in_doubt) == (Status.ROLLED_BACK, True)


@pytest.mark.fault("28")
def test_a_reply_that_comes_after_its_lease_leaves_a_look_due(world: World) -> None:
    world.reconcile()
    with asleep(world, lambda: sync.create_customer("user@here.com")):
        world.stripe.lose_event("customer.deleted")
        (remote,) = world.stripe.objects("customer")
        world.webhooks()
        world.advance(minutes=20)
        world.stripe.dashboard.delete("customer", remote["id"])

    assert Customer.objects.get().due_at is not None
    world.converge()
    assert Customer.objects.get().status == Status.DELETED
    assert_in_sync(world)


def test_a_deletion_that_is_heard_of_before_the_creation_is_not_forgotten(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", times=2)
    sync.create_customer("user@here.com")
    (created,) = world.webhooks()
    (remote,) = world.stripe.objects("customer")
    world.advance(seconds=30)
    world.stripe.dashboard.delete("customer", remote["id"])

    assert world.deliver() == ["waiting"]
    assert world.deliver([created]) == ["applied"]
    world.converge()

    assert Customer.objects.get().status == Status.DELETED
    assert_in_sync(world)


def test_an_old_creation_is_looked_at_before_it_is_adopted(world: World) -> None:
    remote = world.stripe.dashboard.create("customer", email="short@lived.com")
    (created,) = world.webhooks()
    world.stripe.dashboard.delete("customer", remote["id"])
    world.webhooks()
    world.advance(minutes=20)

    assert world.deliver([created]) == ["waiting"]
    world.converge()

    assert Customer.objects.count() == 0
    assert Event.objects(state="waiting").count() == 0


def test_a_document_in_review_is_not_given_a_lease(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com").fetch_latest()
    reviewed = customer.send_to_review("a test")

    deferred = reviewed.defer("no answer", timedelta(minutes=1))

    assert (deferred.due_at, deferred.review_reason) == (None, "a test")


def test_an_undone_orphan_leaves_its_active_document_due_for_a_look(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    told = Customer.merge({"_id": customer.id}, existence_of("cus_orphan", "test"))
    assert (told.orphans, told.due_at is not None) == (["cus_orphan"], True)

    assert told.record_undo("cus_orphan").due_at is not None

    world.advance(minutes=5)
    world.converge()
    assert_in_sync(world)


def test_what_is_known_already_still_makes_the_snapshot_younger(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    later = customer.snapshot_latest + 100
    again = Observation("test", customer.stripe_id, customer.stripe, {}, earliest=later, latest=later, event=True)

    told = Customer.merge({"_id": customer.id}, again)

    assert (told.snapshot_earliest, told.snapshot_latest, told.revision) == (later, later, customer.revision + 1)


def test_whoever_sleeps_until_the_key_is_forgotten_does_not_refund_twice(database: str) -> None:
    """A process that is stopped, or a machine that is suspended, between a lost reply and its repetition."""
    schedule = Schedule(lambda method, url, key: None)
    world = World(database, fuse=schedule)
    try:
        wanted = samples.body("refund")
        world.stripe.fault("cut_after", method="POST")
        schedule.begin("refund", lambda: sync.create(kinds()["refund"], wanted))
        while schedule.trace[-1:] != ["refund: Stripe has answered"]:
            schedule.turn(Random(0))

        world.advance(hours=30)
        schedule.finish(Random(0))

        assert len(world.stripe.objects("refund")) == 1
        world.converge()
        assert_in_sync(world)
    finally:
        world.stop()


def test_a_young_object_whose_event_is_not_listed_yet_puts_nobody_in_review(world: World) -> None:
    """Two of us sell the same: one got a stored 500, and the other's event is not in Stripe's list yet."""
    world.stripe.fault("500_before", method="POST", times=2)
    first, _ = sync.create(kinds()["product"], samples.body("product"))
    world.advance(hours=24)
    world.stripe.lag_events(60)
    with asleep(world, lambda: sync.create(kinds()["product"], samples.body("product"))):
        report = world.reconcile()

        assert first.fetch_latest().review_reason is None
        assert report.exit_code == 2

    world.stripe.clear_faults()
    world.converge()
    assert first.fetch_latest().status == Status.ROLLED_BACK
    assert_in_sync(world)
