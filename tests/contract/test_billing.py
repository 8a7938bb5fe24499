"""Subscriptions and invoices, called through stripe-python at the emulator or a real sandbox."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

Client = stripe.StripeClient
Find = Callable[..., list[dict[str, Any]]]
DAY = 86_400


@pytest.fixture
def customer(client: Client) -> str:
    """A customer with a good card."""
    return somebody(client)


def somebody(client: Client, card: str = "pm_card_visa") -> str:
    id = client.v1.customers.create({}).id
    method = client.v1.payment_methods.attach(card, {"customer": id}).id
    client.v1.customers.update(id, {"invoice_settings": {"default_payment_method": method}})
    return id


@pytest.fixture
def monthly(client: Client) -> str:
    return price(client, recurring={"interval": "month"})


def price(client: Client, **more: Any) -> str:
    params: Any = {"currency": "usd", "unit_amount": 900, "product_data": {"name": "News"}, **more}
    return client.v1.prices.create(params).id


def subscribe(client: Client, customer: str, price: str, key: str | None = None, **more: Any) -> Any:
    params: Any = {"customer": customer, "items": [{"price": price}], **more}
    return client.v1.subscriptions.create(params, {"idempotency_key": key} if key else {})


def types(events: list[dict[str, Any]]) -> set[str]:
    return {event["type"] for event in events}


class TestSubscriptions:
    def test_everything_that_comes_along_carries_the_key(
        self, client: Client, customer: str, monthly: str, key: str, events_with: Find
    ) -> None:
        made = subscribe(client, customer, monthly, key, expand=["latest_invoice.payments"])

        assert made.status == "active"
        assert (made.latest_invoice.status, made.latest_invoice.amount_paid) == ("paid", 900)
        assert made.latest_invoice.billing_reason == "subscription_create"
        assert made.latest_invoice.payments.data[0].payment.type == "payment_intent"
        assert {
            "customer.subscription.created",
            "invoice.created",
            "invoice.finalized",
            "invoice.paid",
            "invoice.payment_succeeded",
            "payment_intent.created",
            "payment_intent.succeeded",
            "charge.succeeded",
        } <= types(events_with(key, 8))

    def test_items_have_ids_and_a_period(self, client: Client, customer: str, monthly: str) -> None:
        (item,) = subscribe(client, customer, monthly)["items"].data

        assert item.id.startswith("si_")
        assert item.price.id == monthly
        assert 28 * DAY <= item.current_period_end - item.current_period_start <= 31 * DAY

    def test_without_a_card_it_is_refused(self, client: Client, monthly: str) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="no attached payment source") as caught:
            subscribe(client, client.v1.customers.create({}).id, monthly)
        assert caught.value.code == "resource_missing"

    def test_the_first_payment_may_be_left_to_the_customer(self, client: Client, monthly: str) -> None:
        customer = client.v1.customers.create({}).id
        made = subscribe(
            client,
            customer,
            monthly,
            payment_behavior="default_incomplete",
            payment_settings={"save_default_payment_method": "on_subscription"},
            expand=["latest_invoice.payments", "latest_invoice.confirmation_secret"],
        )
        intent = made.latest_invoice.payments.data[0].payment.payment_intent

        assert (made.status, made.latest_invoice.status) == ("incomplete", "open")
        assert made.latest_invoice.confirmation_secret.client_secret.startswith(f"{intent}_secret_")
        client.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
        done = client.v1.subscriptions.retrieve(made.id)
        assert done.status == "active"
        assert done.default_payment_method is not None

    def test_a_decline_leaves_it_incomplete(self, client: Client, monthly: str, key: str, events_with: Find) -> None:
        made = subscribe(
            client, somebody(client, "pm_card_chargeCustomerFail"), monthly, key, expand=["latest_invoice"]
        )

        assert (made.status, made.latest_invoice.status) == ("incomplete", "open")
        assert {"invoice.payment_failed", "charge.failed"} <= types(events_with(key, 6))

    def test_a_decline_may_undo_it(self, client: Client, monthly: str) -> None:
        customer = somebody(client, "pm_card_chargeCustomerFail")
        with pytest.raises(stripe.CardError):
            subscribe(client, customer, monthly, payment_behavior="error_if_incomplete")

        assert client.v1.subscriptions.list({"customer": customer, "status": "all"}).data == []

    def test_a_trial_costs_nothing_yet(self, client: Client, monthly: str) -> None:
        customer = client.v1.customers.create({}).id
        made = subscribe(client, customer, monthly, trial_period_days=7, expand=["latest_invoice"])

        assert (made.status, made.latest_invoice.total) == ("trialing", 0)
        assert made.trial_end - made.trial_start == 7 * DAY

    def test_one_time_prices_are_refused(self, client: Client, customer: str) -> None:
        with pytest.raises(stripe.InvalidRequestError):
            subscribe(client, customer, price(client))

    def test_a_strangers_card_is_refused(self, client: Client, customer: str, monthly: str) -> None:
        other = client.v1.payment_methods.attach("pm_card_visa", {"customer": client.v1.customers.create({}).id}).id
        with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method with the ID"):
            subscribe(client, customer, monthly, default_payment_method=other)

    def test_updates_have_an_event(
        self, client: Client, customer: str, monthly: str, key: str, events_with: Find
    ) -> None:
        made = subscribe(client, customer, monthly)
        item = made["items"].data[0].id
        changed: Any = client.v1.subscriptions.update(
            made.id,
            {"items": [{"id": item, "quantity": 3}], "proration_behavior": "none", "cancel_at_period_end": True},
            {"idempotency_key": key},
        )

        assert changed["items"].data[0].quantity == 3
        assert changed.cancel_at == changed["items"].data[0].current_period_end
        assert types(events_with(key)) == {"customer.subscription.updated"}

    def test_collection_can_be_paused(self, client: Client, customer: str, monthly: str) -> None:
        id = subscribe(client, customer, monthly).id
        paused = client.v1.subscriptions.update(id, {"pause_collection": {"behavior": "void"}})
        again = client.v1.subscriptions.update(id, {"pause_collection": ""})

        assert paused.pause_collection is not None
        assert (paused.status, paused.pause_collection.behavior) == ("active", "void")
        assert again.pause_collection is None
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.subscriptions.resume(id)

    def test_a_canceled_one_stays_readable_and_fixed(
        self, client: Client, customer: str, monthly: str, key: str
    ) -> None:
        id = subscribe(client, customer, monthly).id
        gone = client.v1.subscriptions.cancel(id, {"cancellation_details": {"comment": "Bye"}})

        assert (gone.id, gone.status) == (id, "canceled")
        assert gone.ended_at is not None
        assert client.v1.subscriptions.retrieve(id).status == "canceled"
        assert client.v1.subscriptions.list({"customer": customer}).data == []
        with pytest.raises(stripe.InvalidRequestError, match="canceled subscription"):
            client.v1.subscriptions.update(id, {"cancel_at_period_end": True})
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.subscriptions.cancel(id)
        assert caught.value.code == "resource_missing"

    def test_deleting_a_customer_cancels(self, client: Client, customer: str, monthly: str) -> None:
        id = subscribe(client, customer, monthly).id
        client.v1.customers.delete(customer)

        assert client.v1.subscriptions.retrieve(id).status == "canceled"


class TestTime:
    """Events of renewals have no request."""

    def test_a_month_renews(self, client: Client, customer: str, monthly: str, emulator: Emulator) -> None:
        made = subscribe(client, customer, monthly)
        seen = len(emulator.events())
        emulator.clock.advance(32 * DAY)

        now: Any = client.v1.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]})
        assert now.latest_invoice.billing_reason == "subscription_cycle"
        assert now["items"].data[0].current_period_start == made["items"].data[0].current_period_end
        news = emulator.events()[seen:]
        assert {
            "customer.subscription.updated",
            "invoice.created",
            "invoice.finalized",
            "invoice.paid",
            "charge.succeeded",
        } <= types(news)
        assert {event["request"] is None for event in news} == {True}

    def test_a_year_brings_twelve_invoices(
        self, client: Client, customer: str, monthly: str, emulator: Emulator
    ) -> None:
        id = subscribe(client, customer, monthly).id
        emulator.clock.advance(366 * DAY)

        assert len(client.v1.invoices.list({"subscription": id, "limit": 100}).data) == 13

    def test_a_decline_makes_it_past_due_until_it_is_paid(
        self, client: Client, customer: str, monthly: str, emulator: Emulator
    ) -> None:
        id = subscribe(client, customer, monthly).id
        bad = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer}).id
        client.v1.subscriptions.update(id, {"default_payment_method": bad})
        emulator.clock.advance(32 * DAY)

        late = client.v1.subscriptions.retrieve(id)
        assert late.status == "past_due"
        assert "invoice.payment_failed" in types(emulator.events())
        good = client.v1.payment_methods.list({"customer": customer}).data[-1].id
        client.v1.invoices.pay(str(late.latest_invoice), {"payment_method": good})
        assert client.v1.subscriptions.retrieve(id).status == "active"

    def test_it_ends_with_the_period(self, client: Client, customer: str, monthly: str, emulator: Emulator) -> None:
        id = subscribe(client, customer, monthly, cancel_at_period_end=True).id
        emulator.clock.advance(32 * DAY)

        assert client.v1.subscriptions.retrieve(id).status == "canceled"
        assert emulator.events()[-1]["type"] == "customer.subscription.deleted"

    def test_a_trial_turns_into_a_paid_month(
        self, client: Client, customer: str, monthly: str, emulator: Emulator
    ) -> None:
        id = subscribe(client, customer, monthly, trial_period_days=7).id
        emulator.clock.advance(8 * DAY)

        now: Any = client.v1.subscriptions.retrieve(id, {"expand": ["latest_invoice"]})
        assert (now.status, now.latest_invoice.amount_paid) == ("active", 900)

    def test_a_trial_without_card_pauses_and_resumes(self, client: Client, monthly: str, emulator: Emulator) -> None:
        customer = client.v1.customers.create({}).id
        settings = {"end_behavior": {"missing_payment_method": "pause"}}
        id = subscribe(client, customer, monthly, trial_period_days=7, trial_settings=settings).id
        emulator.clock.advance(8 * DAY)
        assert client.v1.subscriptions.retrieve(id).status == "paused"

        method = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        client.v1.subscriptions.update(id, {"default_payment_method": method})
        assert client.v1.subscriptions.resume(id).status == "active"
        assert "customer.subscription.resumed" in types(emulator.events())

    def test_a_first_payment_must_come_within_a_day(self, client: Client, monthly: str, emulator: Emulator) -> None:
        customer = client.v1.customers.create({}).id
        made = subscribe(client, customer, monthly, payment_behavior="default_incomplete")
        emulator.clock.advance(DAY)

        assert client.v1.subscriptions.retrieve(made.id).status == "incomplete_expired"
        assert client.v1.invoices.retrieve(made.latest_invoice).status == "void"

    def test_a_pause_voids_what_comes(self, client: Client, customer: str, monthly: str, emulator: Emulator) -> None:
        id = subscribe(client, customer, monthly).id
        client.v1.subscriptions.update(id, {"pause_collection": {"behavior": "void"}})
        emulator.clock.advance(32 * DAY)

        newest = client.v1.invoices.list({"subscription": id}).data[0]
        assert newest.status == "void"

    def test_an_owner_says_yes_to_the_first_payment(self, client: Client, monthly: str, emulator: Emulator) -> None:
        customer = somebody(client, "pm_card_authenticationRequired")
        made = subscribe(client, customer, monthly)
        assert made.status == "incomplete"
        emulator.authenticate(emulator.objects("payment_intent")[0]["id"])

        assert client.v1.subscriptions.retrieve(made.id).status == "active"

    def test_a_state_file_keeps_what_is_due(self, tmp_path: Any, emulator: Emulator) -> None:
        path = tmp_path / "state"
        first = Emulator(path=path)
        customer = somebody(stripe.StripeClient("sk_test_x", http_client=first.transport()))
        client = stripe.StripeClient("sk_test_x", http_client=first.transport())
        id = subscribe(client, customer, price(client, recurring={"interval": "week"})).id
        first.close()
        second = Emulator(path=path)
        second.clock.advance(8 * DAY)

        again = stripe.StripeClient("sk_test_x", http_client=second.transport())
        assert len(again.v1.invoices.list({"subscription": id}).data) == 2
        second.close()


class TestPlanted:
    """An inserted object with few fields can be used like any other."""

    def test_a_subscription(self, client: Client, customer: str, emulator: Emulator) -> None:
        id = emulator.insert("subscription", customer=customer)["id"]
        client.v1.subscriptions.update(id, {"metadata": {"a": "b"}, "cancel_at_period_end": True})
        emulator.clock.advance(DAY)

        assert client.v1.subscriptions.cancel(id).status == "canceled"

    def test_an_invoice(self, client: Client, customer: str, emulator: Emulator) -> None:
        id = emulator.insert("invoice", customer=customer, status="open", amount_due=500)["id"]

        assert client.v1.invoices.pay(id).status == "paid"


class TestCheckout:
    def test_a_buyer_subscribes(self, client: Client, monthly: str, emulator: Emulator) -> None:
        made = client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "success_url": "https://example.com",
                "line_items": [{"price": monthly, "quantity": 2}, {"price": price(client), "quantity": 1}],
            }
        )
        assert (made.subscription, made.amount_total) == (None, 2700)
        done = emulator.pay_session(made.id, email="a@example.com")

        bought: Any = client.v1.subscriptions.retrieve(done["subscription"], {"expand": ["latest_invoice"]})
        assert (done["payment_status"], bought.status, bought.latest_invoice.amount_paid) == ("paid", "active", 2700)
        assert client.v1.customers.retrieve(done["customer"]).email == "a@example.com"
        assert {event["request"] is None for event in emulator.events()[-10:]} == {True}

    def test_a_declined_buyer_does_not(self, client: Client, monthly: str, emulator: Emulator) -> None:
        line: Any = {"price": monthly, "quantity": 1}
        made = client.v1.checkout.sessions.create(
            {"mode": "subscription", "success_url": "https://example.com", "line_items": [line]}
        )

        assert emulator.pay_session(made.id, "pm_card_chargeDeclined")["status"] == "open"
        assert emulator.objects("subscription") == []


class TestInvoices:
    def test_a_draft_adds_up_its_items(self, client: Client, customer: str, key: str, events_with: Find) -> None:
        made = client.v1.invoices.create({"customer": customer}, {"idempotency_key": key})
        client.v1.invoice_items.create({"customer": customer, "invoice": made.id, "amount": 150, "currency": "usd"})
        client.v1.invoice_items.create(
            {"customer": customer, "invoice": made.id, "pricing": {"price": price(client)}, "quantity": 2}
        )
        now = client.v1.invoices.retrieve(made.id)

        assert (made.status, made.total, made.number) == ("draft", 0, None)
        assert (now.total, now.amount_due, len(now.lines.data)) == (1950, 1950, 2)
        assert types(events_with(key)) == {"invoice.created"}

    def test_pending_items_wait_to_be_included(self, client: Client, customer: str) -> None:
        item = client.v1.invoice_items.create({"customer": customer, "amount": 500, "currency": "usd"})
        without = client.v1.invoices.create({"customer": customer})
        with_it = client.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})

        assert (item.invoice, without.total, with_it.total) == (None, 0, 500)
        assert client.v1.invoice_items.list({"customer": customer, "pending": True}).data == []

    def test_an_item_can_be_changed_and_deleted_in_a_draft(self, client: Client, customer: str) -> None:
        invoice = client.v1.invoices.create({"customer": customer}).id
        item = client.v1.invoice_items.create(
            {"customer": customer, "invoice": invoice, "amount": 500, "currency": "usd"}
        ).id
        client.v1.invoice_items.update(item, {"amount": 600})
        assert client.v1.invoices.retrieve(invoice).total == 600

        assert client.v1.invoice_items.delete(item).deleted is True
        assert client.v1.invoices.retrieve(invoice).total == 0

    def test_it_is_finalized_then_paid(self, client: Client, customer: str, key: str, events_with: Find) -> None:
        id = self.draft(client, customer)
        final = client.v1.invoices.finalize_invoice(id, {}, {"idempotency_key": f"{key}:finalize"})
        done = client.v1.invoices.pay(id, {}, {"idempotency_key": key})

        assert (final.status, final.amount_remaining) == ("open", 500)
        assert final.number
        assert (done.status, done.amount_paid, done.amount_remaining) == ("paid", 500, 0)
        assert {"invoice.finalized", "payment_intent.created"} <= types(events_with(f"{key}:finalize", 3))
        assert {"invoice.paid", "invoice.payment_succeeded", "payment_intent.succeeded", "charge.succeeded"} <= types(
            events_with(key, 5)
        )
        with pytest.raises(stripe.InvalidRequestError, match="already paid"):
            client.v1.invoices.pay(id)

    def test_a_decline_leaves_it_open(self, client: Client, key: str, events_with: Find) -> None:
        id = self.draft(client, somebody(client, "pm_card_chargeCustomerFail"))
        with pytest.raises(stripe.CardError) as caught:
            client.v1.invoices.pay(id, {}, {"idempotency_key": key})

        assert caught.value.code == "card_declined"
        now = client.v1.invoices.retrieve(id)
        assert (now.status, now.attempt_count, now.attempted) == ("open", 1, True)
        assert "invoice.payment_failed" in types(events_with(key, 4))

    def test_without_a_card_it_cannot_be_paid(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="no `default_payment_method` set"):
            client.v1.invoices.pay(self.draft(client, client.v1.customers.create({}).id))

    def test_money_may_come_another_way(self, client: Client, customer: str) -> None:
        done = client.v1.invoices.pay(self.draft(client, customer), {"paid_out_of_band": True})

        assert done.status == "paid"
        assert client.v1.charges.list({"customer": customer}).data == []

    def test_only_a_draft_is_deleted_and_only_an_open_one_is_voided(
        self, client: Client, customer: str, key: str, events_with: Find
    ) -> None:
        draft, open_ = self.draft(client, customer), self.draft(client, customer)
        client.v1.invoices.finalize_invoice(open_)

        with pytest.raises(stripe.InvalidRequestError):
            client.v1.invoices.void_invoice(draft)
        with pytest.raises(stripe.InvalidRequestError, match="draft invoices"):
            client.v1.invoices.delete(open_)
        assert client.v1.invoices.delete(draft).deleted is True
        assert client.v1.invoices.void_invoice(open_, {}, {"idempotency_key": key}).status == "void"
        assert {"invoice.voided", "payment_intent.canceled"} <= types(events_with(key, 2))

    def test_it_can_be_given_up_and_paid_after_all(self, client: Client, customer: str) -> None:
        id = self.draft(client, customer)
        client.v1.invoices.finalize_invoice(id)

        assert client.v1.invoices.mark_uncollectible(id).status == "uncollectible"
        assert client.v1.invoices.pay(id).status == "paid"

    def test_one_that_is_sent_has_a_due_date(self, client: Client, key: str, events_with: Find) -> None:
        customer = client.v1.customers.create({"email": "a@example.com"}).id
        with pytest.raises(stripe.InvalidRequestError, match="days_until_due"):
            client.v1.invoices.create({"customer": customer, "collection_method": "send_invoice"})
        id = self.draft(client, customer, collection_method="send_invoice", days_until_due=30)
        sent = client.v1.invoices.send_invoice(id, {}, {"idempotency_key": key})

        assert (sent.status, sent.due_date is not None) == ("open", True)
        assert {"invoice.finalized", "invoice.sent"} <= types(events_with(key, 3))

    def test_nothing_to_pay_is_paid(self, client: Client, customer: str) -> None:
        assert (
            client.v1.invoices.finalize_invoice(client.v1.invoices.create({"customer": customer}).id).status == "paid"
        )

    def test_a_final_one_is_fixed(self, client: Client, customer: str) -> None:
        id = self.draft(client, customer)
        client.v1.invoices.finalize_invoice(id)

        with pytest.raises(stripe.InvalidRequestError, match="can't be updated in this way"):
            client.v1.invoices.update(id, {"description": "x"})
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.invoice_items.create({"customer": customer, "invoice": id, "amount": 5, "currency": "usd"})
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.invoices.finalize_invoice(id)

    def test_its_lines_can_be_listed(self, client: Client, customer: str) -> None:
        (line,) = client.v1.invoices.line_items.list(self.draft(client, customer)).data

        assert (line.amount, line.object) == (500, "line_item")

    def test_it_advances_by_itself(self, client: Client, customer: str, emulator: Emulator) -> None:
        id = self.draft(client, customer, auto_advance=True)
        emulator.clock.advance(3601)
        assert client.v1.invoices.retrieve(id).status == "open"
        emulator.clock.advance(3601)

        assert client.v1.invoices.retrieve(id).status == "paid"
        assert emulator.events()[-1]["request"] is None

    @staticmethod
    def draft(client: Client, customer: str, **more: Any) -> str:
        params: Any = {"customer": customer, **more}
        id = client.v1.invoices.create(params).id
        client.v1.invoice_items.create({"customer": customer, "invoice": id, "amount": 500, "currency": "usd"})
        return id
