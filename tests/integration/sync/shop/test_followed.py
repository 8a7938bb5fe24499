"""What an order follows from is kept whatever ADOPT says, by every door; what is not an order's, is not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, Order, PaymentIntent, Refund, synced_kinds
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.engine.dependents import dependents_of
from tests.support import samples
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


@pytest.fixture
def shop(database: str) -> Iterator[World]:
    """A shop that adopts nothing."""
    world = World(database, settings={"ADOPT": "no"})
    world.reconcile()
    yield world
    world.stop()


def ordered(shop: World) -> Order:
    order = sync.create_order(**samples.body("order"))
    shop.stripe.pay_session(order.checkout_session or "")
    return order


def elsewhere(shop: World) -> None:
    """Somebody sells and refunds in the Dashboard: none of our business."""
    body: dict[str, Any] = {"amount": 700, "currency": "eur", "automatic_payment_methods": samples.NO_REDIRECTS}
    paid = shop.stripe.dashboard.create("payment_intent", **body, payment_method="pm_card_visa", confirm=True)
    shop.stripe.dashboard.create("refund", payment_intent=paid["id"], amount=100)
    shop.stripe.dashboard.create("customer", name="Elsewhere")


def follows(order: Order) -> None:
    """It knows of its refund, and nobody knows of what is not an order's."""
    assert (order.fetch_latest().payment_status, order.fetch_latest().amount_refunded) == ("partially_refunded", 500)
    assert {intent.stripe_id for intent in PaymentIntent.objects} <= {order.fetch_latest().payment_intent}
    assert Refund.objects.count() == 1
    assert Customer.objects.count() == 1


def test_by_webhook(shop: World) -> None:
    order = ordered(shop)
    shop.deliver()
    elsewhere(shop)
    shop.stripe.dashboard.create("refund", payment_intent=order.fetch_latest().payment_intent, amount=500)

    shop.deliver()

    follows(order)
    shop.converge()
    follows(order)
    assert {row.state for row in Event.objects} <= {"applied", "ignored", "stale"}


def test_by_the_list_of_events(shop: World) -> None:
    order = ordered(shop)
    elsewhere(shop)
    shop.stripe.dashboard.create("refund", payment_intent=shop.stripe.objects("payment_intent")[0]["id"], amount=500)
    shop.webhooks()

    shop.converge()

    follows(order)


def test_by_webhook_before_anybody_has_heard_of_the_payment(shop: World) -> None:
    order = ordered(shop)
    shop.webhooks()
    elsewhere(shop)
    shop.stripe.dashboard.create("refund", payment_intent=shop.stripe.objects("payment_intent")[0]["id"], amount=500)
    shop.advance(minutes=40)  # so late that what nobody knows by now would be ignored

    told = [raw for raw in shop.webhooks() if json.loads(raw)["type"].startswith("refund.")]
    assert set(shop.deliver(told)) == {"waiting"}
    shop.advance(minutes=40)
    shop.converge()

    follows(order)


def test_by_the_full_comparison(shop: World) -> None:
    order = ordered(shop)
    elsewhere(shop)
    shop.stripe.dashboard.create("refund", payment_intent=shop.stripe.objects("payment_intent")[0]["id"], amount=500)
    shop.webhooks()
    shop.advance(days=40)  # no event tells any more

    assert shop.reconcile(full=True).exit_code == 0

    follows(order)
    assert_in_sync_but_elsewhere(shop)


def assert_in_sync_but_elsewhere(shop: World) -> None:
    assert all(document.due_at is None and document.review_reason is None for document in shop.documents())


def test_by_backfill(shop: World, capsys: pytest.CaptureFixture[str]) -> None:
    order = ordered(shop)
    shop.deliver([raw for raw in shop.webhooks() if json.loads(raw)["type"] == "checkout.session.completed"])
    elsewhere(shop)
    shop.stripe.dashboard.create("refund", payment_intent=order.fetch_latest().payment_intent, amount=500)
    shop.webhooks()
    shop.advance(days=40)

    assert main(["backfill", "refunds", "payment-intents"]) == 0

    follows(order)
    assert {intent.stripe_id for intent in PaymentIntent.objects} == {order.fetch_latest().payment_intent}


def test_a_direct_debit_that_fails_days_later_is_seen(shop: World) -> None:
    """Its session is complete before the money came; what became of it, the payment intent tells alone."""
    order = sync.create_order(**samples.body("order"))
    (open_one,) = shop.stripe.objects("checkout.session")
    asked = {name: open_one[source] for name, source in (("amount", "amount_total"), ("currency", "currency"))}
    intent = shop.stripe.insert("payment_intent", **asked, customer=open_one["customer"], status="processing")
    done = {"status": "complete", "payment_status": "unpaid", "url": None, "payment_intent": intent["id"]}
    session = shop.stripe.insert("checkout.session", open_one | done)
    told = [("payment_intent.processing", intent), ("checkout.session.completed", session)]
    shop.deliver(event(type, remote, int(shop.stripe.clock.now())) for type, remote in told)
    assert order.fetch_latest().payment_status == "awaiting_payment"

    shop.advance(days=5)
    error = {"type": "card_error", "code": "charge_exceeds_source_limit", "message": "The account was closed."}
    failed = shop.stripe.insert(
        "payment_intent", intent | {"status": "requires_payment_method", "last_payment_error": error}
    )
    shop.deliver([event("payment_intent.payment_failed", failed, int(shop.stripe.clock.now()))])
    shop.advance(minutes=20)
    shop.converge()

    assert order.fetch_latest().payment_status == "failed"


def test_with_adoption_a_refund_that_only_a_list_shows_is_told_to_its_order(world: World) -> None:
    order = ordered(world)
    world.deliver()
    world.stripe.dashboard.create("refund", payment_intent=order.fetch_latest().payment_intent, amount=500)
    world.webhooks()
    world.advance(days=40)

    world.reconcile(full=True)

    assert (order.fetch_latest().payment_status, order.fetch_latest().amount_refunded) == ("partially_refunded", 500)
    world.converge()
    assert_in_sync(world)


def test_of_a_batch_an_order_wants_to_hear_of_what_pays_for_it(world: World) -> None:
    """Of its session by the document's id alone; of all that names its intent; of nothing else."""
    order, strange = ordered(world), samples.create("payment_intent")
    world.deliver()
    order = order.fetch_latest()
    sync.create(Refund, {"payment_intent": order.payment_intent, "amount": 500})
    session = {"id": order.checkout_session, "object": "checkout.session", "payment_intent": None}
    assert dependents_of("checkout.session", {order.payment_id: session, strange.id: session}) == {order.payment_id}
    for kind in ("payment_intent", "refund"):
        found = {document.id: document.stripe for document in synced_kinds()[kind].objects}
        paying = {id for id in found if id != strange.id}
        assert paying, kind
        assert dependents_of(kind, found) == paying
    assert dependents_of("customer", {order.id: {"id": "cus_1", "object": "customer"}}) == set()
