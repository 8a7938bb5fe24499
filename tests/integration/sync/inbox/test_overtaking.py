"""What a webhook that is faster than its reply, or than the webhook before it, must not change."""

import threading
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, PaymentIntent
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.samples import NO_REDIRECTS
from tests.support.world import World

DECLINED = "pm_card_visa_chargeDeclined"


FIRST = [order for length in range(3) for order in permutations(range(3), length)]  # which events come before the reply


VISA = "pm_card_visa"


def while_the_reply_is_held(
    world: World,
    path: str,
    body: dict[str, Any],
    first: tuple[int, ...],
    meanwhile: Callable[[], object] = lambda: None,
) -> Any:
    """Call, and let some of what Stripe tells of it come before its reply, in that order; the rest comes after."""
    held, answers = world.stripe.fault("hold_after", method="POST"), []
    client = world.app.test_client()
    client.environ_base.update(world.http.environ_base)
    calling = threading.Thread(target=lambda: answers.append(client.post(path, json=body)))
    calling.start()
    assert held.entered.wait(10)
    letters = world.webhooks()
    world.deliver([letters[number] for number in first if number < len(letters)])
    meanwhile()
    held.release()
    calling.join()
    world.deliver([raw for number, raw in enumerate(letters) if number not in first])
    return answers[0]


@pytest.mark.fault("28")
@pytest.mark.parametrize("first", FIRST, ids=str)
def test_a_decline_is_402_whichever_webhook_beats_the_reply_to_a_creation(world: World, first: tuple[int, ...]) -> None:
    body = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS}
    body |= {"payment_method": DECLINED, "confirm": True}

    assert_declined(while_the_reply_is_held(world, "/payment-intents", body, first), world)


@pytest.mark.fault("28")
@pytest.mark.parametrize("first", FIRST, ids=str)
def test_a_declined_order_is_402_whichever_webhook_beats_the_reply(world: World, first: tuple[int, ...]) -> None:
    body = {**samples.body("order"), "payment": "payment_intent", "payment_method": DECLINED}
    del body["success_url"]
    world.webhooks()

    assert_declined(while_the_reply_is_held(world, "/orders", body, first), world)


@pytest.mark.fault("28")
@pytest.mark.parametrize("first", FIRST, ids=str)
def test_a_decline_is_402_whichever_webhook_beats_the_reply_to_a_confirmation(
    world: World, first: tuple[int, ...]
) -> None:
    body = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS}
    payment, _ = sync.create(PaymentIntent, body)
    world.deliver()

    told = while_the_reply_is_held(world, f"/payment-intents/{payment.id}/confirm", {"payment_method": DECLINED}, first)

    assert_declined(told, world)


@pytest.mark.fault("28")
@pytest.mark.parametrize("path", ["/payment-intents", "/orders"])
def test_a_decline_that_is_told_late_says_nothing_of_what_another_card_has_paid(world: World, path: str) -> None:
    body: dict[str, Any] = {
        "amount": 2000,
        "currency": "eur",
        "automatic_payment_methods": NO_REDIRECTS,
        "confirm": True,
    }
    if path == "/orders":
        body = {**samples.body("order"), "payment": "payment_intent"}
        del body["success_url"]
    world.webhooks()

    def pay() -> None:
        paid = world.http.post(
            f"/payment-intents/{PaymentIntent.objects.get().id}/confirm", json={"payment_method": VISA}
        )
        assert paid.status_code == 200, paid.json

    told = while_the_reply_is_held(world, path, {**body, "payment_method": DECLINED}, (0, 1, 2), pay)

    assert told.status_code == (201 if path == "/orders" else 402), told.json  # an order is told as it stands
    for document in (*PaymentIntent.objects, *Order.objects):
        assert document.error is None
    assert PaymentIntent.objects.get().stripe_status == "succeeded"
    assert all(order.payment_status == "paid" for order in Order.objects)
    world.converge()
    assert_in_sync(world)


def assert_declined(told: Any, world: World) -> None:
    assert told.status_code == 402, told.json
    assert told.json["document"]["error"]["code"] == "card_declined"
    world.converge()
    assert all(payment.error.code == "card_declined" for payment in PaymentIntent.objects)


def test_what_is_adopted_is_current_although_its_later_events_came_first(world: World) -> None:
    world.reconcile()
    order = sync.create_order(**samples.body("order"))
    world.deliver()
    world.stripe.pay_session(order.checkout_session or "", "pm_card_visa")

    world.deliver(reversed(world.webhooks()))
    world.reconcile()

    (remote,) = world.stripe.objects("payment_intent")
    assert PaymentIntent.objects.get().stripe_status == remote["status"]
