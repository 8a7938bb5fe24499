"""What an order comes to: reckoned by all that its prices say, by Stripe, or not sold."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, PaymentIntent, Price
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

WAYS: dict[str, dict[str, Any]] = {
    "checkout": {"success_url": "https://shop.example/"},
    "payment_intent": {"payment_method": "pm_card_visa"},
}
EGGS = {"currency": "eur", "unit_amount": 300, "transform_quantity": {"divide_by": 12, "round": "up"}}
NUTS = {"currency": "eur", "unit_amount_decimal": "12.5"}


def priced(world: World, **fields: Any) -> Price:
    """A price that somebody made in the Dashboard."""
    product = world.stripe.dashboard.create("product", name="Food")
    made = world.stripe.dashboard.create("price", product=product["id"], **fields)
    world.deliver()
    price = Price.by_stripe_id(made["id"])
    assert price is not None
    return price


def order(price: Price, quantity: int, payment: str) -> dict[str, Any]:
    items = [{"price": str(price.id), "quantity": quantity}]
    return {"username": samples.payer("sample").username, "items": items, "payment": payment, **WAYS[payment]}


def buy(price: Price, quantity: int, payment: str) -> Order:
    return sync.create_order(**order(price, quantity, payment))


def pay(world: World, bought: Order) -> Order:
    world.stripe.pay_session(bought.fetch_latest().checkout_session or "")
    world.deliver()
    return bought.fetch_latest()


@pytest.mark.parametrize(("way", "quantity", "amount"), [("up", 12, 300), ("up", 13, 600), ("down", 25, 600)])
def test_packages_are_charged_as_packages_whoever_reckons(world: World, way: str, quantity: int, amount: int) -> None:
    eggs = priced(world, **EGGS | {"transform_quantity": {"divide_by": 12, "round": way}})

    by_intent, by_checkout = buy(eggs, quantity, "payment_intent"), buy(eggs, quantity, "checkout")

    assert (by_intent.payment_status, by_intent.amount_total) == ("paid", amount)
    assert [charge["amount"] for charge in world.stripe.objects("charge")] == [amount]
    assert (by_checkout.amount_total, by_checkout.review_reason) == (amount, None)
    assert pay(world, by_checkout).payment_status == "paid"
    world.converge()
    assert_in_sync(world)


def test_what_only_stripe_can_reckon_has_the_amount_that_its_page_asks_for(world: World) -> None:
    nuts = priced(world, **NUTS)
    assert buy(nuts, 4, "payment_intent").amount_total == 50

    told = problem(world.http.post("/orders", json=order(nuts, 5, "payment_intent")), 422, "invalid")
    assert "amounts to 62.5, which is no whole amount" in told["errors"]["items.0.price"]
    assert "sell it by checkout" in told["errors"]["items.0.price"]
    bought = buy(nuts, 5, "checkout")

    assert (bought.payment_status, bought.amount_total, bought.review_reason) == ("awaiting_payment", 63, None)
    assert (pay(world, bought).payment_status, bought.fetch_latest().amount_total) == ("paid", 63)
    world.converge()
    assert_in_sync(world)


def test_such_an_order_knows_its_amount_once_a_lost_reply_was_found(world: World) -> None:
    body = order(priced(world, **NUTS), 5, "checkout")
    world.stripe.fault("cut_after", method="POST", path="/v1/checkout/sessions", times=2)

    bought = world.http.post("/orders", json=body)

    assert (bought.status_code, bought.json["amount_total"]) == (202, None)
    world.converge()
    assert (Order.objects.get().payment_status, Order.objects.get().amount_total) == ("awaiting_payment", 63)


def test_the_amount_that_was_first_asked_for_is_the_orders_and_no_later_one_pays(world: World) -> None:
    bought = buy(priced(world, **NUTS), 5, "checkout")
    world.advance(hours=1)
    session = world.stripe.objects("checkout.session")[0]
    world.stripe.insert("checkout.session", {**session, "amount_total": 1})

    assert pay(world, bought).payment_status == "awaiting_payment"
    assert "asks for 1 eur, not 63 eur" in (bought.fetch_latest().review_reason or "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"billing_scheme": "tiered", "unit_amount": None}, "billing_scheme"),
        ({"rounding": "bankers"}, "rounding"),
        ({"transform_quantity": {"divide_by": 12, "round": "nearest"}}, "transform_quantity"),
    ],
)
def test_what_stripe_adds_to_a_price_stops_the_reckoning(world: World, fields: dict[str, Any], why: str) -> None:
    product = world.stripe.dashboard.create("product", name="Food")["id"]
    remote = world.stripe.insert(
        "price", product=product, currency="eur", **{"unit_amount": 300, "unit_amount_decimal": "300"} | fields
    )
    world.deliver()
    world.advance(hours=1)
    world.reconcile(full=True)

    told = problem(
        world.http.post("/orders", json=order(Price.objects.get(stripe_id=remote["id"]), 12, "payment_intent")),
        422,
        "invalid",
    )

    assert f"has a {why} that" in told["errors"]["items.0.price"]
    assert PaymentIntent.objects.count() == 0


@pytest.mark.parametrize("payment", WAYS)
def test_a_price_that_leaves_the_amount_to_the_buyer_is_not_sold(world: World, payment: str) -> None:
    gift = priced(world, currency="eur", custom_unit_amount={"enabled": True, "preset": 500})

    told = problem(world.http.post("/orders", json=order(gift, 1, payment)), 422, "invalid")

    assert "lets the buyer choose" in told["errors"]["items.0.price"]


@pytest.mark.parametrize("payment", WAYS)
@pytest.mark.parametrize("what", ["price", "product"])
def test_what_is_archived_is_not_sold(world: World, what: str, payment: str) -> None:
    price = samples.create("price")
    path = f"/prices/{price.id}" if what == "price" else f"/products/{price.product}"
    assert world.http.patch(path, json={"active": False}).status_code == 200

    told = problem(world.http.post("/orders", json=order(price, 1, payment)), 422, "invalid")

    assert "archived" in told["errors"]["items.0.price"]
    assert world.stripe.objects("payment_intent") == world.stripe.objects("checkout.session") == []


def test_a_session_asks_in_the_currency_of_the_order_wherever_its_buyer_is(world: World) -> None:
    bought = buy(samples.create("price"), 1, "checkout")

    (sent,) = [request for request in world.stripe.requests if request.path == "/v1/checkout/sessions"]
    assert (sent.params["currency"], bought.currency) == ("eur", "eur")
