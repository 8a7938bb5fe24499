"""Seat and plan changes through stripe-python: what is credited, what is billed, and what the preview says of it."""

from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator
from tests.contract.test_billing import price, somebody, subscribe
from tests.contract.test_schedules import MONTH, bills, refused

Client = stripe.StripeClient
DAY = 86_400


@pytest.fixture
def customer(client: Client) -> str:
    return somebody(client)


@pytest.fixture
def seat(client: Client) -> str:
    return price(client, unit_amount=1000, recurring=MONTH)


def halfway(client: Client, emulator: Emulator, customer: str, seat: str, quantity: int = 2) -> Any:
    """A subscription of some seats, half of whose period is over, and the moment."""
    made = subscribe(client, customer, seat, items=[{"price": seat, "quantity": quantity}])
    item = made["items"].data[0]
    middle = (item.current_period_start + item.current_period_end) // 2
    emulator.clock.advance(middle - int(emulator.clock.now()))
    return made, item.id, middle


def pending(client: Client, customer: str) -> list[tuple[int, str]]:
    found = client.v1.invoice_items.list({"customer": customer, "pending": True}).data
    return sorted((each.amount, str(each.description).split(" after")[0]) for each in found)


def shown(invoice: Any) -> list[Any]:
    """What an invoice bills, without ids."""
    lines = sorted((each.amount, each.description, each.period.start, each.period.end) for each in invoice.lines.data)
    return [invoice.total, invoice.amount_due, invoice.currency, lines]


