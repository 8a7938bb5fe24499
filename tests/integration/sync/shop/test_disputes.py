"""A dispute is followed: what the bank has of an order's money, and what it took for good."""

import json
import random
from typing import Any, get_args

import pytest
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, Refund, kinds
from stripe_mongo_sync.sync.notices.deliver import deliver
from stripe_mongo_sync.sync.shop.disputes import OUTCOMES, Outcome
from tests.support import samples
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.scenes import begin
from tests.support.world import World

ASKED = ("order.paid", "order.*refunded", "order.dispute*")
OPEN = ("needs_response", "under_review", "appeal_needs_response", "appeal_under_review")
NO_MONEY = ("prevented", "warning_needs_response", "warning_under_review", "warning_closed")


def bought(world: World, payment: str = "checkout") -> Order:
    """An order of 19.80 that was paid."""
    body = samples.body("order")
    if payment == "payment_intent":
        del body["success_url"]
        body |= {"payment": payment, "payment_method": "pm_card_visa"}
    order = sync.create_order(**body)
    if order.checkout_session:
        world.stripe.pay_session(order.checkout_session)
    tell(world)
    assert order.fetch_latest().payment_status == "paid"
    return order.fetch_latest()


@pytest.fixture
def paid(world: World) -> Order:
    return begin(world, compared_and_bought)


def compared_and_bought(world: World) -> Order:
    world.reconcile()
    return bought(world)


def stands(order: Order) -> tuple[str, int, int]:
    now = order.fetch_latest()
    return now.payment_status, now.amount_refunded, now.amount_lost


def tell(world: World) -> None:
    world.deliver()
    world.advance(minutes=1)


def dispute(world: World, order: Order, **how: Any) -> str:
    """Let the bank dispute it; return the id of the dispute."""
    id: str = world.stripe.dispute(order.payment_intent or "", **how)["id"]
    tell(world)
    return id


def decide(world: World, id: str, status: str) -> None:
    world.stripe.decide(id, status)
    tell(world)


def refund(world: World, order: Order, amount: int) -> None:
    world.stripe.dashboard.create("refund", payment_intent=order.payment_intent, amount=amount)
    tell(world)


def settle(world: World) -> None:
    world.converge()
    assert_in_sync(world)


def test_every_status_of_a_dispute_says_what_the_bank_has() -> None:
    known = {word for part in get_args(stripe.Dispute.__annotations__["status"]) for word in get_args(part)}

    assert known == {*OPEN, *NO_MONEY, "won", "lost"} == OUTCOMES.keys()
    assert {status for status in known if OUTCOMES[status] is None} == set(NO_MONEY)
    assert {status for status in known if OUTCOMES[status] == Outcome.OPEN} == set(OPEN)


@pytest.mark.parametrize("payment", ["checkout", "payment_intent"])
def test_a_dispute_that_is_lost_takes_the_money_for_good(world: World, payment: str) -> None:
    world.reconcile()
    with listening(*ASKED) as heard:
        order = bought(world, payment)
        id = dispute(world, order)
        assert stands(order) == ("disputed", 0, 0)
        decide(world, id, "lost")
        deliver()
    assert stands(order) == ("lost", 0, 1980)
    assert [notice.name for notice in heard] == ["order.paid", "order.disputed", "order.dispute_lost"]
    shown = world.http.get(f"/orders/{order.id}").json
    assert (shown["payment_status"], shown["amount_refunded"], shown["amount_lost"]) == ("lost", 0, 1980)
    settle(world)


def test_a_dispute_that_is_won_leaves_the_order_as_it_was_and_is_no_second_payment(world: World, paid: Order) -> None:
    refund(world, paid, 500)
    with listening(*ASKED) as heard:
        id = dispute(world, paid, amount=1480)
        assert stands(paid) == ("disputed", 500, 0)
        decide(world, id, "won")
        deliver()
    assert stands(paid) == ("partially_refunded", 500, 0)
    assert [notice.name for notice in heard] == ["order.disputed", "order.dispute_won"]
    with listening(*ASKED) as heard:
        refund(world, paid, 1480)
        deliver()
    assert stands(paid) == ("refunded", 1980, 0)
    assert [notice.name for notice in heard] == ["order.refunded"]
    settle(world)


def test_a_refund_while_a_dispute_is_open_is_told_and_counted(world: World, paid: Order) -> None:
    id = dispute(world, paid, amount=1000)
    about = {"object": "refund", "payment_intent": paid.payment_intent, "status": "succeeded", "currency": "eur"}
    with listening(*ASKED) as heard:
        told = event("refund.created", {**about, "id": "re_1Meanwhile", "amount": 980}, int(world.stripe.clock.now()))
        world.deliver([told])
        assert stands(paid) == ("disputed", 980, 0)
        decide(world, id, "lost")
        deliver()
    assert stands(paid) == ("lost", 980, 1000)
    assert [notice.name for notice in heard] == ["order.partially_refunded", "order.dispute_lost"]


def test_several_disputes_count_each(world: World, paid: Order) -> None:
    with listening(*ASKED) as heard:
        first = dispute(world, paid, amount=1000)
        second = dispute(world, paid, amount=300)
        decide(world, first, "lost")
        assert stands(paid) == ("disputed", 0, 1000), "the other is open"
        decide(world, second, "won")
        assert stands(paid) == ("lost", 0, 1000)
        third = dispute(world, paid, amount=680)
        decide(world, third, "lost")
        deliver()
    assert stands(paid) == ("lost", 0, 1680)
    names = [notice.name.removeprefix("order.") for notice in heard]
    assert names == ["disputed", "disputed", "dispute_lost", "dispute_won", "disputed", "dispute_lost"]
    settle(world)


