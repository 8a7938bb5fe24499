"""Payouts: what one pays out is the orders, refunds and disputes here, or its report says what is not."""

import csv
import io

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, Refund, kinds
from stripe_mongo_sync.sync.errors import CannotReadStripe, NotFound, NotPossible
from stripe_mongo_sync.sync.shop.payouts import PayoutReport, payout_report
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.run import Run
from tests.support.world import World

NAME = "user@here.com"


def buy(world: World, product: str = "lamp", name: str = NAME) -> Order:
    """An order that was paid by card."""
    order = sync.create_order(name, samples.items(product), "payment_intent", payment_method="pm_card_visa")
    assert order.payment_status == "paid"
    world.deliver()
    return order.fetch_latest()


@pytest.fixture
def order(world: World) -> Order:
    sync.create_customer(NAME)
    return buy(world)


def pay_out(world: World) -> str:
    """Let Stripe's schedule pay out all that is due, and deliver the news; return the payout's id."""
    payout = world.stripe.pay_out("eur")["id"]
    world.deliver()
    return str(payout)


def report(world: World) -> PayoutReport:
    return payout_report(pay_out(world))


def refund(world: World, order: Order, amount: int) -> Refund:
    made, _ = sync.create(kinds()["refund"], {"payment_intent": order.payment_intent, "amount": amount})
    world.deliver()
    return made


def test_each_transaction_is_an_order_s_and_their_sum_is_the_payout(world: World, order: Order) -> None:
    refund(world, order, 200)
    payout, total = pay_out(world), order.amount_total or 0

    with untouched(world, may_read=True):
        told = payout_report(payout)

    assert told.problems == []
    assert [(line.type, line.amount, line.order, line.username) for line in told.lines] == [
        ("refund", -200, str(order.id), NAME),
        ("charge", total, str(order.id), NAME),
    ]
    assert {line.payment_intent for line in told.lines} == {order.payment_intent}
    fee = told.totals["charge"]["fee"]
    assert 0 < fee < total
    assert told.amount == total - 200 - fee


def test_a_payment_without_an_order_is_its_customer_s(world: World) -> None:
    sync.create_customer(NAME)
    pay = {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    sync.create(kinds()["payment_intent"], {"customer": NAME, "automatic_payment_methods": samples.NO_REDIRECTS, **pay})
    world.deliver()

    (line,) = report(world).lines

    assert (line.amount, line.order, line.username, line.problem) == (700, None, NAME, None)


def test_a_dispute_takes_its_amount_and_its_fee(world: World, order: Order) -> None:
    buy(world, "sofa")
    world.stripe.dispute(order.payment_intent or "")
    world.deliver()

    told = report(world)

    assert told.problems == []
    (taken,) = [line for line in told.lines if line.type == "adjustment"]
    assert (taken.amount, taken.fee, taken.order) == (-(order.amount_total or 0), 1500, str(order.id))


def test_what_is_not_known_here_is_named(world: World, order: Order) -> None:
    refund(world, order, 200)
    payout = pay_out(world)
    charge = kinds()["charge"].objects.first()
    charge._get_collection().delete_one({"_id": charge.id})

    told = payout_report(payout)

    (why,) = told.problems
    assert charge.stripe_id in why
    assert "`backfill charge` copies it" in why


def test_amounts_that_differ_are_named(world: World, order: Order) -> None:
    made = refund(world, order, 200)
    payout = pay_out(world)
    made._get_collection().update_one({"_id": made.id}, {"$set": {"stripe.amount": 150}})

    (why,) = payout_report(payout).problems

    assert why.endswith("the refund here has 150")


@pytest.mark.parametrize(("status", "says"), [("expired", "the order is expired"), ("paid", "")])
def test_an_order_that_is_not_paid_here_is_named(world: World, order: Order, status: str, says: str) -> None:
    payout = pay_out(world)
    Order._get_collection().update_one({"_id": order.id}, {"$set": {"payment_status": status}})

    assert [why.partition(": ")[2] for why in payout_report(payout).problems] == [says] * bool(says)


def test_a_sum_that_is_not_the_payout_is_named(world: World, order: Order) -> None:
    payout = pay_out(world)
    world.stripe.insert("payout", world.stripe.objects("payout")[0], amount=7)

    (why,) = payout_report(payout).problems

    assert "and the payout is 7" in why


def test_a_payout_that_somebody_requested_cannot_be_reported(world: World, order: Order) -> None:
    pay = {"amount": 9000, "currency": "eur", "payment_method": "pm_card_bypassPending", "confirm": True}
    world.stripe.dashboard.create("payment_intent", **pay, automatic_payment_methods=samples.NO_REDIRECTS)
    payout = world.stripe.dashboard.create("payout", amount=500, currency="eur")["id"]

    with pytest.raises(NotPossible, match="does not say what it pays out"):
        payout_report(payout)
    with pytest.raises(NotFound):
        payout_report("po_1Nobody")


def test_an_outage_is_said_and_nothing_is_concluded(world: World, order: Order) -> None:
    payout = pay_out(world)
    world.stripe.fault("500_before", path="/v1/balance_transactions", times=100)

    with pytest.raises(CannotReadStripe):
        payout_report(payout)


def test_the_command_sums_what_arrives_and_asks_for_an_operator_where_it_does_not_add_up(
    world: World, order: Order, run: Run
) -> None:
    first = pay_out(world)
    buy(world, "sofa")
    second = pay_out(world)

    code, told = run("payouts")
    assert code == 0
    assert [(each["payout"], each["adds_up"]) for each in told] == [(second, True), (first, True)]
    Order._get_collection().update_one({"_id": order.id}, {"$set": {"payment_status": "expired"}})
    code, (one,) = run("payouts", first)
    assert (code, one["adds_up"], len(one["problems"])) == (1, False, 1)
    assert run("payouts", "--since", "2099-01-01") == (0, [])
    assert run("payouts", "po_1Nobody")[0] == 1


def test_csv_has_a_line_for_each_transaction_and_no_formula(world: World, run: Run) -> None:
    sync.create_customer("=cmd()@here.com")
    order = buy(world, name="=cmd()@here.com")
    payout = pay_out(world)

    response = world.http.get(f"/payouts/{payout}/report?format=csv")

    assert response.mimetype == "text/csv"
    (line,) = csv.DictReader(io.StringIO(response.text))
    assert (line["payout"], line["order"], line["amount"]) == (payout, str(order.id), str(order.amount_total))
    assert line["username"] == "'=cmd()@here.com"


def test_the_api_answers_as_the_command_does(world: World, order: Order, run: Run) -> None:
    payout = pay_out(world)
    document = kinds()["payout"].objects.first()

    by_stripe_id, by_id = (world.http.get(f"/payouts/{id}/report") for id in (payout, document.id))

    assert by_stripe_id.json == by_id.json == run("payouts", payout)[1][0]
    problem(world.http.get("/payouts/po_1Nobody/report"), 404, "not-found")
    problem(world.http.get(f"/payouts/{payout}/report?format=pdf"), 422, "invalid")
    problem(world.http.get(f"/payouts/{payout}/report?limit=1"), 422, "invalid")
