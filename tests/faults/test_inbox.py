"""The inbox keeps each event once and applies it once, whoever dies over it."""

import json
from functools import partial

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.sync.inbox.inbox import drain
from tests.support import samples
from tests.support.answers import at_once
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.world import World


@pytest.mark.fault("36")
def test_an_event_is_sent_again_wherever_its_delivery_died_and_counts_once(lives: Lives) -> None:
    world = lives.world
    customer = sync.create_customer("user@here.com")
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    (raw,) = world.webhooks()
    for _ in lives.deaths(partial(world.send, raw), least=2):
        revision = customer.fetch_latest().revision

        assert world.send(raw).status_code == 200

        assert Event.objects(id=json.loads(raw)["id"]).count() == 1
        assert customer.fetch_latest().name == "new"
        assert customer.fetch_latest().revision - revision <= 1
        world.converge()
        assert_in_sync(world)


def unread(world: World) -> Customer:
    """A customer with an event that is kept, and could not be looked into."""
    customer = sync.create_customer("user@here.com")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    changed = world.webhooks()[-1]
    world.stripe.fault("cut_before", method="GET", times=None)
    assert world.deliver([changed]) == ["received"]
    world.stripe.clear_faults()
    world.advance(minutes=2)
    return customer


@pytest.mark.fault("37")
def test_an_event_that_was_kept_and_answered_is_applied_by_reconcile(world: World) -> None:
    customer = unread(world)
    world.reconcile()
    assert customer.fetch_latest().name == "new"
    assert Event.objects(state="received").count() == 0
    assert_in_sync(world)


@pytest.mark.fault("38")
def test_a_worker_that_dies_over_an_event_leaves_it_to_the_next(lives: Lives) -> None:
    world = lives.world
    customer = unread(world)
    for death in lives.deaths(drain, least=2):
        left = Event.objects.get()
        drain()
        if death.died and left.attempts > 1:
            assert Event.objects.get().state == left.state, "it is leased to the one that died"
        world.advance(minutes=10)
        drain()
        assert Event.objects.get().state == "applied"
        assert customer.fetch_latest().name == "new"
        world.converge()
        assert_in_sync(world)


@pytest.mark.fault("39")
def test_an_event_that_breaks_its_handler_is_retried_then_dead_and_the_others_flow(world: World) -> None:
    item = samples.create("invoiceitem")
    world.deliver()
    world.advance(seconds=30)
    (remote,) = world.stripe.objects("invoiceitem")
    broken = event("invoiceitem.updated", {**remote, "pricing": "not as Stripe has it"}, int(world.stripe.clock.now()))
    customer = sync.create_customer("user@here.com")

    assert world.deliver([broken, *world.webhooks()]) == ["received", "applied"]

    assert customer.fetch_latest().confirmed_at is not None
    for _ in range(20):
        world.advance(hours=2)
        drain()
    row = Event.objects.get(state="dead")
    assert "AttributeError" in row.reason
    assert bytes(row.raw) == broken
    assert item.fetch_latest().revision == item.revision + 1, "confirmed, and not touched since"
    assert world.reconcile().exit_code == 1, "a person is told"


@pytest.mark.fault("29")
@pytest.mark.long
def test_one_event_fifty_times_at_once_is_one_row_and_one_effect(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    (raw,) = world.webhooks()

    answers = at_once(50, lambda _: world.send(raw))

    assert {answer.status_code for answer in answers} == {200}
    assert Event.objects.count() == 1
    assert customer.fetch_latest().confirmed_at is not None
    assert_in_sync(world)
