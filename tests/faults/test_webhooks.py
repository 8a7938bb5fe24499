"""Webhooks come early, late, twice, in any order, changed or never, of every type: both sides end as one.

In the usual run a few types do; `make faults` runs all.
"""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

import sync
from models import Customer, Event, Invoice, Status, Subscription, SyncedDocument, created_kinds, kinds
from sync.inbox import drain
from tests.support import samples
from tests.support.answers import at_once
from tests.support.fuse import Fuse
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

USUAL = ("customer", "price")


def of_kinds(row: str, fits: Callable[[type[SyncedDocument]], bool] = lambda model: True) -> list[Any]:
    """Every type that Stripe has and that fits."""
    found = [kind for kind, model in sorted(created_kinds().items()) if model.resource.path and fits(model)]
    return [
        pytest.param(kind, marks=[pytest.mark.fault(row), *([] if kind in USUAL else [pytest.mark.long])])
        for kind in found
    ]


def told(model: type[SyncedDocument]) -> bool:
    """Whether Stripe tells of a change of its objects by an event that has their content."""
    return model.resource.kind in samples.CHANGES and model.resource.kind not in UNTOLD


UNTOLD = ("setup_intent", "payment_intent", "invoiceitem", "shipping_rate")  # of such a change, no event tells


def edits(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    field, value = next(iter(samples.CHANGES[kind].items()))
    return {field: value}, {field: not value if isinstance(value, bool) else f"{value}, again"}


@pytest.mark.parametrize("kind", of_kinds("28", lambda model: model.resource.announced))
def test_an_event_that_beats_the_reply_links_and_the_reply_links_nothing_more(world: World, kind: str) -> None:
    body = samples.body(kind)
    world.deliver()
    before = {remote["id"] for remote in world.stripe.objects(kind)}
    held = world.stripe.fault("hold_after", method="POST")
    creating = threading.Thread(target=lambda: sync.create(kinds()[kind], body))
    creating.start()
    assert held.entered.wait(10)

    world.deliver()

    (made,) = {remote["id"] for remote in world.stripe.objects(kind)} - before
    document = kinds()[kind].of(made)
    assert document is not None
    assert document.status == Status.ACTIVE
    held.release()
    creating.join()
    world.converge()
    assert_in_sync(world)
    assert document.reread().stripe_id == made


@pytest.mark.parametrize("kind", of_kinds("30", told))
def test_two_events_of_one_change_are_one_change(world: World, kind: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.advance(minutes=1)
    world.stripe.twin_events()
    world.stripe.dashboard.update(kind, document.stripe_id, **edits(kind)[0])
    asked = len(world.stripe.requests)

    letters = world.webhooks()
    assert len(letters) >= 2
    world.deliver(letters)

    field, value = next(iter(edits(kind)[0].items()))
    assert getattr(document.reread(), field) == value
    assert len(world.stripe.requests) == asked, "the second says nothing new, so nobody looks"
    world.converge()
    assert_in_sync(world)


@pytest.mark.parametrize("apart", [0, 2], ids=["in one second", "apart"])
@pytest.mark.parametrize("kind", of_kinds("31", told))
def test_two_changes_in_either_order_end_with_the_second(world: World, kind: str, apart: float) -> None:
    document = samples.create(kind)
    world.deliver()
    world.advance(minutes=1)
    for edit in edits(kind):
        world.stripe.dashboard.update(kind, document.stripe_id, **edit)
        world.advance(seconds=apart)

    world.deliver(world.webhooks()[::-1])

    field, value = next(iter(edits(kind)[1].items()))
    assert getattr(document.reread(), field) == value
    world.converge()
    assert_in_sync(world)


@pytest.mark.parametrize("fault", ["", "cut_after"], ids=["replied", "reply lost"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.fault("32")
def test_of_all_that_a_subscription_causes_only_itself_is_linked(world: World, fault: str, backwards: bool) -> None:
    body = samples.body("subscription")
    world.deliver()
    if fault:
        world.stripe.fault(fault, method="POST", times=2)
    subscription, _ = sync.create(kinds()["subscription"], body)
    letters = world.webhooks()
    keys = [json.loads(raw)["request"] for raw in letters]
    assert len({json.loads(raw)["data"]["object"]["object"] for raw in letters}) > 1
    assert all(request and request["idempotency_key"] == subscription.key for request in keys)

    world.deliver(letters[::-1] if backwards else letters)
    world.advance(minutes=20)
    world.converge()

    (remote,) = world.stripe.objects("subscription")
    assert Subscription.objects.get().stripe_id == remote["id"]
    assert {invoice.key for invoice in Invoice.objects} == {None}, "made aside, and adopted as such"
    assert_in_sync(world)


@pytest.mark.fault("36")
def test_an_event_is_sent_again_wherever_its_delivery_died_and_counts_once(
    database: str, clean: Callable[[], None]
) -> None:
    effect, died = 0, ""
    while died is not None:
        effect += 1
        clean()
        world = World(database, fuse=Fuse())
        try:
            customer = sync.create_customer("user@here.com")
            world.deliver()
            world.advance(minutes=1)
            world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
            (raw,) = world.webhooks()
            assert world.fuse is not None
            died = world.fuse.kill(lambda: world.send(raw), effect)  # noqa: B023
            revision = customer.reread().revision

            assert world.send(raw).status_code == 200

            assert Event.objects(id=json.loads(raw)["id"]).count() == 1
            assert customer.reread().name == "new"
            assert customer.reread().revision - revision <= 1
            world.converge()
            assert_in_sync(world)
        finally:
            world.stop()
    assert effect > 2


def unread(world: World) -> Customer:
    """A customer with an event that is kept, and could not be looked into."""
    customer = sync.create_customer("user@here.com")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    changed = world.webhooks()[-1]
    world.stripe.fault("cut_before", method="GET", times=None)
    assert world.deliver([changed]) == ["received"]
    world.stripe.calm()
    world.advance(minutes=2)
    return customer


@pytest.mark.fault("37")
def test_an_event_that_was_kept_and_answered_is_applied_by_reconcile(world: World) -> None:
    customer = unread(world)
    world.reconcile()
    assert customer.reread().name == "new"
    assert Event.objects(state="received").count() == 0
    assert_in_sync(world)


@pytest.mark.fault("38")
def test_a_worker_that_dies_over_an_event_leaves_it_to_the_next(database: str, clean: Callable[[], None]) -> None:
    effect, died = 0, ""
    while died is not None:
        effect += 1
        clean()
        world = World(database, fuse=Fuse())
        try:
            customer = unread(world)
            assert world.fuse is not None
            died = world.fuse.kill(drain, effect)
            attempts = Event.objects.get().attempts
            drain()
            if died and attempts > 1:
                assert Event.objects.get().state == "received", "it is leased to the one that died"
            world.advance(minutes=10)
            drain()
            assert Event.objects.get().state == "applied"
            assert customer.reread().name == "new"
            world.converge()
            assert_in_sync(world)
        finally:
            world.stop()
    assert effect > 2


@pytest.mark.fault("39")
def test_an_event_that_breaks_its_handler_is_kept_and_retried_and_the_others_flow(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    (created,) = world.webhooks()
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.create_customer("pending@here.com")
    broken = json.loads(created) | {"id": "evt_broken", "request": None}
    broken["data"]["object"] |= {"id": "cus_odd", "email": "pending@here.com", "created": {"nobody": "expects this"}}

    assert world.send(json.dumps(broken).encode()).json == {"state": "received"}
    assert "TypeError" in Event.objects.get().error
    assert world.deliver([created]) == ["applied"]

    world.advance(minutes=5)
    drain()
    assert Event.objects.get(id="evt_broken").attempts == 2
    world.advance(hours=2)
    drain()
    assert Event.objects.get(id="evt_broken").state == "ignored", "by then Stripe is asked, and has no such object"
    assert customer.reread().confirmed_at is not None
    world.converge()
    assert Customer.objects.get(username="pending@here.com").status == Status.ACTIVE


@pytest.mark.parametrize("kind", of_kinds("40", told))
def test_what_no_webhook_told_reconcile_hears(world: World, kind: str) -> None:
    document = samples.create(kind)
    world.webhooks()
    world.reconcile()
    world.advance(minutes=1)
    world.stripe.dashboard.update(kind, document.stripe_id, **edits(kind)[0])
    world.webhooks()
    world.advance(days=4)

    world.converge()

    field, value = next(iter(edits(kind)[0].items()))
    assert getattr(document.reread(), field) == value
    assert_in_sync(world)


@pytest.mark.parametrize("kind", of_kinds("41", lambda model: model.resource.listed and told(model)))
def test_what_stripe_never_told_at_all_the_full_comparison_sees(world: World, kind: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.reconcile()
    world.advance(minutes=1)
    world.stripe.lose_event()
    world.stripe.dashboard.update(kind, document.stripe_id, **edits(kind)[0])
    assert world.reconcile().counts["drift"] == 0

    assert world.reconcile(full=True).counts["drift"] == 1

    world.converge()
    assert_in_sync(world)


@pytest.mark.parametrize("what", ["an update under way", "a late event", "the Dashboard"])
@pytest.mark.parametrize("kind", of_kinds("56", lambda model: model.resource.deletable))
def test_what_is_deleted_stays_deleted(world: World, kind: str, what: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.reconcile()
    world.advance(minutes=1)
    if what == "an update under way":
        world.stripe.fault("cut_before", method="POST", times=2)
        assert sync.update(document.reread(), samples.CHANGES[kind]).operation is not None
    else:
        world.stripe.dashboard.update(kind, document.stripe_id, **edits(kind)[0])
    letters = world.webhooks()
    world.advance(seconds=5)
    if what == "the Dashboard":
        world.stripe.dashboard.delete(kind, document.stripe_id)
        world.deliver()
    else:
        assert sync.delete(document.reread()).status == Status.DELETED
        world.deliver()

    world.deliver(letters)

    assert document.reread().status == Status.DELETED
    world.advance(minutes=20)
    world.converge()
    assert document.reread().status == Status.DELETED
    assert kinds()[kind].objects(stripe_id=document.stripe_id).count() == 1
    assert_in_sync(world)


@pytest.mark.fault("29")
@pytest.mark.long
def test_one_event_fifty_times_at_once_is_one_row_and_one_effect(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    (raw,) = world.webhooks()

    answers = at_once(50, lambda _: world.send(raw))

    assert {answer.status_code for answer in answers} == {200}
    assert Event.objects.count() == 1
    assert customer.reread().confirmed_at is not None
    assert_in_sync(world)
