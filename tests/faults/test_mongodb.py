"""Every write of every journey fails in a real MongoDB, in every way in which one can: applied or not, told or not.

The writes are generated: the first fails, the second, … until the journey has no more. In the usual run a customer and
an order do; `make faults` runs all types.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.sync.inbox import inbox
from tests.crash.test_crash import edited, hearing, reconciling, removed
from tests.faults.calls import Call, Told, every_call
from tests.support.failpoints import FAILURES, FailPoints
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

UNSURE = "is applied, but not confirmed by the majority"
QUICK = ("meets a write conflict", UNSURE)  # the others wait for the driver
AWAY = "is applied, its reply lost, and MongoDB away"
ROWS = {"create": "66", "update": "67", "delete": "68"}  # and any action: 69
USUAL = {Call("customer", "create"), Call("customer", "update"), Call("customer", "delete"), Call("order", "create")}


def cases() -> Iterator[Any]:
    for call in every_call():
        for failure in FAILURES if call in USUAL else (UNSURE,):
            usual = call in USUAL and failure == UNSURE
            row = "70" if call.kind == "order" else ROWS.get(call.verb, "69")
            marks = [pytest.mark.fault(row), *([] if usual else [pytest.mark.long])]
            yield pytest.param(call, failure, marks=marks, id=f"{call}, a write {failure}")


@pytest.mark.parametrize(("call", "failure"), list(cases()))
def test_whatever_becomes_of_a_write_both_sides_end_as_one_and_nobody_is_lied_to(
    points: FailPoints, call: Call, failure: str
) -> None:
    write, met = 0, True
    while met:
        write += 1
        points.clean()
        world = World(points.uri, listeners=(points,))
        try:
            ready = call.ready(world)
            with points.failing(write, FAILURES[failure]):
                told = [ready.told()]
            met = bool(points.met)
            assert FAILURES[failure].told or Told.UNAVAILABLE not in told, "the driver should have got over it"
            if call.verb == "create" and Told.UNAVAILABLE in told:
                told.append(ready.told())
                assert Told.UNAVAILABLE not in told[1:]
                assert call.model.objects.count() - len(ready.before) <= 1
            ready.settle(heard=False)
            ready.assert_kept(*told)
        finally:
            world.stop()
    assert write > 2, "a call is at least two writes"


# --- the creation, write by write ---


def create(points: FailPoints, write: int, failure: str, judge: Callable[[World, int], None]) -> None:
    world = World(points.uri, listeners=(points,))
    try:
        world.reconcile()  # binds the database to its account
        with points.failing(write, FAILURES[failure]):
            response = world.http.post("/customers", json={"username": "a@b.de"}, headers={"Idempotency-Key": "one"})
        assert points.met
        judge(world, response.status_code)
        again = world.http.post("/customers", json={"username": "a@b.de"}, headers={"Idempotency-Key": "one"})
        assert again.status_code in (201, 202)
        assert Customer.objects.count() == 1
        world.webhooks()
        world.advance(minutes=5)
        world.converge()
        assert_in_sync(world)
        assert len(world.stripe.objects("customer")) == 1
        assert str(Customer.objects.get().id) == again.json["id"]
    finally:
        world.stop()


def posts(world: World) -> int:
    return sum(request.method == "POST" for request in world.stripe.requests)


@pytest.mark.fault("6")
def test_an_insert_that_is_cut_is_repeated_by_the_driver(points: FailPoints) -> None:
    def judge(world: World, status: int) -> None:
        assert (status, Customer.objects.count()) == (201, 1)

    create(points, 1, "is cut before it is applied", judge)


@pytest.mark.parametrize("failure", [UNSURE, AWAY])
@pytest.mark.fault("7")
def test_an_insert_that_was_applied_untold_is_the_callers_when_it_repeats(points: FailPoints, failure: str) -> None:
    def judge(world: World, status: int) -> None:
        assert (status, posts(world), Customer.objects.count()) == (503, 0, 1)

    create(points, 1, failure, judge)


@pytest.mark.parametrize("failure", ["meets a write conflict", "is cut until its time is up"])
@pytest.mark.fault("10")
def test_without_the_insert_stripe_is_not_called(points: FailPoints, failure: str) -> None:
    def judge(world: World, status: int) -> None:
        assert (status, posts(world), Customer.objects.count()) == (503, 0, 0)

    create(points, 1, failure, judge)


@pytest.mark.parametrize("failure", [*QUICK, AWAY, "is cut until its time is up"])
@pytest.mark.fault("25")
def test_a_link_that_cannot_be_written_is_written_later(points: FailPoints, failure: str) -> None:
    def judge(world: World, status: int) -> None:
        assert (status, posts(world), len(world.stripe.objects("customer"))) == (503, 1, 1)

    create(points, 2, failure, judge)


# --- what no caller waits for ---


def replaying(world: World) -> Callable[[], object]:
    """The inbox, with an event that could not be looked into when it came."""
    customer = sync.create_customer("user@here.com")
    world.deliver()
    edited(world, "customer", customer)
    world.stripe.fault("cut_before", method="GET", times=None)
    assert "received" in world.deliver()
    world.stripe.clear_faults()
    world.advance(minutes=5)
    return inbox.drain


JOURNEYS: dict[str, tuple[str, Callable[[World], Callable[[], Any]]]] = {
    "hear of two edits in one second": ("71", lambda world: hearing(edited)(world, "customer")),
    "hear of a deletion": ("71", lambda world: hearing(removed)(world, "customer")),
    "drain the inbox": ("72", replaying),
    "reconcile a lost reply": ("73", lambda world: reconciling("cut_after")(world, "customer")),
    "reconcile a lost request": ("73", lambda world: reconciling("cut_before")(world, "customer")),
    "reconcile a key too old": ("73", lambda world: reconciling("cut_after", hours=30)(world, "customer")),
    "give up a creation": ("73", lambda world: reconciling("500_before")(world, "customer")),
    "undo a late orphan": ("74", lambda world: reconciling("500_repair", late=True)(world, "customer")),
}


DEEPLY = ("hear of a deletion", "reconcile a lost reply", "undo a late orphan")


def journeys() -> Iterator[Any]:
    for name, (row, arrange) in JOURNEYS.items():
        for failure in FAILURES if name in DEEPLY else QUICK:
            usual = failure == UNSURE and name == "hear of a deletion"
            marks = [pytest.mark.fault(row), *([] if usual else [pytest.mark.long])]
            yield pytest.param(arrange, failure, marks=marks, id=f"{name}, a write {failure}")


@pytest.mark.parametrize(("arrange", "failure"), list(journeys()))
def test_whatever_becomes_of_a_write_of_ours_the_next_run_ends_it(
    points: FailPoints, arrange: Callable[[World], Callable[[], Any]], failure: str
) -> None:
    write, met = 0, True
    while met:
        write += 1
        points.clean()
        world = World(points.uri, listeners=(points,))
        try:
            act = arrange(world)
            told: Any = None
            with points.failing(write, FAILURES[failure]):
                try:
                    told = act()
                except PyMongoError:
                    assert FAILURES[failure].told, "the driver should have got over it"
            met = bool(points.met)
            hear_again(world, told)
            world.converge()
            assert_in_sync(world)
            again = world.reconcile()
            assert not any(again.counts.values()), f"there is no end to it: {again}"
        finally:
            world.stop()
    assert write > 1, "nothing ever failed"


def hear_again(world: World, told: Any) -> None:
    """Stripe sends again what was not answered with 200, and what was is kept."""
    answers = [response.status_code for response in told] if isinstance(told, list) else []
    assert set(answers) <= {200, 503}
    assert answers.count(200) <= Event.objects.count()
    if 503 in answers:
        for event in world.stripe.events():
            world.stripe.resend(event["id"])
        world.deliver()
