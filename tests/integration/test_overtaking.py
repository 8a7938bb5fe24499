"""What a webhook that is faster than its reply, or than the webhook before it, must not change."""

import threading
from typing import Any

import sync
from models import PaymentIntent
from tests.support import samples
from tests.support.samples import NO_REDIRECTS
from tests.support.world import World

DECLINED = "pm_card_visa_chargeDeclined"


def while_the_reply_is_held(world: World, path: str, body: dict[str, Any]) -> Any:
    held, answers = world.stripe.fault("hold_after", method="POST"), []
    client = world.app.test_client()
    client.environ_base.update(world.http.environ_base)
    calling = threading.Thread(target=lambda: answers.append(client.post(path, json=body)))
    calling.start()
    assert held.entered.wait(10)
    world.deliver()
    held.release()
    calling.join()
    return answers[0]


def test_a_decline_is_402_also_when_its_webhook_beats_the_reply_to_a_creation(world: World) -> None:
    body = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS}

    told = while_the_reply_is_held(world, "/payment-intents", {**body, "payment_method": DECLINED, "confirm": True})

    assert told.status_code == 402, told.json


def test_a_declined_order_is_402_also_when_the_webhook_beats_the_reply(world: World) -> None:
    body = {**samples.body("order"), "payment": "payment_intent", "payment_method": DECLINED}
    del body["success_url"]

    told = while_the_reply_is_held(world, "/orders", body)

    assert told.status_code == 402, told.json


def test_a_decline_is_402_also_when_its_webhook_beats_the_reply_to_a_confirmation(world: World) -> None:
    body = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS}
    payment, _ = sync.create(PaymentIntent, body)

    told = while_the_reply_is_held(world, f"/payment-intents/{payment.id}/confirm", {"payment_method": DECLINED})

    assert told.status_code == 402, told.json


def test_what_is_adopted_is_current_although_its_later_events_came_first(world: World) -> None:
    world.reconcile()
    order = sync.create_order(**samples.body("order"))
    world.deliver()
    world.stripe.pay_session(order.checkout_session or "", "pm_card_visa")

    world.deliver(reversed(world.webhooks()))
    world.reconcile()

    (remote,) = world.stripe.objects("payment_intent")
    assert PaymentIntent.objects.get().stripe_status == remote["status"]
