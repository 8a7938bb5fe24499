"""What a caller gave reaches Stripe at any depth and in every attempt, whether or not it is a field."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import Price, Product, Subscription, created_kinds
from stripe_mongo_sync.sync.engine.refresh import resembles
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

# Parameters of each kind that are no fields, or deeper than its fields are.
MORE: dict[str, dict[str, Any]] = {
    "customer": {"cash_balance": {"settings": {"reconciliation_mode": "manual"}}, "tax": {"ip_address": "192.0.2.1"}},
    "product": {"tax_details": {"tax_code": "txcd_10000000"}, "marketing_features": [{"name": "Light"}]},
    "price": {"transform_quantity": {"divide_by": 10, "round": "up"}, "tax_behavior": "inclusive"},
    "payment_intent": {
        "shipping": {"name": "Ann", "address": {"city": "Berlin", "country": "DE"}},
        "payment_method_options": {"card": {"request_three_d_secure": "any"}},
        "transfer_group": "ours",
    },
    "checkout.session": {
        "custom_text": {"submit": {"message": "Thank you"}},
        "payment_intent_data": {"description": "a lamp", "shipping": {"name": "Ann", "address": {"line1": "Way 1"}}},
        "phone_number_collection": {"enabled": True},
    },
    "subscription": {"trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}}, "trial_period_days": 7},
    "invoice": {"custom_fields": [{"name": "Order", "value": "7"}], "rendering": {"amount_tax_display": "exclude_tax"}},
    "payment_link": {"after_completion": {"type": "redirect", "redirect": {"url": "https://shop.example"}}},
    "setup_intent": {"payment_method_options": {"card": {"request_three_d_secure": "any"}}},
}


@pytest.mark.parametrize("kind", MORE)
def test_every_attempt_sends_what_was_given_and_nothing_else_is_shown_of_it(world: World, kind: str) -> None:
    model, body = created_kinds()[kind], samples.body(kind) | MORE[kind]
    seen = len(world.stripe.requests)
    world.stripe.fault("cut_before", method="POST", times=2)

    document, _ = sync.create(model, body)

    assert document.status == "pending"
    shown = world.http.get(f"/{plural_of(model)}/{document.id}").json
    assert MORE[kind].keys() & shown.keys() <= model.own_fields().keys()
    world.advance(minutes=5)
    world.converge()
    asked = world.stripe.requests[seen:]
    posts = [each for each in asked if each.path == model.resource.path and each.method == "POST"]
    first = posts[-3:]
    assert len({each.key for each in first}) == 1
    assert all(each.params == first[0].params for each in first)
    linked = document.fetch_latest()
    assert linked.status == "active"
    world.deliver()
    assert_in_sync(world)


@pytest.mark.parametrize("kind", MORE)
def test_parameters_that_are_no_fields_do_not_keep_an_object_from_being_recognized(world: World, kind: str) -> None:
    body = samples.body(kind) | MORE[kind]
    world.stripe.fault("cut_after", method="POST", times=2)
    document, _ = sync.create(created_kinds()[kind], body)
    assert document.status == "pending"

    (remote,) = world.stripe.objects(kind)

    assert resembles(document, remote)
    world.deliver()
    world.converge()
    assert document.fetch_latest().stripe_id == remote["id"]
    assert_in_sync(world)


def test_a_reference_at_any_depth_is_our_id_or_stripes(world: World) -> None:
    coupon, rate = samples.create("coupon"), samples.create("tax_rate")
    body = samples.body("subscription")
    body["items"][0]["tax_rates"] = [str(rate.id)]

    subscription, _ = sync.create(Subscription, body | {"discounts": [{"coupon": str(coupon.id)}]})

    assert subscription.status == "active"
    sent = next(each.params for each in reversed(world.stripe.requests) if each.path == "/v1/subscriptions")
    assert sent["discounts"] in ([{"coupon": coupon.stripe_id}], {"0": {"coupon": coupon.stripe_id}})
    assert rate.stripe_id in repr(sent["items"])
    world.http.delete(f"/coupons/{coupon.id}")
    told = world.http.patch(f"/subscriptions/{subscription.id}", json={"discounts": [{"coupon": coupon.stripe_id}]})
    assert list(problem(told, 422, "invalid")["errors"]) == ["discounts.0.coupon"]


def test_what_is_made_along_with_an_object_gets_a_document_of_its_own(world: World) -> None:
    price, _ = sync.create(Price, {"currency": "eur", "unit_amount": 500, "product_data": {"name": "Lamp"}})
    world.deliver()
    world.converge()

    assert [product.stripe_id for product in Product.objects] == [price.product]
    assert_in_sync(world)


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"description": "x"}, False),
        ({"cancel_at_period_end": True, "cancellation_details": {"comment": "x"}}, False),
        ({"items": [{"price": "price_1"}]}, True),
        ({"trial_end": "now"}, True),
        ({"billing_cycle_anchor": "now"}, True),
        ({"add_invoice_items": [{"price": "price_1"}]}, True),
        ({"description": "x", "pending_invoice_item_interval": {"interval": "day"}}, True),
    ],
)
def test_a_change_of_a_subscription_that_may_charge_moves_money(change: dict[str, Any], moves: bool) -> None:
    assert Subscription.resource.moves_money("update", change) is moves


def test_a_cancellation_with_an_invoice_and_a_balance_move_money() -> None:
    customer = created_kinds()["customer"].resource

    assert Subscription.resource.moves_money("cancel", {"invoice_now": True})
    assert not Subscription.resource.moves_money("cancel", {"at_period_end": True})
    assert customer.moves_money("update", {"balance": -500})
    assert not customer.moves_money("update", {"name": "Ann"})


def test_a_parameter_is_sent_whatever_its_name_is_to_stripe_python(world: World) -> None:
    """Its `raw_request` takes an argument `usage` for itself."""
    intent = samples.create("setup_intent", "first")
    other, _ = sync.create(created_kinds()["setup_intent"], samples.body("setup_intent") | {"usage": "on_session"})

    assert (intent.usage, other.usage) == ("off_session", "on_session")  # type: ignore[attr-defined]
    assert_in_sync(world)
