"""Checkout sessions, called through stripe-python at the emulator or a real sandbox."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

Client = stripe.StripeClient
Find = Callable[..., list[dict[str, Any]]]
URL = "https://example.com"
HAT: Any = {"price_data": {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}, "quantity": 2}


def session(client: Client, key: str | None = None, **more: Any) -> Any:
    params: Any = {"mode": "payment", "success_url": URL, "line_items": [HAT], **more}
    return client.v1.checkout.sessions.create(params, {"idempotency_key": key} if key else {})


def price(client: Client, **more: Any) -> str:
    params: Any = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Cap"}, **more}
    return client.v1.prices.create(params).id


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_an_open_session_waits_at_a_page(client: Client) -> None:
    made = session(client, client_reference_id="order-1")

    assert made.object == "checkout.session"
    assert made.id.startswith("cs_test_")
    assert made.url.startswith("https://")
    assert (made.status, made.payment_status, made.client_reference_id) == ("open", "unpaid", "order-1")
    assert (made.amount_total, made.currency, made.payment_intent) == (1400, "usd", None)
    assert made.expires_at - made.created == pytest.approx(86_400, abs=60)


def test_making_one_has_no_event_of_its_own(client: Client, key: str, events_with: Find) -> None:
    session(client, key, line_items=[{"price": price(client), "quantity": 1}])

    assert types(events_with(key, at_least=0)) == []


def test_the_amounts_come_from_the_prices(client: Client) -> None:
    made = session(client, line_items=[{"price": price(client), "quantity": 3}, HAT])
    items = client.v1.checkout.sessions.line_items.list(made.id).data

    assert made.amount_total == 2900
    assert sorted((item.amount_total, item.quantity, item.description) for item in items) == [
        (1400, 2, "Hat"),
        (1500, 3, "Cap"),
    ]
    shown = client.v1.checkout.sessions.retrieve(made.id, {"expand": ["line_items"]}).line_items
    assert shown is not None
    assert {item.id for item in shown.data} == {item.id for item in items}


def test_it_can_be_expired_once(client: Client, key: str, events_with: Find) -> None:
    id = session(client).id
    gone = client.v1.checkout.sessions.expire(id, {}, {"idempotency_key": key})

    assert (gone.status, gone.url) == ("expired", None)
    assert types(events_with(key)) == ["checkout.session.expired"]
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        client.v1.checkout.sessions.expire(id)


def test_sessions_are_found_by_customer_and_status(client: Client) -> None:
    customer = client.v1.customers.create({}).id
    first, second = (session(client, customer=customer).id for _ in range(2))
    client.v1.checkout.sessions.expire(first)

    found = client.v1.checkout.sessions.list({"customer": customer, "status": "open"}).data
    assert [each.id for each in found] == [second]


def test_metadata_can_be_changed_without_event(client: Client, key: str, events_with: Find) -> None:
    changed = client.v1.checkout.sessions.update(session(client).id, {"metadata": {"a": "b"}}, {"idempotency_key": key})

    assert changed.metadata is not None
    assert changed.metadata["a"] == "b"
    assert events_with(key, at_least=0) == []


def test_a_setup_session_has_an_intent_that_carries_the_key(client: Client, key: str, events_with: Find) -> None:
    made = session(client, key, mode="setup", line_items=None, currency="usd")

    assert made.payment_status == "no_payment_required"
    assert [event["data"]["object"]["id"] for event in events_with(key)] == [made.setup_intent]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"line_items": None}, "line_items"),
        ({"success_url": None}, "success_url"),
        ({"mode": "gift"}, "mode"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{**HAT, "quantity": None}]}, "line_items[0]"),
        ({"customer_email": "nobody"}, "customer_email"),
        ({"mode": "subscription"}, "line_items"),
    ],
)
def test_what_makes_no_sense_is_refused(client: Client, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        session(client, **params)
    assert caught.value.param == param


def test_an_archived_price_is_refused(client: Client) -> None:
    id = price(client)
    client.v1.prices.update(id, {"active": False})

    with pytest.raises(stripe.InvalidRequestError, match="only accepts active prices"):
        session(client, line_items=[{"price": id, "quantity": 1}])


def test_what_it_refers_to_must_exist(client: Client, emulator: Emulator) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon: 'x'"):
        session(client, discounts=[{"coupon": "x"}])
    assert emulator.objects("checkout.session") == []


def test_parameters_that_are_written_down_nowhere_are_taken_and_shown_where_the_object_has_them(client: Client) -> None:
    made = session(client, automatic_tax={"enabled": True}, phone_number_collection={"enabled": True})

    assert (made.automatic_tax.enabled, made.phone_number_collection.enabled) == (True, True)


def test_its_intent_ends_with_it_and_not_before(client: Client, key: str, events_with: Find) -> None:
    made = session(client, mode="setup", line_items=None, currency="usd")
    with pytest.raises(stripe.InvalidRequestError, match="expire the Checkout Session"):
        client.v1.setup_intents.cancel(made.setup_intent)
    client.v1.checkout.sessions.expire(made.id, {}, {"idempotency_key": key})

    assert client.v1.setup_intents.retrieve(made.setup_intent).status == "canceled"
    assert set(types(events_with(key, 2))) == {"checkout.session.expired", "setup_intent.canceled"}


class TestBuyers:
    """Events that a buyer causes have no request."""

    def test_paying_completes_it(self, client: Client, emulator: Emulator) -> None:
        made = session(client, payment_intent_data={"description": "Two hats"})
        seen = len(emulator.events())
        emulator.pay_session(made.id)

        done = client.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent.latest_charge"]})
        assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
        intent: Any = done.payment_intent
        assert (intent.amount, intent.description, intent.latest_charge.paid) == (1400, "Two hats", True)
        news = emulator.events()[seen:]
        assert types(news) == [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed",
        ]
        assert {event["request"] is None for event in news} == {True}

    def test_a_decline_leaves_it_open_for_another_card(self, client: Client, emulator: Emulator) -> None:
        id = session(client).id
        assert emulator.pay_session(id, "pm_card_chargeDeclined")["status"] == "open"
        assert emulator.events()[-1]["type"] == "payment_intent.payment_failed"

        assert emulator.pay_session(id)["status"] == "complete"
        assert len(emulator.objects("payment_intent")) == 1

    def test_a_card_that_asks_is_answered(self, client: Client, emulator: Emulator) -> None:
        assert emulator.pay_session(session(client).id, "pm_card_threeDSecure2Required")["payment_status"] == "paid"

    def test_a_held_amount_is_not_paid_yet(self, client: Client, emulator: Emulator) -> None:
        id = session(client, payment_intent_data={"capture_method": "manual"}).id

        assert emulator.pay_session(id)["payment_status"] == "unpaid"
        assert emulator.objects("payment_intent")[0]["status"] == "requires_capture"

    def test_a_card_is_saved(self, client: Client, emulator: Emulator) -> None:
        customer = client.v1.customers.create({}).id
        made = session(client, mode="setup", line_items=None, customer=customer)
        emulator.pay_session(made.id)

        assert client.v1.setup_intents.retrieve(made.setup_intent).status == "succeeded"
        assert len(client.v1.payment_methods.list({"customer": customer}).data) == 1

    def test_nothing_to_pay_needs_no_payment(self, client: Client, emulator: Emulator) -> None:
        free = price(client, unit_amount=0)
        made = session(client, line_items=[{"price": free, "quantity": 1}])

        assert emulator.pay_session(made.id)["payment_status"] == "no_payment_required"
        assert emulator.objects("payment_intent") == []

    def test_a_day_later_it_has_expired(self, client: Client, emulator: Emulator) -> None:
        id = session(client).id
        emulator.clock.advance(86_399)
        assert client.v1.checkout.sessions.retrieve(id).status == "open"
        emulator.clock.advance(2)

        assert client.v1.checkout.sessions.retrieve(id).status == "expired"
        event = emulator.events()[-1]
        assert (event["type"], event["request"]) == ("checkout.session.expired", None)
        with pytest.raises(ValueError, match="cannot be paid"):
            emulator.pay_session(id)

    def test_it_may_end_sooner(self, client: Client, emulator: Emulator) -> None:
        now = int(emulator.clock.now())
        id = session(client, expires_at=now + 3600).id
        emulator.clock.advance(3602)

        assert client.v1.checkout.sessions.retrieve(id).status == "expired"
        with pytest.raises(stripe.InvalidRequestError, match="between 30 minutes and 24 hours"):
            session(client, expires_at=now + 100_000)

    def test_a_live_session_says_so(self, emulator: Emulator) -> None:
        live = stripe.StripeClient("sk_live_x", http_client=emulator.transport())

        assert session(live).id.startswith("cs_live_")
