"""Reconcile meets sleepers, pages that break off, other runs, and its own death.

In the usual run a customer does; `make faults` runs all types.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator.protocol.wire import LogEntry
from stripe_mongo_sync.models import Customer, Event, Product, Status, kinds
from stripe_mongo_sync.models.state import CHECKPOINT, State
from tests.crash.test_crash import reconciling
from tests.faults.calls import every_type
from tests.integration.sync.engine.test_races import together
from tests.support import samples
from tests.support.in_sync import assert_in_sync, person_decides
from tests.support.lives import Lives
from tests.support.world import World


def in_thread(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    told: list[Any] = []

    def run() -> None:
        try:
            told.append(act())
        except sync.SyncError as error:
            told.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, told


@pytest.mark.parametrize("kind", every_type("9"))
def test_a_creator_that_sleeps_for_a_day_before_it_is_served_leaves_no_orphan(world: World, kind: str) -> None:
    body = samples.body(kind)
    world.deliver()
    world.reconcile()
    held = world.stripe.fault("hold", method="POST")
    thread, told = in_thread(lambda: sync.create(kinds()[kind], body)[0])
    assert held.entered.wait(10)
    world.advance(hours=30)
    world.converge()
    (document,) = kinds()[kind].objects(operation__ne=None)
    assert document.status == Status.ROLLED_BACK or document.review_reason is not None

    held.release()
    thread.join()
    world.webhooks()
    world.advance(minutes=5)
    world.converge()

    assert len(told) == 1
    assert isinstance(told[0], sync.SyncError) or told[0].status != Status.ACTIVE or document.fetch_latest().is_current
    assert_in_sync(world)


@pytest.mark.fault("43")
def test_a_run_that_sleeps_while_another_does_its_work_does_nothing_twice(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    world.advance(minutes=5)
    held = world.stripe.fault("hold", method="POST")
    thread, told = in_thread(world.reconcile)
    assert held.entered.wait(10)
    world.advance(minutes=10)

    world.reconcile()

    held.release()
    thread.join()
    assert len(told) == 1
    world.converge()
    assert customer.fetch_latest().status == Status.ACTIVE
    assert len(world.stripe.objects("customer")) == 1
    assert_in_sync(world)


@pytest.mark.parametrize("fault", ["rate_limit", "503_edge", "html_body", "cut_before", "refuse_403"])
@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.long
@pytest.mark.fault("44")
def test_a_list_that_fails_on_any_page_moves_no_checkpoint_and_proves_nothing(
    world: World, fault: str, page: int
) -> None:
    world.reconcile()
    world.stripe.fault("500_before", method="POST")
    customer = sync.create_customer("user@here.com")
    for number in range(120):  # two pages
        world.stripe.dashboard.create("product", name=f"Product {number}")
    world.webhooks()
    world.advance(hours=1)
    before = State.read(CHECKPOINT)
    world.stripe.fault(fault, lambda request: page_of_events(request) == page)

    report = world.reconcile()

    assert report.exit_code == 2
    assert State.read(CHECKPOINT) == before
    assert customer.fetch_latest().status == Status.PENDING
    world.stripe.clear_faults()
    world.converge()
    assert customer.fetch_latest().status == Status.ROLLED_BACK
    assert Product.objects.count() == 120
    assert_in_sync(world)


def page_of_events(request: LogEntry) -> int | None:
    """Which page of what happened since the checkpoint is asked for."""
    if request.path != "/v1/events" or "types" in request.params:
        return None
    return int("starting_after" in request.params)


@pytest.mark.long
@pytest.mark.fault("48")
@pytest.mark.timeout(600)
def test_two_runs_over_a_thousand_documents_share_the_work_and_undo_nothing_twice(world: World) -> None:
    world.reconcile()
    for number in range(900):
        world.stripe.fault(("cut_before", "cut_after")[number % 2], method="POST", times=2)
        sync.create_customer(f"user{number}@here.com")
    world.stripe.clear_faults()
    for number in range(100):
        world.stripe.fault("500_repair", method="POST")
        sync.create_customer(f"late{number}@here.com")
    world.webhooks()
    world.advance(minutes=16)  # the 5xx ones are due to be given up
    before = len(world.stripe.requests)

    together(world.reconcile, world.reconcile)
    world.converge()

    posts = [r for r in world.stripe.requests[before:] if r.method == "POST" and not r.path.endswith("cancel")]
    assert len({r.key for r in posts}) == len(posts), "each was sent by one of them"
    assert Customer.objects(status=Status.ACTIVE).count() == 900
    assert Customer.objects(status=Status.ROLLED_BACK).count() == 100
    assert_in_sync(world)


@pytest.mark.parametrize("kind", [p for p in every_type("54") if p.values[0] in samples.CHANGES])
def test_of_two_updates_at_once_one_is_made_and_the_other_told(world: World, kind: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.advance(seconds=30)
    held = world.stripe.fault("hold_after", method="POST")
    thread, told = in_thread(lambda: sync.update(document.fetch_latest(), samples.CHANGES[kind]))
    assert held.entered.wait(10)

    with pytest.raises(sync.InProgress):
        sync.update(document.fetch_latest(), samples.CHANGES[kind])

    held.release()
    thread.join()
    assert told[0].operation is None
    world.deliver()
    world.converge()
    assert_in_sync(world)


@pytest.mark.long
@pytest.mark.fault("47")
def test_a_run_that_dies_while_it_reads_events_reads_them_again(lives: Lives) -> None:
    world = lives.world
    world.reconcile()
    for number in range(3):
        world.stripe.dashboard.create("customer", email=f"{number}@else.where")
    events = {event["id"] for event in world.stripe.events()}
    world.webhooks()
    world.advance(minutes=10)
    before = State.read(CHECKPOINT)
    for death in lives.deaths(world.reconcile, least=6):
        if death.died:
            assert State.read(CHECKPOINT) == before or death.effect > len(events), "it moved before it had read"
        world.converge()
        assert {row.id for row in Event.objects} == events
        assert_in_sync(world)


@pytest.mark.long
@pytest.mark.fault("77")
@pytest.mark.parametrize("fault", ["cut_after", "500_before"])
def test_two_runs_of_which_one_dies_end_as_one(lives: Lives, fault: str) -> None:
    world = lives.world
    for _ in lives.deaths(reconciling(fault)(world, "customer"), least=3):
        world.reconcile()
        world.advance(minutes=10)
        world.converge()
        assert_in_sync(world)
        for document in world.documents():
            assert document.review_reason is None or person_decides(document)
