"""An order is paid by its own customer: a payment that was given to another, or to nobody, is for a person."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, PaymentIntent, Refund
from stripe_mongo_sync.sync.notices.deliver import deliver
from tests.support import samples
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.world import World

CARD = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/back"}


def ordered(payment: str, **more: Any) -> Order:
    body = samples.body("order")
    if payment == "payment_intent":
        del body["success_url"]
    return sync.create_order(**{**body, "payment": payment, **more})


def intent_of(order: Order) -> PaymentIntent:
    found = PaymentIntent.by_stripe_id(order.fetch_latest().payment_intent or "")
    assert found is not None
    return found


def given_to(world: World, order: Order, customer: str | None) -> None:
    """Stripe shows the payment of an order as another customer's, whatever its state."""
    remote = {**(intent_of(order).stripe or {}), "customer": customer}
    world.stripe.insert("payment_intent", remote)
    world.advance(minutes=1)
    world.deliver([event("payment_intent.succeeded", remote, int(world.stripe.clock.now()))])


@pytest.mark.parametrize(("door", "whose"), [("ours", "another"), ("ours", "nobody"), ("the dashboard", "another")])
def test_a_payment_that_was_given_to_another_customer_pays_for_no_order(world: World, door: str, whose: str) -> None:
    with listening("order.paid") as heard:
        order = ordered("payment_intent")
        world.deliver()
        bob = sync.create_customer("bob@here.com") if whose == "another" else None
        if door == "ours":
            sync.update(intent_of(order), {"customer": str(bob.id) if bob else None})
        else:
            to = str(bob.stripe_id) if bob else ""
            world.stripe.dashboard.update("payment_intent", str(order.payment_intent), customer=to)

        assert sync.act(intent_of(order), "confirm", CARD).stripe_status == "succeeded"
        world.deliver()
        deliver()

    now = order.fetch_latest()
    assert now.payment_status == "awaiting_payment"
    assert f"is of {bob.stripe_id if bob else 'no customer'}, not of {order.customer}" in (now.review_reason or "")
    assert heard == []
    assert world.reconcile().exit_code == 1

    refund, _ = sync.create(Refund, {"payment_intent": now.payment_intent})
    world.deliver()
    assert refund.stripe_status == "succeeded"
    assert order.fetch_latest().review_reason is None, "all of it was given back"


@pytest.mark.parametrize(("payment", "whose"), [("checkout", "nobody"), ("payment_intent", "another")])
def test_what_was_paid_stays_paid_and_is_for_a_person_when_its_payment_is_given_away(
    world: World, payment: str, whose: str
) -> None:
    with listening("order.*") as heard:
        order = ordered(payment, **({} if payment == "checkout" else CARD))
        if order.checkout_session:
            world.stripe.pay_session(order.checkout_session)
        world.deliver()
        assert (order.fetch_latest().payment_status, order.fetch_latest().review_reason) == ("paid", None)

        given_to(world, order, sync.create_customer("bob@here.com").stripe_id if whose == "another" else None)
        now = order.fetch_latest()
        assert (now.payment_status, now.customer) == ("paid", order.customer)
        assert f"not of {order.customer}" in (now.review_reason or "")

        given_to(world, order, order.customer)
        assert order.fetch_latest().review_reason is None, "it is theirs again"
        deliver()
    told = {notice.name for notice in heard}
    assert ("order.paid" in told, "order.awaiting_payment" in told) == (True, payment == "checkout")


def test_an_order_whose_customer_is_gone_stays_as_it_is(world: World) -> None:
    order = ordered("checkout")
    world.stripe.pay_session(str(order.checkout_session))
    world.deliver()

    world.stripe.dashboard.delete("customer", str(order.customer))
    world.deliver()
    world.reconcile(full=True)

    now = order.fetch_latest()
    assert (now.payment_status, now.review_reason) == ("paid", None)


def test_a_payment_of_another_that_can_no_longer_be_paid_is_nobodys_matter(world: World) -> None:
    order = ordered("payment_intent")
    world.deliver()
    sync.update(intent_of(order), {"customer": None})
    assert order.fetch_latest().review_reason is not None, "before anybody pays"

    sync.act(intent_of(order), "cancel", {})

    now = order.fetch_latest()
    assert (now.payment_status, now.review_reason) == ("canceled", None)