class TestChanges:
    def test_more_seats_are_billed_with_the_next_invoice(
        self, client: Client, customer: str, seat: str, emulator: Emulator
    ) -> None:
        made, item, _ = halfway(client, emulator, customer, seat)

        client.v1.subscriptions.update(made.id, {"items": [{"id": item, "quantity": 5}]})

        assert pending(client, customer) == [(-1000, "Unused time on 2 × News"), (2500, "Remaining time on 5 × News")]
        assert bills(client, made.id) == [2000], "nothing yet"
        emulator.clock.advance(20 * DAY)
        assert bills(client, made.id) == [2000, 5000 + 1500]
        assert pending(client, customer) == []

    @pytest.mark.parametrize(("behavior", "now", "then"), [("always_invoice", [1500], 5000), ("none", [], 5000)])
    def test_they_are_billed_immediately_or_not_at_all_as_the_caller_says(
        self, client: Client, customer: str, seat: str, emulator: Emulator, behavior: Any, now: list[int], then: int
    ) -> None:
        made, item, _ = halfway(client, emulator, customer, seat)

        given: Any = {"items": [{"id": item, "quantity": 5}], "proration_behavior": behavior}
        changed = client.v1.subscriptions.update(made.id, {**given, "expand": ["latest_invoice"]})

        assert bills(client, made.id) == [2000, *now]
        latest: Any = changed.latest_invoice
        assert latest.status == "paid"
        assert latest.billing_reason == ("subscription_update" if now else "subscription_create")
        emulator.clock.advance(20 * DAY)
        assert bills(client, made.id)[-1] == then

    def test_items_are_added_and_removed_and_the_rest_of_their_time_is_prorated(
        self, client: Client, customer: str, seat: str, emulator: Emulator
    ) -> None:
        made, item, _ = halfway(client, emulator, customer, seat)
        other = price(client, unit_amount=400, recurring=MONTH)

        client.v1.subscriptions.update(made.id, {"items": [{"price": other}, {"id": item, "deleted": True}]})

        assert [amount for amount, _ in pending(client, customer)] == [-1000, 200]
        left = client.v1.subscriptions.retrieve(made.id)["items"].data
        assert [each.price.id for each in left] == [other]

    def test_fewer_seats_leave_credit_that_pays_the_next_invoice(
        self, client: Client, customer: str, seat: str, emulator: Emulator
    ) -> None:
        made, item, at = halfway(client, emulator, customer, seat)

        given: Any = {"items": [{"id": item, "quantity": 1}], "proration_behavior": "always_invoice"}
        client.v1.subscriptions.update(made.id, {**given, "proration_date": at})

        assert bills(client, made.id) == [2000, -500]
        assert client.v1.customers.retrieve(customer).balance == -500
        assert client.v1.invoices.create_preview({"subscription": made.id}).amount_due == 500
        emulator.clock.advance(20 * DAY)
        (latest, *_) = client.v1.invoices.list({"subscription": made.id}).data
        assert (latest.total, latest.amount_due, latest.status) == (1000, 500, "paid")

    def test_another_interval_begins_a_new_period_which_is_billed_immediately(
        self, client: Client, customer: str, seat: str, emulator: Emulator
    ) -> None:
        made, item, middle = halfway(client, emulator, customer, seat)
        yearly = price(client, unit_amount=9000, recurring={"interval": "year"})

        changed = client.v1.subscriptions.update(made.id, {"items": [{"id": item, "price": yearly, "quantity": 1}]})

        assert bills(client, made.id) == [2000, 9000 - 1000]
        assert changed.billing_cycle_anchor == changed["items"].data[0].current_period_start
        assert middle <= changed.billing_cycle_anchor < middle + 600

    def test_the_parts_of_a_cent_are_rounded_half_up(self, client: Client, customer: str, emulator: Emulator) -> None:
        odd = price(client, unit_amount=333, recurring=MONTH)
        made, item, at = halfway(client, emulator, customer, odd, 1)

        client.v1.subscriptions.update(made.id, {"items": [{"id": item, "quantity": 3}], "proration_date": at})

        assert [amount for amount, _ in pending(client, customer)] == [-167, 500]

    def test_a_trial_is_free_so_nothing_is_prorated(self, client: Client, customer: str, seat: str) -> None:
        made = subscribe(client, customer, seat, trial_period_days=7)
        item = made["items"].data[0].id

        client.v1.subscriptions.update(made.id, {"items": [{"id": item, "quantity": 4}]})

        assert pending(client, customer) == []

    def test_a_change_that_could_not_be_paid_is_refused_where_the_caller_wants_that(
        self, client: Client, customer: str, seat: str, emulator: Emulator
    ) -> None:
        made, item, _ = halfway(client, emulator, customer, seat)
        bad = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer}).id
        client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": bad}})
        given: Any = {"items": [{"id": item, "quantity": 5}], "proration_behavior": "always_invoice"}

        with pytest.raises(stripe.CardError):
            client.v1.subscriptions.update(made.id, {**given, "payment_behavior": "error_if_incomplete"})
        assert client.v1.subscriptions.retrieve(made.id)["items"].data[0].quantity == 2
        assert client.v1.subscriptions.update(made.id, given).status == "past_due"

    @pytest.mark.parametrize("how", [{}, {"prorate": True}, {"prorate": True, "invoice_now": True}])
    def test_a_cancellation_credits_the_unused_time_if_it_is_told_to(
        self, client: Client, customer: str, seat: str, emulator: Emulator, how: Any
    ) -> None:
        made, _, _ = halfway(client, emulator, customer, seat)

        assert client.v1.subscriptions.cancel(made.id, how).status == "canceled"

        credit = [-1000] if "prorate" in how else []
        assert bills(client, made.id) == [2000, *(credit if "invoice_now" in how else [])]
        assert [amount for amount, _ in pending(client, customer)] == ([] if "invoice_now" in how else credit)


