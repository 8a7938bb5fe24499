"""The total of a checkout session: discount, tax rates and shipping, at the emulator or a real sandbox."""

from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

Client = stripe.StripeClient


def line(amount: int = 1000, **more: Any) -> dict[str, Any]:
    data = {"currency": "eur", "unit_amount": amount, "product_data": {"name": "Lamp"}}
    return {"price_data": data, "quantity": 2, **more}


def session(client: Client, *lines: dict[str, Any], **more: Any) -> Any:
    wanted: Any = {"mode": "payment", "success_url": "https://shop.example/", "line_items": [*lines] or [line()]}
    return client.v1.checkout.sessions.create({**wanted, **more})


def rate(client: Client, percentage: float, *, inclusive: bool) -> str:
    made: Any = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    return client.v1.tax_rates.create(made).id


def coupon(client: Client, **fields: Any) -> str:
    return client.v1.coupons.create({"duration": "once", **fields}).id  # type: ignore[typeddict-item]


def parts(made: Any) -> tuple[int, int, int, int]:
    """Its total, and what of it is discount, shipping and tax."""
    told = made.total_details
    return made.amount_total, told.amount_discount, told.amount_shipping, told.amount_tax


def test_a_percentage_is_taken_off_each_line(client: Client) -> None:
    made = session(client, discounts=[{"coupon": coupon(client, percent_off=25)}])

    assert (made.amount_subtotal, *parts(made)) == (2000, 1500, 500, 0, 0)
    assert made.discounts[0].promotion_code is None


def test_an_amount_is_taken_off_in_proportion(client: Client) -> None:
    off = [{"coupon": coupon(client, amount_off=300, currency="eur")}]
    made = session(client, line(1000), line(500), discounts=off)

    assert parts(made) == (2700, 300, 0, 0)
    items = client.v1.checkout.sessions.line_items.list(made.id).data
    assert sorted(item.amount_discount for item in items) == [100, 200]


def test_a_promotion_code_is_its_coupon(client: Client) -> None:
    code = client.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon(client, percent_off=100)}}
    )
    made = session(client, discounts=[{"promotion_code": code.id}])

    assert (parts(made), made.payment_status) == ((0, 2000, 0, 0), "no_payment_required")
    assert made.discounts[0].promotion_code == code.id


@pytest.mark.parametrize(("inclusive", "total", "tax"), [(False, 2380, 380), (True, 2000, 319)])
def test_a_tax_rate_is_added_or_is_within(client: Client, inclusive: bool, total: int, tax: int) -> None:
    made = session(client, line(tax_rates=[rate(client, 19, inclusive=inclusive)]))

    assert (made.amount_subtotal, *parts(made)) == (2000, total, 0, 0, tax)


def test_tax_is_on_what_the_discount_leaves(client: Client) -> None:
    rates = [rate(client, 10, inclusive=False)]
    made = session(client, line(tax_rates=rates), discounts=[{"coupon": coupon(client, percent_off=50)}])

    assert parts(made) == (1100, 1000, 0, 100)


def test_the_first_shipping_option_is_chosen(client: Client) -> None:
    first, second = (
        {"shipping_rate_data": {"display_name": name, "type": "fixed_amount", "fixed_amount": fixed}}
        for name, fixed in (
            ("Post", {"amount": 490, "currency": "eur"}),
            ("Courier", {"amount": 990, "currency": "eur"}),
        )
    )
    made = session(client, shipping_options=[first, second])

    assert (parts(made), made.shipping_cost.amount_total) == ((2490, 0, 490, 0), 490)
    assert [option.shipping_amount for option in made.shipping_options] == [490, 990]


@pytest.mark.parametrize("both", [True, False])
def test_what_cannot_be_taken_off_is_refused(client: Client, both: bool) -> None:
    off = [{"coupon": coupon(client, amount_off=300, currency="usd")}]
    more: Any = {"allow_promotion_codes": True} if both else {}

    with pytest.raises(stripe.InvalidRequestError):
        session(client, discounts=off, **more)


def test_a_buyer_enters_a_code_and_becomes_a_customer(client: Client, emulator: Emulator) -> None:
    client.v1.promotion_codes.create(
        {"code": "TENOFF", "promotion": {"type": "coupon", "coupon": coupon(client, percent_off=10)}}
    )
    made = session(client, allow_promotion_codes=True, customer_creation="always")
    assert (made.amount_total, made.customer) == (2000, None)

    emulator.pay_session(made.id, "pm_card_chargeDeclined")
    emulator.pay_session(made.id, code="TENOFF")

    paid = client.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
    assert (parts(paid), paid.payment_status) == ((1800, 200, 0, 0), "paid")
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert (paid.payment_intent.amount_received, paid.payment_intent.customer) == (1800, paid.customer)
    assert paid.customer is not None
