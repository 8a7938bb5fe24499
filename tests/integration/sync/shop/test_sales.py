"""Sales as shops make them: an order takes what its session or intent takes, and a guest may buy."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import CheckoutSession, Customer, Order, PaymentIntent, kinds
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.personal.export import export
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

POST: dict[str, Any] = {
    "shipping_rate_data": {
        "display_name": "Post",
        "type": "fixed_amount",
        "fixed_amount": {"amount": 490, "currency": "eur"},
    }
}


def body(payment: str = "checkout", **fields: Any) -> dict[str, Any]:
    """Two things of 9.90 each, for a guest."""
    found = {name: value for name, value in samples.body("order").items() if name not in ("username", "success_url")}
    more = {"success_url": "https://shop.example/"} if payment == "checkout" else {}
    return {**found, "payment": payment, **more, **fields}


def order(**fields: Any) -> Order:
    given = body(**fields)
    return sync.create_order(given.pop("username", None), given.pop("items"), given.pop("payment"), **given)


def pay(world: World, bought: Order, **how: Any) -> Order:
    world.stripe.pay_session(bought.checkout_session or "", **how)
    world.deliver()
    return bought.fetch_latest()


def name_buyer(bought: Order, customer: Any) -> None:
    """Say whose the payment of a guest is, as a shop does once it knows."""
    sync.update("payment_intent", bought.payment_intent, customer=customer.stripe_id)


def settle(world: World) -> None:
    world.converge()
    assert_in_sync(world)


def test_discount_shipping_and_tax_are_stripes_to_add_up_and_the_refund_follows_that_total(world: World) -> None:
    coupon = sync.create("coupon", percent_off=50, duration="once")
    vat = sync.create("tax_rate", display_name="VAT", percentage=10, inclusive=False)
    items = [{**line, "tax_rates": [str(vat.id)]} for line in samples.items("sample")]

    bought = order(items=items, discounts=[{"coupon": str(coupon.id)}], shipping_options=[POST])

    assert (bought.amount_total, bought.payment_status) == (990 + 99 + 490, "awaiting_payment")
    paid = pay(world, bought)
    assert (paid.payment_status, paid.amount_total, paid.review_reason) == ("paid", 1579, None)
    sync.create("refund", payment_intent=paid.payment_intent, amount=1000)
    assert paid.fetch_latest().payment_status == "partially_refunded"
    sync.create("refund", payment_intent=paid.payment_intent, amount=579)
    assert paid.fetch_latest().payment_status == "refunded"
    settle(world)


def test_a_code_that_the_buyer_enters_changes_what_the_order_costs(world: World) -> None:
    coupon = sync.create("coupon", percent_off=10, duration="once")
    sync.create("promotion_code", code="TENOFF", promotion={"type": "coupon", "coupon": str(coupon.id)})
    bought = order(allow_promotion_codes=True)
    assert bought.amount_total == 1980

    paid = pay(world, bought, code="TENOFF")

    assert (paid.payment_status, paid.amount_total, paid.review_reason) == ("paid", 1782, None)
    settle(world)


def test_an_order_that_a_discount_makes_free_is_paid_without_a_payment(world: World) -> None:
    coupon = sync.create("coupon", percent_off=100, duration="once")
    bought = order(discounts=[{"coupon": coupon.stripe_id}])

    paid = pay(world, bought)

    assert (paid.payment_status, paid.amount_total, paid.payment_intent) == ("paid", 0, None)
    settle(world)


def test_the_amount_is_unknown_until_stripe_says_it(world: World) -> None:
    world.stripe.fault("cut_after", method="POST", path="/v1/checkout/sessions", times=2)

    told = world.http.post("/orders", json=body(shipping_options=[POST]))

    assert (told.status_code, told.json["amount_total"]) == (202, None)
    world.converge()
    assert Order.objects.get().amount_total == 1980 + 490


def test_everything_else_goes_to_stripe_as_it_is(world: World) -> None:
    more: dict[str, Any] = {
        "automatic_tax": {"enabled": True},
        "billing_address_collection": "required",
        "consent_collection": {"terms_of_service": "required"},
        "custom_fields": [{"key": "size", "label": {"type": "custom", "custom": "Size"}, "type": "text"}],
        "invoice_creation": {"enabled": True},
        "payment_intent_data": {"description": "Two lamps"},
        "phone_number_collection": {"enabled": True},
        "shipping_address_collection": {"allowed_countries": ["DE"]},
        "tax_id_collection": {"enabled": True},
    }

    order(**more)

    (sent,) = [request.params for request in world.stripe.requests if request.path == "/v1/checkout/sessions"]
    assert sent.keys() >= more.keys()
    assert sent["payment_intent_data"] == {"description": "Two lamps"}
    settle(world)


def test_an_intent_takes_what_an_intent_takes(world: World) -> None:
    bought = order(
        payment="payment_intent",
        payment_method="pm_card_visa",
        allowed_payment_method_types=["card"],
        description="Two lamps",
        statement_descriptor_suffix="LAMPS",
        shipping={"name": "A User", "address": {"line1": "Street 1"}},
    )

    assert bought.payment_status == "paid"
    payment = PaymentIntent.by_stripe_id(bought.payment_intent or "")
    assert payment is not None
    assert (payment.description, payment.allowed_payment_method_types) == ("Two lamps", ["card"])
    settle(world)


@pytest.mark.parametrize(
    ("payment", "fields", "named"),
    [
        ("checkout", {"mode": "setup"}, "mode"),
        ("checkout", {"line_items": []}, "line_items"),
        ("checkout", {"amount": 1}, "amount"),
        ("checkout", {"statement_descriptor": "LAMPS"}, "statement_descriptor"),
        ("checkout", {"discounts": [{"coupon": "nothing"}]}, "discounts.0.coupon"),
        ("checkout", {"discounts": [{"amount": 5}]}, "discounts.0.amount"),
        ("checkout", {"shipping_options": "post"}, "shipping_options"),
        ("checkout", {"payment_method_options": {"klarna": {"capture_method": 7}}}, "payment_method_options.klarna"),
        ("payment_intent", {"discounts": [{"coupon": "nothing"}]}, "discounts"),
        ("payment_intent", {"payment_method_data": {"allow_redisplay": "always"}}, "payment_method_data.type"),
        ("payment_intent", {"confirm": True}, "confirm"),
    ],
)
def test_what_does_not_belong_there_is_named_before_anything_is_written(
    world: World, payment: str, fields: dict[str, Any], named: str
) -> None:
    given = body(payment, **fields)
    before = len(world.stripe.requests)

    told = problem(world.http.post("/orders", json=given), 422, "invalid")

    assert any(name.startswith(named) for name in told["errors"]), told["errors"]
    assert (Order.objects.count(), CheckoutSession.objects.count(), PaymentIntent.objects.count()) == (0, 0, 0)
    assert len(world.stripe.requests) == before


def test_tax_rates_of_a_line_need_checkout(world: World) -> None:
    vat = sync.create("tax_rate", display_name="VAT", percentage=10, inclusive=False)
    items = [{**line, "tax_rates": [str(vat.id)]} for line in samples.items("sample")]

    told = problem(world.http.post("/orders", json=body("payment_intent", items=items)), 422, "invalid")

    assert told["errors"] == {"items.0.tax_rates": "does not go with payment payment_intent"}


@pytest.mark.parametrize("payment", ["checkout", "payment_intent"])
def test_a_line_without_a_quantity_is_one(world: World, payment: str) -> None:
    bought = order(payment=payment, items=[{"price": samples.items("sample")[0]["price"]}])

    assert (bought.amount_total, bought.items[0].quantity) == (990, 1)


# --- guests ---


def test_a_guest_buys_and_stays_one(world: World) -> None:
    paid = pay(world, order())

    assert (paid.payment_status, paid.username, paid.customer) == ("paid", None, None)
    assert "customer" not in next(request.params for request in world.stripe.requests if "sessions" in request.path)
    settle(world)


def test_a_guest_who_becomes_a_customer_has_the_order_and_what_it_opens(world: World) -> None:
    bought = order(customer_creation="always")

    paid = pay(world, bought)

    customer = Customer.objects.get(stripe_id=paid.customer)
    assert (paid.payment_status, paid.username, customer.username) == ("paid", None, None)
    assert [found.id for found in customer.orders()] == [bought.id]
    assert [found.id for found in sync.find("order", customer=paid.customer)] == [bought.id]
    assert sync.access(paid.customer or "", price=paid.items[0].price)["entitled"]
    settle(world)


def test_a_guest_who_is_a_customer_here_has_the_username(world: World) -> None:
    customer = samples.buyer("sample")
    bought = order(payment="payment_intent")

    name_buyer(bought, customer)

    linked = bought.fetch_latest()
    assert (linked.username, linked.customer) == ("sample@here.com", customer.stripe_id)
    assert [found.id for found in sync.find("order", username="sample@here.com")] == [bought.id]
    settle(world)


@pytest.mark.parametrize("payment", ["checkout", "payment_intent"])
def test_erase_and_export_know_the_order_of_a_guest_who_became_a_customer(world: World, payment: str) -> None:
    customer = samples.buyer("sample")
    bought = order(payment=payment)
    intent = bought.payment_intent
    if intent is None:
        world.advance(hours=1)
        session = world.stripe.objects("checkout.session")[0]
        world.stripe.insert("checkout.session", {**session, "customer": customer.stripe_id})
        pay(world, bought)
    else:
        name_buyer(bought, customer)
    assert bought.fetch_latest().username == "sample@here.com"
    exported = export("sample@here.com")
    assert str(bought.id) in str(exported)

    erase("sample@here.com")

    assert (bought.fetch_latest().username, bought.fetch_latest().erased_at is not None) == (None, True)
    assert "sample@here.com" not in str(list(kinds()["order"]._get_collection().find()))