class TestPreview:
    @pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations", "none"])
    def test_the_change_then_bills_exactly_what_was_previewed_and_the_preview_leaves_nothing(
        self, client: Client, customer: str, seat: str, emulator: Emulator, behavior: Any
    ) -> None:
        made, item, at = halfway(client, emulator, customer, seat)
        seen = len(emulator.events())
        dated: Any = {} if behavior == "none" else {"proration_date": at}
        change: Any = {"items": [{"id": item, "quantity": 7}], "proration_behavior": behavior, **dated}

        told = client.v1.invoices.create_preview({"subscription": made.id, "subscription_details": change})

        assert len(emulator.events()) == seen
        assert (told.status, bills(client, made.id), pending(client, customer)) == ("draft", [2000], [])
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.invoices.retrieve(told.id)
        emulator.clock.advance(3600)
        client.v1.subscriptions.update(made.id, change)
        if behavior != "always_invoice":
            emulator.clock.advance(20 * DAY)
        (latest, *_) = client.v1.invoices.list({"subscription": made.id}).data
        assert shown(told) == shown(latest)

    def test_without_a_change_it_is_the_next_invoice(self, client: Client, customer: str, seat: str) -> None:
        made = subscribe(client, customer, seat, trial_period_days=7)

        for whose in ({"customer": customer}, {"subscription": made.id}):
            assert client.v1.invoices.create_preview(whose).total == 1000  # type: ignore[arg-type]

    def test_of_items_alone_it_is_the_first_invoice_of_a_new_subscription(
        self, client: Client, customer: str, seat: str
    ) -> None:
        new: Any = {"items": [{"price": seat, "quantity": 3}]}

        assert client.v1.invoices.create_preview({"customer": customer, "subscription_details": new}).total == 3000
        assert client.v1.subscriptions.list({"customer": customer}).data == []

    def test_where_nothing_is_billed_there_is_none(self, client: Client, customer: str, seat: str) -> None:
        preview = client.v1.invoices.create_preview
        refused(lambda: preview({"customer": customer}), "No upcoming invoices")
        made = subscribe(client, customer, seat)
        client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
        refused(lambda: preview({"subscription": made.id}), "No upcoming invoices")
        wrong: Any = {"proration_date": 1, "items": [{"price": seat}]}
        refused(lambda: preview({"subscription": made.id, "subscription_details": wrong}), "proration date")


class TestCancellation:
    @pytest.mark.parametrize("way", ["cancel_at_period_end", "cancel_at"])
    def test_it_ends_then_and_can_be_undone_before(
        self, client: Client, customer: str, seat: str, emulator: Emulator, way: str
    ) -> None:
        made = subscribe(client, customer, seat)
        end = made["items"].data[0].current_period_end
        ending: Any = {"cancel_at_period_end": True} if way == "cancel_at_period_end" else {"cancel_at": end - DAY}
        undo: Any = {"cancel_at_period_end": False} if way == "cancel_at_period_end" else {"cancel_at": ""}
        told: Any = {"cancellation_details": {"feedback": "unused", "comment": "Bye"}}

        going = client.v1.subscriptions.update(made.id, {**ending, **told})
        assert going.cancel_at == (end if way == "cancel_at_period_end" else end - DAY)
        assert going.cancellation_details.to_dict() == {
            "comment": "Bye",
            "feedback": "unused",
            "reason": "cancellation_requested",
        }
        kept = client.v1.subscriptions.update(made.id, undo)
        assert (kept.cancel_at, kept.canceled_at, kept.cancel_at_period_end) == (None, None, False)
        assert kept.cancellation_details.to_dict() == dict.fromkeys(("comment", "feedback", "reason"))

        client.v1.subscriptions.update(made.id, ending)
        emulator.clock.advance(32 * DAY)
        over = client.v1.subscriptions.retrieve(made.id)
        assert (over.status, over.ended_at) == ("canceled", going.cancel_at)
        assert bills(client, made.id) == [1000]

    def test_what_a_schedule_leads_is_ended_there(self, client: Client, customer: str, seat: str) -> None:
        made = subscribe(client, customer, seat)
        client.v1.subscription_schedules.create({"from_subscription": made.id})

        refused(lambda: client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True}), "update the schedule")
