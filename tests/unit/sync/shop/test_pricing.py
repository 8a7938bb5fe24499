"""What so many of a price come to is reckoned from every field that Stripe knows, or not at all."""

from typing import Any

import pytest
import stripe

from stripe_mongo_sync.sync.shop.pricing import NEUTRAL, SILENT, UNDERSTOOD, Unreckonable, reckon

EGGS: dict[str, Any] = {
    "id": "price_eggs",
    "object": "price",
    "active": True,
    "billing_scheme": "per_unit",
    "created": 1,
    "currency": "eur",
    "custom_unit_amount": None,
    "livemode": False,
    "lookup_key": None,
    "metadata": {},
    "nickname": "Eggs",
    "product": "prod_eggs",
    "recurring": None,
    "tax_behavior": "exclusive",
    "tiers_mode": None,
    "transform_quantity": None,
    "type": "one_time",
    "unit_amount": 300,
    "unit_amount_decimal": "300",
}


def dozen(way: str, **more: Any) -> dict[str, Any]:
    return {"transform_quantity": {"divide_by": 12, "round": way, **more}}


def test_every_field_of_a_price_is_known_to_the_reckoning() -> None:
    assert stripe.Price.__annotations__.keys() - {"OBJECT_NAME"} == SILENT | NEUTRAL.keys() | UNDERSTOOD


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_a_field_that_decides_what_a_price_comes_to_must_be_neutral(name: str) -> None:
    assert reckon({**EGGS, name: NEUTRAL[name]}, 2) == reckon({**EGGS, name: None}, 2) == 600
    for other in ("another", {"of": "its own"}, True, 0, []):
        with pytest.raises(Unreckonable, match=f"has a {name} "):
            reckon({**EGGS, name: other}, 2)


@pytest.mark.parametrize("value", ["x", 1, 0, False, {}, []])
def test_a_field_that_nobody_has_heard_of_stops_the_reckoning_unless_it_is_null(value: Any) -> None:
    assert reckon({**EGGS, "rounding": None}, 2) == 600
    with pytest.raises(Unreckonable, match="has a rounding "):
        reckon({**EGGS, "rounding": value}, 2)


@pytest.mark.parametrize(
    ("shown", "quantity", "amount"),
    [
        ({}, 1, 300),
        ({}, 999_999, 299_999_700),
        ({"unit_amount_decimal": None}, 2, 600),
        (dozen("up"), 1, 300),
        (dozen("up"), 12, 300),
        (dozen("up"), 13, 600),
        (dozen("down"), 11, 0),
        (dozen("down"), 12, 300),
        (dozen("down"), 25, 600),
        ({"unit_amount": None, "unit_amount_decimal": "12.5"}, 2, 25),
        ({"unit_amount": None, "unit_amount_decimal": "0.000000000001"}, 10**12, 1),
        ({"unit_amount": 999_999_999_999, "unit_amount_decimal": "999999999999"}, 9007, 9_006_999_999_990_993),
        ({"unit_amount": None, "unit_amount_decimal": "0.25", **dozen("up")}, 37, 1),
    ],
)
def test_what_is_understood_is_reckoned_exactly(shown: dict[str, Any], quantity: int, amount: int) -> None:
    assert reckon(EGGS | shown, quantity) == amount


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ({"unit_amount": None, "unit_amount_decimal": "12.5"}, "amounts to 37.5"),
        ({"unit_amount": None, "unit_amount_decimal": None}, "no unit amount"),
        ({"unit_amount": 300, "unit_amount_decimal": "301"}, "no unit amount"),
        ({"unit_amount": None, "unit_amount_decimal": "1e3"}, "no unit amount"),
        ({"unit_amount": None, "unit_amount_decimal": "-3"}, "no unit amount"),
        (dozen("nearest"), "transform_quantity"),
        (dozen("up", at_least=2), "transform_quantity"),
        ({"transform_quantity": {"divide_by": 0, "round": "up"}}, "transform_quantity"),
        ({"transform_quantity": {}}, "transform_quantity"),
    ],
)
def test_what_is_not_understood_is_left_to_stripe(shown: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreckonable, match=why):
        reckon(EGGS | shown, 3)


def test_a_price_that_stripe_has_not_shown_is_left_to_stripe() -> None:
    with pytest.raises(Unreckonable):
        reckon({}, 1)
