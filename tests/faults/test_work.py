"""What works in the background, and what is made of several calls: hooks, backfills, cards, two faults at once."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, DeliveryState
from stripe_mongo_sync.sync.notices.deliver import deliver
from stripe_mongo_sync.sync.runs.backfill import Backfill, backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.faults.calls import Call, Told
from tests.support import samples
from tests.support.failpoints import FAILURES, FailPoints
from tests.support.hooks import listening
from tests.support.in_sync import assert_in_sync
from tests.support.stock import assert_copied, stock
from tests.support.world import World

UNSURE = "is applied, but not confirmed by the majority"


def failures(row: str) -> Iterator[Any]:
    """A failure of MongoDB of each sort: not applied, applied, away. Not in the usual run."""
    for failure in ("meets a write conflict", UNSURE, "is applied, its reply lost, and MongoDB away"):
        yield pytest.param(failure, marks=[pytest.mark.fault(row), pytest.mark.long])


def every_write(points: FailPoints, failure: str, one: Callable[[World, Callable[[], None]], None]) -> None:
    """Do `one` with its first write failing, its second, … until it has no more; it calls what it is given to fail."""
    write, met = 0, True
    while met:
        write += 1
        points.clean()
        world = World(points.uri, listeners=(points,))

        def failing(act: Callable[[], Any], write: int = write) -> None:
            with points.failing(write, FAILURES[failure]):
                try:
                    act()
                except PyMongoError:
                    assert FAILURES[failure].told, "the driver should have got over it"

        try:
            one(world, failing)  # type: ignore[arg-type]
            met = bool(points.met)
        finally:
            world.stop()
    assert write > 2, "nothing ever failed"


@pytest.mark.parametrize("failure", list(failures("94")))
def test_hooks_hear_of_it_whatever_becomes_of_a_write(points: FailPoints, failure: str) -> None:
    def one(world: World, failing: Any) -> None:
        with listening("customer.active") as heard:
            customer = sync.create_customer("user@here.com")
            world.deliver()
            failing(deliver)
            for _ in range(3):
                world.advance(minutes=10)
                deliver()
        assert {notice.document.id for notice in heard} == {customer.id}
        assert len({notice.id for notice in heard}) == 1, "a repetition has the same id"
        assert Delivery.objects(state__ne=DeliveryState.DONE).count() == 0

    every_write(points, failure, one)


@pytest.mark.parametrize("failure", list(failures("96")))
def test_a_backfill_goes_on_whatever_becomes_of_a_write(points: FailPoints, failure: str) -> None:
    def copy() -> Backfill:
        return backfill(["customer"], patience=Throttle(10_000.0, lambda seconds: None))

    def one(world: World, failing: Any) -> None:
        known = sync.create_customer("known@here.com")
        world.stripe.dashboard.update("customer", known.stripe_id, name="Edited")
        stock(world, 130)  # two pages
        world.webhooks()
        world.advance(minutes=20)
        failing(copy)
        told = copy()
        assert (told.exit_code, told.finished) == (0, True), told
        assert Customer.objects.count() == 131
        assert_copied(world, "customer")
        world.converge()
        assert_in_sync(world)

    every_write(points, failure, one)


@pytest.mark.parametrize(
    "fault", ["cut_before", "cut_after", "500_before", "503_edge", "bad_body", "rate_limit", "decline"]
)
@pytest.mark.parametrize("second", [False, True], ids=["attached", "made the default"])
@pytest.mark.fault("88")
@pytest.mark.long
def test_a_card_is_attached_once_and_becomes_the_default_or_neither_is_claimed(
    world: World, fault: str, second: bool
) -> None:
    ready = Call("customer", "payment_method").ready(world)
    armed = world.stripe.fault(fault, method="POST", skip=int(second), times=1 if fault == "decline" else 2)

    told = ready.told()

    assert armed.hits
    ready.settle(heard=False)
    ready.assert_kept(told)
    (card,) = world.stripe.objects("payment_method")
    customer = ready.subject()
    assert customer is not None
    if ready.done(customer):
        assert card["customer"] == customer.stripe_id


@pytest.mark.parametrize("fault", ["cut_after", "bad_body", "500_after"])
@pytest.mark.parametrize("failure", ["meets a write conflict", UNSURE])
@pytest.mark.fault("99")
def test_a_lost_reply_and_then_a_failing_database_is_still_one_customer(
    points: FailPoints, fault: str, failure: str
) -> None:
    for write in (2, 3):
        points.clean()
        world = World(points.uri, listeners=(points,))
        try:
            ready = Call("customer", "create").ready(world)
            world.stripe.fault(fault, method="POST", times=2)
            with points.failing(write, FAILURES[failure]):
                told = [ready.told()]
            assert points.met or write > 2
            if told == [Told.UNAVAILABLE]:
                told.append(ready.told())
            ready.settle(heard=False)
            ready.assert_kept(*told)
            assert len(ready.made) == 1
        finally:
            world.stop()


@pytest.mark.parametrize("payment", ["checkout", "payment_intent"])
@pytest.mark.parametrize("fault", ["cut_after", "cut_before", "503_edge", "500_before", "500_after"])
@pytest.mark.fault("89")
@pytest.mark.long
def test_an_order_has_one_payment_whatever_becomes_of_its_call(world: World, payment: str, fault: str) -> None:
    body = {**samples.body("order"), "payment": payment}
    if payment == "payment_intent":
        del body["success_url"]
    world.deliver()
    world.reconcile()
    world.stripe.fault(fault, method="POST", times=2)
    order = sync.create_order(**body)
    world.webhooks()
    for minutes in (5, 60):
        world.advance(minutes=minutes)
        world.reconcile()
    world.converge()

    made = [*world.stripe.objects("checkout.session"), *world.stripe.objects("payment_intent")]
    usable = [each for each in made if each["status"] not in ("expired", "canceled")]
    assert len(made) <= 1
    latest = order.fetch_latest()
    assert latest.review_reason is not None or bool(usable) == latest.is_current
    assert_in_sync(world)
