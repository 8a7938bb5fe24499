"""Creating: one call, both sides or neither."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Status
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def test_one_call_creates_a_customer_on_both_sides(world: World) -> None:
    customer = sync.create_customer("user@here.com", name="A User")

    (remote,) = world.stripe.objects("customer")
    assert (customer.status, customer.stripe_id) == (Status.ACTIVE, remote["id"])
    assert (remote["email"], remote["name"]) == ("user@here.com", "A User")
    assert_in_sync(world)


def test_the_webhook_confirms_it(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    assert customer.confirmed_at is None

    assert world.deliver() == ["applied"]

    assert customer.fetch_latest().confirmed_at is not None
    assert_in_sync(world)


@pytest.mark.fault("8")
def test_a_username_is_taken_whatever_its_case(world: World) -> None:
    sync.create_customer("User@Here.com")

    with pytest.raises(sync.AlreadyExists):
        sync.create_customer("user@here.com")

    assert len(world.stripe.objects("customer")) == 1
    assert Customer.objects.count() == 1


@pytest.mark.fault("19")
def test_refused_nothing_is_left_on_either_side(world: World) -> None:
    world.stripe.fault("decline", method="POST")

    with pytest.raises(sync.Refused) as refused:
        sync.create_customer("user@here.com")

    assert (refused.value.code, refused.value.document.status) == ("card_declined", Status.ROLLED_BACK)
    assert world.stripe.objects("customer") == []
    assert sync.create_customer("user@here.com").status == Status.ACTIVE  # the name is free again
    assert_in_sync(world)


@pytest.mark.fault("12")
def test_a_lost_reply_does_not_create_a_second_customer(world: World) -> None:
    world.stripe.fault("cut_after", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    assert customer.status == Status.PENDING

    world.converge()

    assert len(world.stripe.objects("customer")) == 1
    assert_in_sync(world)


@pytest.mark.fault("16")
def test_a_late_orphan_of_a_rolled_back_document_is_undone_at_stripe(world: World) -> None:
    world.stripe.fault("500_repair", method="POST", times=1)
    customer = sync.create_customer("user@here.com")
    assert customer.status == Status.PENDING
    world.converge()
    assert customer.fetch_latest().status == Status.ROLLED_BACK

    key = customer.creation_key
    world.stripe.repair(request={"id": None, "idempotency_key": key})
    assert len(world.stripe.objects("customer")) == 1
    world.deliver()
    world.converge()

    assert world.stripe.objects("customer") == []
    assert_in_sync(world)
