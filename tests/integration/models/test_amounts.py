"""Amounts: ours to hold exactly, and Stripe's to limit."""

from typing import Any

import pytest

from stripe_mongo_sync.models import PaymentIntent, Price
from stripe_mongo_sync.models.params.amounts import LARGEST
from tests.support import samples
from tests.support.answers import problem
from tests.support.world import World

RUPIAH = 999_999_999_999  # twelve digits, the most that Stripe takes of them
GIVEN = {
    "price": "unit_amount",
    "coupon": "amount_off",
    "payment_intent": "amount",
    "invoiceitem": "amount",
    "shipping_rate": "fixed_amount.amount",
}


def of(kind: str, currency: str, amount: int) -> dict[str, Any]:
    """A body with that amount."""
    body = samples.body(kind) | {"currency": currency}
    outer, _, inner = GIVEN[kind].rpartition(".")
    if outer:
        del body["currency"]
        return {**body, outer: {inner: amount, "currency": currency}}
    body.pop("percent_off", None)
    return {**body, inner: amount}


@pytest.mark.parametrize("kind", GIVEN)
def test_the_currency_decides_how_much_is_too_much_and_stripe_says_so(world: World, kind: str) -> None:
    path = {"invoiceitem": "/invoiceitems"}.get(kind, f"/{kind.replace('_', '-')}s")

    taken = world.http.post(path, json=of(kind, "idr", RUPIAH))
    assert taken.status_code == 201, taken.json
    problem(world.http.post(path, json=of(kind, "eur", 100_000_000)), 422, "refused")
    problem(world.http.post(path, json=of(kind, "eur", LARGEST)), 422, "refused")
    told = problem(world.http.post(path, json=of(kind, "eur", LARGEST + 1)), 422, "invalid")
    assert list(told["errors"]) == [GIVEN[kind]]


def test_an_order_of_millions_of_rupiah_is_paid_to_the_last(world: World) -> None:
    price = samples.sync.create(Price, of("price", "idr", RUPIAH - 1))[0]
    body = {"username": samples.payer("sample").username, "payment": "payment_intent", "payment_method": "pm_card_visa"}

    made = world.http.post("/orders", json={**body, "items": [{"price": str(price.id), "quantity": 1}]})

    assert (made.status_code, made.json["payment_status"], made.json["amount_total"]) == (201, "paid", RUPIAH - 1)
    intent = PaymentIntent.by_stripe_id(made.json["payment_intent"])
    assert intent is not None
    assert intent.amount_received == RUPIAH - 1
    many = problem(
        world.http.post("/orders", json={**body, "items": [{"price": str(price.id), "quantity": 9_100}]}),
        422,
        "invalid",
    )
    assert "amount to" in many["errors"]["items"]
