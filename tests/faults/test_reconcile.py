"""Reconcile meets what no webhook told: sleepers, twins, keys that Stripe forgot, pages that break off, other runs."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import stripe as stripe_python

import sync
from emulator.wire import Logged
from models import Customer, Product, Status, created_kinds, kinds
from models.absorb import Evidence, digest
from models.state import CHECKPOINT, State
from tests.faults.calls import Call, Told
from tests.integration.test_races import together
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import KEY, World


def of_kinds(row: str, *, announced: bool = False) -> list[Any]:
    """Every type that Stripe has; in the usual run, a customer."""
    return [
        pytest.param(kind, marks=[pytest.mark.fault(row), *([] if kind == "customer" else [pytest.mark.long])])
        for kind, model in sorted(created_kinds().items())
        if model.resource.path and (model.resource.announced or not announced)
    ]


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


@pytest.mark.parametrize("kind", of_kinds("9"))
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
    assert document.status == Status.ROLLED_BACK or document.review is not None

    held.release()
    thread.join()
    world.webhooks()
    world.advance(minutes=5)
    world.converge()

    assert len(told) == 1
    assert isinstance(told[0], sync.SyncError) or told[0].status != Status.ACTIVE or document.reread().live
    assert_in_sync(world)


@pytest.mark.parametrize("kind", of_kinds("15"))
def test_what_stripe_finishes_later_under_no_key_is_linked_or_left_to_a_person(world: World, kind: str) -> None:
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("500_repair", method="POST")
    assert ready.told() == Told.PENDING
    world.webhooks()
    world.advance(hours=1)
    world.stripe.repair()
    made = ready.made
    assert len(made) == 1

    world.converge()

    document = ready.subject()
    assert document is not None
    there = {remote["id"] for remote in world.stripe.objects(kind)}
    assert made <= there, "nothing is undone on a guess"
    assert document.review is not None or document.stripe_id in made or not kinds()[kind].resource.listed
    assert_in_sync(world, review=True)


@pytest.mark.parametrize("kind", of_kinds("16", announced=True))
def test_what_stripe_finishes_after_it_was_given_up_is_undone_or_left_to_a_person(world: World, kind: str) -> None:
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("500_repair", method="POST")
    ready.send()
    world.webhooks()
    world.advance(hours=1)
    world.converge()
    document = ready.subject()
    assert document is not None
    world.stripe.repair(request={"id": None, "idempotency_key": document.key})

    world.deliver()
    world.converge()

    latest = document.reread()
    assert latest.live or latest.review is not None or len(latest.undone) == 1
    assert_in_sync(world, review=True)


@pytest.mark.fault("18")
def test_a_key_that_stripe_knows_with_other_parameters_is_not_taken_for_a_refusal(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    client = stripe_python.StripeClient(KEY, http_client=world.stripe.transport())
    client.raw_request("post", "/v1/customers", name="Other", idempotency_key=customer.key)
    world.stripe.lag_events(10**6)  # reconcile cannot hear of it before it sends
    world.advance(minutes=5)

    world.reconcile()

    pending = customer.reread()
    assert (pending.status, pending.operation.stored_failure_at is not None) == (Status.PENDING, True)
    world.stripe.calm()
    world.advance(hours=1)
    world.converge()
    latest = customer.reread()
    (remote,) = world.stripe.objects("customer")
    assert (latest.status, latest.stripe_id) == (Status.ACTIVE, remote["id"]), "its key made it, as the event proves"
    assert latest.digest == digest(remote)


@pytest.mark.parametrize("kind", of_kinds("24"))
def test_a_key_that_stripe_may_have_forgotten_is_never_sent_again(world: World, kind: str) -> None:
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("cut_after", method="POST", times=2)
    assert ready.told() == Told.PENDING
    document = ready.subject()
    assert document is not None
    world.webhooks()
    asked = len(world.stripe.requests)
    world.advance(hours=25)

    world.converge()

    assert not [request for request in world.stripe.requests[asked:] if request.key == document.key]
    assert len(ready.made) == 1
    assert_in_sync(world)


@pytest.mark.parametrize("heard", [False, True], ids=["never told", "told late"])
@pytest.mark.parametrize("kind", of_kinds("82", announced=True))
def test_a_key_that_stripe_forgot_too_early_leaves_no_object_without_a_document(
    world: World, kind: str, heard: bool
) -> None:
    ready = Call(kind, "create").ready(world)
    if not heard:
        world.stripe.lose_event(f"{kinds()[kind].resource.created_event}")
    world.stripe.fault("cut_after", method="POST", times=2)
    ready.send()
    engine = world.stripe.engine
    with engine.state():
        engine.store.wipe(engine.realm().name("key"))
    letters = world.webhooks()
    world.stripe.lag_events(10**6)  # reconcile cannot hear of the first before it sends
    world.advance(minutes=5)
    world.reconcile()
    world.stripe.calm()
    assert len(ready.made) == 2

    world.deliver([*world.webhooks(), *letters])
    world.advance(minutes=20)
    world.converge()
    world.reconcile(full=True)

    document = ready.subject()
    assert document is not None
    assert document.status == Status.ACTIVE
    if heard:
        assert len(document.undone) == 1 or document.review is not None, "the twin is undone, or a person is asked"
    assert_in_sync(world, review=True)


@pytest.mark.fault("26")
def test_an_object_that_another_document_uses_is_not_taken_from_it(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", times=2)
    owner = sync.create_customer("owner@here.com")
    (remote,) = world.stripe.objects("customer")
    world.webhooks()
    world.stripe.lag_events(10**6)
    holder = Customer.adopt(adopted(remote))
    assert world.http.patch(f"/customers/{holder.id}", json={"username": "holder@here.com"}).status_code == 200
    world.stripe.calm()

    report = world.converge()

    assert report.exit_code == 1
    assert "another document holds it" in owner.reread().review
    assert holder.reread().stripe_id == remote["id"]
    assert len(world.stripe.objects("customer")) == 1


def adopted(remote: dict[str, Any]) -> Any:
    at = int(remote["created"])
    return Evidence("a test", remote["id"], remote, Customer.mirror(remote), earliest=at, latest=at, event=True)


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
    assert customer.reread().status == Status.ACTIVE
    assert len(world.stripe.objects("customer")) == 1
    assert_in_sync(world)


@pytest.mark.parametrize("fault", ["rate_limit", "503_edge", "html_body", "cut_before", "refuse_403"])
@pytest.mark.parametrize("page", [0, 1])
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
    assert customer.reread().status == Status.PENDING
    world.stripe.calm()
    world.converge()
    assert customer.reread().status == Status.ROLLED_BACK
    assert Product.objects.count() == 120
    assert_in_sync(world)


def page_of_events(request: Logged) -> int | None:
    """Which page of what happened since the checkpoint is asked for."""
    if request.path != "/v1/events" or "types" in request.params:
        return None
    return int("starting_after" in request.params)


@pytest.mark.parametrize("kind", of_kinds("46", announced=True))
def test_a_twin_that_was_undone_is_told_of_again_and_stays_undone(world: World, kind: str) -> None:
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("500_repair", method="POST")
    ready.send()
    world.webhooks()
    world.advance(hours=1)
    world.converge()
    document = ready.subject()
    assert document is not None
    world.stripe.repair(request={"id": None, "idempotency_key": document.key})
    letters = world.webhooks()
    world.deliver(letters)
    world.converge()
    before = document.reread()
    undone = [request for request in world.stripe.requests if request.method != "GET"]

    for raw in letters:
        event = raw.replace(b'"id":"evt_', b'"id":"evt_again', 1).replace(b'"id": "evt_', b'"id": "evt_again', 1)
        assert world.send(event).status_code == 200
    world.converge()

    assert [request for request in world.stripe.requests if request.method != "GET"] == undone
    latest = document.reread()
    assert (latest.status, latest.orphans, latest.review) == (before.status, before.orphans, before.review)


@pytest.mark.long
@pytest.mark.fault("48")
@pytest.mark.timeout(600)
def test_two_runs_over_a_thousand_documents_share_the_work_and_undo_nothing_twice(world: World) -> None:
    world.reconcile()
    for number in range(900):
        world.stripe.fault(("cut_before", "cut_after")[number % 2], method="POST", times=2)
        sync.create_customer(f"user{number}@here.com")
    world.stripe.calm()
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


@pytest.mark.parametrize("kind", [p for p in of_kinds("54") if p.values[0] in samples.CHANGES])
def test_of_two_updates_at_once_one_is_made_and_the_other_told(world: World, kind: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.advance(seconds=30)
    held = world.stripe.fault("hold_after", method="POST")
    thread, told = in_thread(lambda: sync.update(document.reread(), samples.CHANGES[kind]))
    assert held.entered.wait(10)

    with pytest.raises(sync.InProgress):
        sync.update(document.reread(), samples.CHANGES[kind])

    held.release()
    thread.join()
    assert told[0].operation is None
    world.deliver()
    world.converge()
    assert_in_sync(world)


# --- undo ---


UNDO_FAULTS = ("cut_before", "cut_after", "500_before", "500_after", "503_edge", "rate_limit", "bad_body", "zombie")


@pytest.mark.parametrize("fault", UNDO_FAULTS)
@pytest.mark.parametrize("kind", [p for p in of_kinds("78", announced=True) if kinds()[p.values[0]].resource.undo])
def test_whatever_becomes_of_an_undo_the_twin_is_not_left(world: World, kind: str, fault: str) -> None:
    document = given_up(world, kind)
    world.stripe.fault(fault, lambda request: request.method != "GET", times=2)

    world.converge()
    world.stripe.calm()
    world.stripe.release_zombies()
    world.advance(hours=3)
    world.converge()

    latest = document.reread()
    assert (latest.orphans, latest.review, len(latest.undone)) == ([], None, 1)
    assert_in_sync(world)


def given_up(world: World, kind: str) -> Any:
    """A document that was given up, whose object Stripe made in the end."""
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("500_repair", method="POST")
    ready.send()
    world.webhooks()
    world.advance(hours=1)
    world.converge()
    document = ready.subject()
    assert document is not None
    world.stripe.repair(request={"id": None, "idempotency_key": document.key})
    world.deliver()
    return document


@pytest.mark.fault("79")
def test_a_twin_that_stripe_will_not_delete_is_archived_instead(world: World) -> None:
    document = given_up(world, "product")
    (remote,) = world.stripe.objects("product")
    world.stripe.dashboard.create("price", product=remote["id"], currency="eur", unit_amount=100)
    world.deliver()
    world.advance(hours=1)

    world.converge()

    assert document.reread().undone == [remote["id"]]
    (left,) = world.stripe.objects("product")
    assert left["active"] is False
