"""Cards, payments and refunds, called through stripe-python at the emulator or a real sandbox."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

Client = stripe.StripeClient
Find = Callable[..., list[dict[str, Any]]]
CARD_ONLY: Any = {"enabled": True, "allow_redirects": "never"}
WANTED: Any = {"amount": 1000, "currency": "usd", "automatic_payment_methods": CARD_ONLY}


@pytest.fixture
def customer(client: Client) -> str:
    return client.v1.customers.create({}).id


def attached(client: Client, customer: str, card: str = "pm_card_visa") -> str:
    return client.v1.payment_methods.attach(card, {"customer": customer}).id


def pay(client: Client, card: str = "pm_card_visa", key: str | None = None, **more: Any) -> Any:
    options: Any = {"idempotency_key": key} if key else {}
    return client.v1.payment_intents.create({**WANTED, "confirm": True, "payment_method": card, **more}, options)


def types(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["type"] for event in events)


class TestPaymentMethods:
    def test_a_token_makes_a_card(self, client: Client) -> None:
        made = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})

        assert made.id.startswith("pm_")
        assert (made.card and made.card.last4, made.customer) == ("4242", None)

    def test_a_test_id_is_a_template(self, client: Client, customer: str) -> None:
        first, second = attached(client, customer), attached(client, customer)

        assert first.startswith("pm_")
        assert len({first, second, "pm_card_visa"}) == 3

    def test_making_one_has_no_event_and_attaching_has(
        self, client: Client, customer: str, key: str, events_with: Find
    ) -> None:
        made = client.v1.payment_methods.create(
            {"type": "card", "card": {"token": "tok_visa"}}, {"idempotency_key": key}
        ).id
        client.v1.payment_methods.attach(made, {"customer": customer}, {"idempotency_key": f"{key}:attach"})

        assert types(events_with(f"{key}:attach")) == ["payment_method.attached"]
        assert events_with(key, at_least=0) == []

    def test_a_detached_one_can_never_be_attached_again(
        self, client: Client, customer: str, key: str, events_with: Find
    ) -> None:
        id = attached(client, customer)
        gone = client.v1.payment_methods.detach(id, {}, {"idempotency_key": key})

        assert gone.customer is None
        assert types(events_with(key)) == ["payment_method.detached"]
        with pytest.raises(stripe.InvalidRequestError, match="was detached from a Customer"):
            client.v1.payment_methods.attach(id, {"customer": customer})
        with pytest.raises(stripe.InvalidRequestError, match="not attached to a customer"):
            client.v1.payment_methods.detach(id)

    def test_one_of_somebody_else_is_refused(self, client: Client, customer: str) -> None:
        id = attached(client, client.v1.customers.create({}).id)

        with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
            client.v1.payment_methods.attach(id, {"customer": customer})

    def test_they_are_listed_by_customer_and_type(self, client: Client, customer: str) -> None:
        id = attached(client, customer)

        assert [each.id for each in client.v1.payment_methods.list({"customer": customer, "type": "card"}).data] == [id]
        assert [each.id for each in client.v1.customers.payment_methods.list(customer).data] == [id]
        assert client.v1.payment_methods.list({"customer": customer, "type": "paypal"}).data == []

    @pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard"])
    def test_a_declining_card_is_not_attached(self, client: Client, customer: str, card: str) -> None:
        with pytest.raises(stripe.CardError) as caught:
            attached(client, customer, card)

        assert caught.value.http_status == 402
        assert client.v1.payment_methods.list({"customer": customer}).data == []

    def test_an_update_has_an_event(self, client: Client, customer: str, key: str, events_with: Find) -> None:
        client.v1.payment_methods.update(
            attached(client, customer), {"billing_details": {"name": "A"}}, {"idempotency_key": key}
        )

        assert types(events_with(key)) == ["payment_method.updated"]

    def test_a_number_is_refused(self, client: Client) -> None:
        card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034}
        with pytest.raises(stripe.StripeError, match="generally unsafe") as caught:
            client.v1.payment_methods.create({"type": "card", "card": card})
        assert caught.value.http_status == 402

    def test_a_default_must_be_the_customers_own(self, client: Client, customer: str) -> None:
        mine, other = attached(client, customer), attached(client, client.v1.customers.create({}).id)

        changed = client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": mine}})
        assert changed.invoice_settings is not None
        assert changed.invoice_settings.default_payment_method == mine
        with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method with the ID"):
            client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": other}})

    def test_a_customer_can_bring_a_card(self, client: Client) -> None:
        card = "pm_card_visa"
        made = client.v1.customers.create(
            {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        )
        (only,) = client.v1.payment_methods.list({"customer": made.id}).data

        assert made.invoice_settings is not None
        assert made.invoice_settings.default_payment_method == only.id

    def test_a_declining_card_makes_no_customer(self, client: Client, email: str) -> None:
        with pytest.raises(stripe.CardError):
            client.v1.customers.create({"email": email, "payment_method": "pm_card_chargeDeclined"})
        assert client.v1.customers.list({"email": email}).data == []


class TestSetupIntents:
    def test_it_waits_for_a_method_then_for_confirmation(self, client: Client, customer: str) -> None:
        made = client.v1.setup_intents.create({"customer": customer})
        chosen = client.v1.setup_intents.update(made.id, {"payment_method": attached(client, customer)})

        assert (made.status, made.usage) == ("requires_payment_method", "off_session")
        assert chosen.status == "requires_confirmation"

    def test_success_saves_the_card(self, client: Client, customer: str, key: str, events_with: Find) -> None:
        done = client.v1.setup_intents.create(
            {
                "customer": customer,
                "payment_method": "pm_card_visa",
                "automatic_payment_methods": CARD_ONLY,
                "confirm": True,
            },
            {"idempotency_key": key},
        )

        assert done.status == "succeeded"
        assert [each.id for each in client.v1.payment_methods.list({"customer": customer}).data] == [
            done.payment_method
        ]
        assert types(events_with(key, 3)) == [
            "payment_method.attached",
            "setup_intent.created",
            "setup_intent.succeeded",
        ]

    def test_a_decline_names_the_intent(self, client: Client, key: str, events_with: Find) -> None:
        with pytest.raises(stripe.CardError) as caught:
            client.v1.setup_intents.create(
                {
                    "payment_method": "pm_card_chargeDeclined",
                    "confirm": True,
                    "automatic_payment_methods": CARD_ONLY,
                },
                {"idempotency_key": key},
            )

        intent = caught.value.json_body["error"]["setup_intent"]
        assert (intent["status"], intent["last_setup_error"]["code"]) == ("requires_payment_method", "card_declined")
        assert types(events_with(key, 2)) == ["setup_intent.created", "setup_intent.setup_failed"]

    def test_it_can_be_canceled_while_it_waits(self, client: Client, key: str, events_with: Find) -> None:
        id = client.v1.setup_intents.create({}).id
        gone = client.v1.setup_intents.cancel(id, {"cancellation_reason": "abandoned"}, {"idempotency_key": key})

        assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
        assert types(events_with(key)) == ["setup_intent.canceled"]
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.setup_intents.cancel(id)
        assert caught.value.code == "setup_intent_unexpected_state"


class TestPayments:
    def test_it_waits_for_a_method_then_for_confirmation(self, client: Client) -> None:
        made = client.v1.payment_intents.create(WANTED)
        chosen = client.v1.payment_intents.update(made.id, {"payment_method": "pm_card_visa", "amount": 1500})
        done = client.v1.payment_intents.confirm(made.id)

        assert [each.status for each in (made, chosen, done)] == [
            "requires_payment_method",
            "requires_confirmation",
            "succeeded",
        ]
        assert (done.amount_received, done.amount_capturable) == (1500, 0)

    def test_a_payment_and_its_charge_share_the_key(self, client: Client, key: str, events_with: Find) -> None:
        done = pay(client, key=key)
        charge = client.v1.charges.retrieve(done.latest_charge)

        assert (charge.payment_intent, charge.amount, charge.status) == (done.id, 1000, "succeeded")
        assert types(events_with(key, 3)) == ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
        assert client.v1.charges.list({"payment_intent": done.id}).data[0].id == charge.id

    @pytest.mark.parametrize(
        ("card", "code", "decline_code"),
        [
            ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
            ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
            ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
            ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
            ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
            ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ],
    )
    def test_a_decline_says_why(self, client: Client, card: str, code: str, decline_code: str | None) -> None:
        with pytest.raises(stripe.CardError) as caught:
            pay(client, card)

        error = caught.value.json_body["error"]
        assert (caught.value.http_status, error["code"]) == (402, code)
        assert decline_code is None or error["decline_code"] == decline_code

    def test_a_decline_leaves_an_intent_and_a_failed_charge(self, client: Client, key: str, events_with: Find) -> None:
        with pytest.raises(stripe.CardError) as caught:
            pay(client, "pm_card_visa_chargeDeclined", key)

        intent = client.v1.payment_intents.retrieve(caught.value.json_body["error"]["payment_intent"]["id"])
        assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
        assert intent.last_payment_error is not None
        assert intent.last_payment_error.decline_code == "generic_decline"
        charge = client.v1.charges.retrieve(str(intent.latest_charge))
        assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, "card_declined")
        assert types(events_with(key, 3)) == [
            "charge.failed",
            "payment_intent.created",
            "payment_intent.payment_failed",
        ]

    def test_a_decline_is_replayed_and_charges_nothing_again(self, client: Client, key: str) -> None:
        bodies = []
        for _ in range(2):
            with pytest.raises(stripe.CardError) as caught:
                pay(client, "pm_card_visa_chargeDeclined", key)
            bodies.append(caught.value.json_body)

        assert bodies[0] == bodies[1]
        id = bodies[0]["error"]["payment_intent"]["id"]
        assert len(client.v1.charges.list({"payment_intent": id}).data) == 1

    def test_another_card_may_follow_a_decline(self, client: Client) -> None:
        with pytest.raises(stripe.CardError) as caught:
            pay(client, "pm_card_visa_chargeDeclined")
        id = caught.value.json_body["error"]["payment_intent"]["id"]
        done = client.v1.payment_intents.confirm(id, {"payment_method": "pm_card_visa"})

        assert (done.status, done.last_payment_error) == ("succeeded", None)

    def test_a_card_may_ask_its_owner(self, client: Client, key: str, events_with: Find) -> None:
        asked = pay(client, "pm_card_authenticationRequired", key, return_url="https://example.com")

        assert asked.status == "requires_action"
        assert asked.next_action.type == "redirect_to_url"
        assert types(events_with(key, 2)) == ["payment_intent.created", "payment_intent.requires_action"]

    def test_an_absent_owner_cannot_be_asked(self, client: Client, customer: str) -> None:
        card = attached(client, customer, "pm_card_authenticationRequired")
        with pytest.raises(stripe.CardError) as caught:
            pay(client, card, customer=customer, off_session=True)
        assert caught.value.code == "authentication_required"

    def test_a_held_amount_is_captured_in_part(self, client: Client, key: str, events_with: Find) -> None:
        held = pay(client, capture_method="manual", key=key)
        done = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 400}, {"idempotency_key": f"{key}:2"})

        assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
        assert (done.status, done.amount_received) == ("succeeded", 400)
        assert "payment_intent.amount_capturable_updated" in types(events_with(key, 3))
        assert {"charge.captured", "payment_intent.succeeded"} <= set(types(events_with(f"{key}:2", 2)))
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.payment_intents.capture(held.id)
        assert caught.value.code == "payment_intent_unexpected_state"

    def test_no_more_than_held_is_captured(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.payment_intents.capture(pay(client, capture_method="manual").id, {"amount_to_capture": 1001})
        assert caught.value.code == "amount_too_large"

    def test_an_open_intent_can_be_canceled_and_a_paid_one_cannot(
        self, client: Client, key: str, events_with: Find
    ) -> None:
        id = client.v1.payment_intents.create(WANTED).id
        gone = client.v1.payment_intents.cancel(id, {"cancellation_reason": "duplicate"}, {"idempotency_key": key})

        assert (gone.status, gone.cancellation_reason) == ("canceled", "duplicate")
        assert types(events_with(key)) == ["payment_intent.canceled"]
        with pytest.raises(stripe.InvalidRequestError, match="has a status of succeeded") as caught:
            client.v1.payment_intents.cancel(pay(client).id)
        assert caught.value.code == "payment_intent_unexpected_state"

    def test_the_amount_of_a_paid_one_is_fixed(self, client: Client) -> None:
        done = pay(client)

        assert client.v1.payment_intents.update(done.id, {"description": "d"}).description == "d"
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.payment_intents.update(done.id, {"amount": 2000})
        assert caught.value.code == "payment_intent_unexpected_state"

    def test_a_card_without_customer_works_once(self, client: Client) -> None:
        card = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).id
        pay(client, card)

        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            pay(client, card)

    def test_methods_that_redirect_need_somewhere_to_return(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="you must provide a `return_url`"):
            client.v1.payment_intents.create(
                {"amount": 1000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
            )

    def test_a_tiny_amount_is_refused(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.payment_intents.create({"amount": 1, "currency": "usd"})
        assert caught.value.code == "amount_too_small"

    def test_parameters_that_stripe_does_not_have_are_refused(self, client: Client, emulator: Emulator) -> None:
        for more in ({"colour": "red"}, {"transfer_data": {"colour": "red"}}):
            with pytest.raises(stripe.InvalidRequestError) as caught:
                client.v1.payment_intents.create({**WANTED, **more})  # type: ignore[arg-type]
            assert caught.value.code == "parameter_unknown"
        assert emulator.objects("payment_intent") == []

    def test_parameters_that_are_written_down_nowhere_are_shown(self, client: Client) -> None:
        made = client.v1.payment_intents.create({**WANTED, "application_fee_amount": 5, "transfer_group": "ours"})

        assert (made.application_fee_amount, made.transfer_group) == (5, "ours")


class TestOwners:
    """Events that a cardholder's answer causes have no caller's key (stripe-facts.md#the-request-of-an-event)."""

    def test_a_yes_pays(self, client: Client, emulator: Emulator) -> None:
        asked = pay(client, "pm_card_threeDSecure2Required")
        emulator.authenticate(asked.id)

        assert client.v1.payment_intents.retrieve(asked.id).status == "succeeded"
        request = emulator.events()[-1]["request"]
        assert request["id"] is None
        assert request["idempotency_key"].startswith(f"{asked.id}-src_")

    def test_a_no_is_a_decline(self, client: Client, emulator: Emulator) -> None:
        asked = pay(client, "pm_card_threeDSecure2Required")
        emulator.authenticate(asked.id, agrees=False)

        assert client.v1.payment_intents.retrieve(asked.id).status == "requires_payment_method"
        assert emulator.events()[-1]["type"] == "payment_intent.payment_failed"

    def test_a_card_is_saved_with_a_yes(self, client: Client, emulator: Emulator, customer: str) -> None:
        asked = client.v1.setup_intents.create(
            {
                "customer": customer,
                "confirm": True,
                "payment_method": "pm_card_authenticationRequired",
                "automatic_payment_methods": CARD_ONLY,
            }
        )
        emulator.authenticate(asked.id)

        assert client.v1.setup_intents.retrieve(asked.id).status == "succeeded"
        assert len(client.v1.payment_methods.list({"customer": customer}).data) == 1


class TestRefunds:
    def test_a_refund_and_its_charge_share_the_key(self, client: Client, key: str, events_with: Find) -> None:
        paid = pay(client)
        made = client.v1.refunds.create(
            {"payment_intent": paid.id, "amount": 400, "reason": "requested_by_customer"}, {"idempotency_key": key}
        )
        charge = client.v1.charges.retrieve(paid.latest_charge)

        assert (made.status, made.amount, made.charge, made.reason) == (
            "succeeded",
            400,
            charge.id,
            "requested_by_customer",
        )
        assert (charge.amount_refunded, charge.refunded) == (400, False)
        assert {"charge.refunded", "refund.created"} <= set(types(events_with(key, 2)))

    def test_what_is_left_can_be_refunded_and_no_more(self, client: Client) -> None:
        charge = pay(client).latest_charge
        client.v1.refunds.create({"charge": charge, "amount": 400})
        with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount on charge") as caught:
            client.v1.refunds.create({"charge": charge, "amount": 601})
        assert caught.value.param == "amount"

        assert client.v1.refunds.create({"charge": charge}).amount == 600
        assert client.v1.charges.retrieve(charge).refunded is True
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.refunds.create({"charge": charge})
        assert caught.value.code == "charge_already_refunded"
        assert len(client.v1.refunds.list({"charge": charge}).data) == 2

    def test_only_what_was_captured_can_be_refunded(self, client: Client) -> None:
        held = pay(client, capture_method="manual")
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 400})
        with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
            client.v1.refunds.create({"payment_intent": held.id, "amount": 401})

        assert client.v1.refunds.create({"payment_intent": held.id}).amount == 400

    def test_an_unpaid_intent_has_nothing_to_refund(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge to refund"):
            client.v1.refunds.create({"payment_intent": client.v1.payment_intents.create(WANTED).id})

    def test_only_metadata_can_be_changed(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.refunds.create({"payment_intent": pay(client).id})
        client.v1.refunds.update(made.id, {"metadata": {"a": "b"}}, {"idempotency_key": key})

        assert types(events_with(key, 2)) == ["charge.refund.updated", "refund.updated"]
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.refunds.update(made.id, {"amount": 5})  # type: ignore[typeddict-unknown-key]

    def test_it_cannot_be_canceled_once_it_succeeded(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.refunds.cancel(client.v1.refunds.create({"payment_intent": pay(client).id}).id)
