"""Webhooks come early, late, twice, in any order, or never, of every type: both sides end as one.

In the usual run a customer does; `make faults` runs all types.
"""

import json
import threading
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Invoice, Status, Subscription, SyncedDocument, kinds
from tests.faults.calls import every_type, has_created_event
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def told(model: type[SyncedDocument]) -> bool:
    """Whether Stripe tells of a change of its objects by an event that has their content."""
    return model.resource.kind in samples.CHANGES and model.resource.kind not in UNTOLD


# Of a change of these, no event tells.
UNTOLD = ("setup_intent", "payment_intent", "invoiceitem", "shipping_rate", "quote", "customer_balance_transaction")


def edits(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    field, value = next(iter(samples.CHANGES[kind].items()))
    return {field: value}, samples.another(field, value)


@pytest.mark.parametrize("kind", every_type("28", has_created_event))
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
    document = kinds()[kind].by_stripe_id(made)
    assert document is not None
    assert document.status == Status.ACTIVE
    held.release()
    creating.join()
    world.converge()
    assert_in_sync(world)
    assert document.fetch_latest().stripe_id == made


@pytest.mark.parametrize("kind", every_type("30", told))
def test_two_events_of_one_change_are_one_change(world: World, kind: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.advance(minutes=1)
    world.stripe.duplicate_events()
    world.stripe.dashboard.update(kind, document.stripe_id, **edits(kind)[0])
    asked = len(world.stripe.requests)

    letters = world.webhooks()
    assert len(letters) >= 2
    world.deliver(letters)

    field, value = next(iter(edits(kind)[0].items()))
    assert getattr(document.fetch_latest(), field) == value
    assert len(world.stripe.requests) == asked, "the second says nothing new, so nobody looks"
    world.converge()
    assert_in_sync(world)


@pytest.mark.parametrize("apart", [0, 2], ids=["in one second", "apart"])
@pytest.mark.parametrize("kind", every_type("31", told))
def test_two_changes_in_either_order_end_with_the_second(world: World, kind: str, apart: float) -> None:
    document = samples.create(kind)
    world.deliver()
    world.advance(minutes=1)
    for edit in edits(kind):
        world.stripe.dashboard.update(kind, document.stripe_id, **edit)
        world.advance(seconds=apart)

    world.deliver(world.webhooks()[::-1])

    field, value = next(iter(edits(kind)[1].items()))
    assert getattr(document.fetch_latest(), field) == value
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
    assert all(request and request["idempotency_key"] == subscription.creation_key for request in keys)

    world.deliver(letters[::-1] if backwards else letters)
    world.advance(minutes=20)
    world.converge()

    (remote,) = world.stripe.objects("subscription")
    assert Subscription.objects.get().stripe_id == remote["id"]
    assert {invoice.creation_key for invoice in Invoice.objects} == {None}, "made aside, and adopted as such"
    assert_in_sync(world)


@pytest.mark.parametrize("kind", every_type("40", told))
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
    assert getattr(document.fetch_latest(), field) == value
    assert_in_sync(world)


@pytest.mark.parametrize("kind", every_type("41", lambda model: model.resource.listable and told(model)))
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
@pytest.mark.parametrize("kind", every_type("56", lambda model: model.resource.deletable))
def test_what_is_deleted_stays_deleted(world: World, kind: str, what: str) -> None:
    document = samples.create(kind)
    world.deliver()
    world.reconcile()
    world.advance(minutes=1)
    if what == "an update under way":
        world.stripe.fault("cut_before", method="POST", times=2)
        assert sync.update(document.fetch_latest(), samples.CHANGES[kind]).operation is not None
    else:
        world.stripe.dashboard.update(kind, document.stripe_id, **edits(kind)[0])
    letters = world.webhooks()
    world.advance(seconds=5)
    if what == "the Dashboard":
        world.stripe.dashboard.delete(kind, document.stripe_id)
        world.deliver()
    else:
        assert sync.delete(document.fetch_latest()).status == Status.DELETED
        world.deliver()

    world.deliver(letters)

    assert document.fetch_latest().status == Status.DELETED
    world.advance(minutes=20)
    world.converge()
    assert document.fetch_latest().status == Status.DELETED
    assert kinds()[kind].objects(stripe_id=document.stripe_id).count() == 1
    assert_in_sync(world)