def test_an_inquiry_takes_no_money_until_it_becomes_a_dispute(world: World, paid: Order) -> None:
    asked, closed = dispute(world, paid, inquiry=True), dispute(world, paid, inquiry=True, amount=100)
    assert stands(paid) == ("paid", 0, 0)

    with listening(*ASKED) as heard:
        decide(world, closed, "warning_closed")
        assert stands(paid) == ("paid", 0, 0)
        decide(world, asked, "needs_response")
        assert stands(paid) == ("disputed", 0, 0)
        decide(world, asked, "won")
        deliver()
    assert stands(paid) == ("paid", 0, 0)
    assert [notice.name for notice in heard] == ["order.disputed", "order.dispute_won"]
    settle(world)


def test_a_late_return_of_a_direct_debit_is_lost_from_the_start(world: World, paid: Order) -> None:
    """Stripe tells of one that comes after the success as a dispute that nobody can answer (docs, SEPA debits)."""
    with listening(*ASKED) as heard:
        world.stripe.dispute(paid.payment_intent or "", reason="debit_not_authorized")
        world.stripe.decide(world.stripe.objects("dispute")[0]["id"], "lost")
        (closed,) = [raw for raw in world.webhooks() if json.loads(raw)["type"] == "charge.dispute.closed"]
        world.deliver([closed])
        deliver()
    assert stands(paid) == ("lost", 0, 1980)
    assert [notice.name for notice in heard] == ["order.dispute_lost"]


def test_what_was_lost_may_be_appealed_and_won(world: World, paid: Order) -> None:
    id = dispute(world, paid)
    with listening(*ASKED) as heard:
        for status, stood in (("lost", ("lost", 0, 1980)), ("appeal_under_review", ("disputed", 0, 0))):
            decide(world, id, status)
            assert stands(paid) == stood
        decide(world, id, "won")
        deliver()
    assert stands(paid) == ("paid", 0, 0)
    assert [notice.name for notice in heard] == ["order.dispute_lost", "order.disputed", "order.dispute_won"]


def test_a_status_that_nobody_has_heard_of_is_a_dispute(world: World, paid: Order) -> None:
    dispute(world, paid, inquiry=True)
    remote = {**kinds()["dispute"].objects.get().stripe, "status": "arbitration"}

    world.deliver([event("charge.dispute.updated", remote, int(world.stripe.clock.now()))])

    assert stands(paid) == ("disputed", 0, 0)


def test_what_was_lost_in_another_currency_is_for_a_person_to_reckon(world: World, paid: Order) -> None:
    id = dispute(world, paid)
    remote = {**kinds()["dispute"].objects.get().stripe, "status": "lost", "currency": "usd", "amount": 2100}

    world.deliver([event("charge.dispute.closed", remote, int(world.stripe.clock.now()))])

    assert stands(paid) == ("lost", 0, 0)
    assert f"{id} took 2100 usd" in (paid.fetch_latest().review_reason or "")


def untold(world: World) -> Order:
    """An order that was paid, refunded in part, and disputed twice, of which nobody has heard."""
    world.reconcile()
    order = sync.create_order(**samples.body("order"))
    world.stripe.pay_session(order.checkout_session or "")
    (intent,) = world.stripe.objects("payment_intent")
    world.stripe.dashboard.create("refund", payment_intent=intent["id"], amount=480)
    for verdict, amount in (("lost", 700), ("won", 300)):
        world.advance(minutes=1)
        id = world.stripe.dispute(intent["id"], amount=amount)["id"]
        world.advance(days=9)
        world.stripe.decide(id, verdict)
    return order


@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_and_twice_the_events_end_in_the_same(world: World, seed: int) -> None:
    order = begin(world, untold)
    told = world.webhooks()
    random.Random(seed).shuffle(told)

    with listening(*ASKED) as heard:
        world.deliver([*told, *told])
        world.converge()
        deliver()

    assert stands(order) == ("lost", 480, 700)
    names = [notice.name for notice in heard]
    assert names.count("order.dispute_lost") == 1
    assert names.count("order.paid") + names.count("order.partially_refunded") <= 2
    assert len([n for n in names if n == "order.dispute_won"]) <= 1
    assert_in_sync(world)


def test_a_refund_that_the_bank_has_the_money_of_is_refused_by_stripe(world: World, paid: Order) -> None:
    dispute(world, paid)

    with pytest.raises(sync.Refused) as refused:
        sync.create(Refund, {"payment_intent": paid.payment_intent})

    assert refused.value.code == "charge_disputed"
    assert stands(paid) == ("disputed", 0, 0)


def test_an_order_of_an_older_version_knows_of_no_loss_and_follows_all_the_same(world: World, paid: Order) -> None:
    orders = our_database().orders
    orders.update_one({"_id": paid.id}, {"$unset": {"amount_lost": 1, "disputes": 1}})
    assert world.http.get(f"/orders/{paid.id}").json["amount_lost"] == 0

    decide(world, dispute(world, paid), "lost")

    assert stands(paid) == ("lost", 0, 1980)
    settle(world)


def test_the_disputes_of_an_order_are_found_by_an_index(world: World, paid: Order) -> None:
    dispute(world, paid)
    for model, where in (
        (kinds()["dispute"], {"stripe.payment_intent": {"$eq": paid.payment_intent}}),
        (Refund, {"payment_intent": paid.payment_intent, "stripe_status": {"$in": ["succeeded"]}}),
        (Order, {"payment_intent": {"$in": [paid.payment_intent, "pi_2"]}}),
    ):
        plan = model.objects(__raw__=where).explain()["queryPlanner"]["winningPlan"]
        assert "IXSCAN" in str(plan), plan
        assert "payment_intent" in str(plan), plan
