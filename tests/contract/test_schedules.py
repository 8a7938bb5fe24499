"""Schedules through stripe-python: they lead a subscription through phases, and leave or end it."""

from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator
from tests.contract.test_billing import price, somebody, subscribe

Client = stripe.StripeClient
DAY = 86_400
MONTH = {"interval": "month"}


@pytest.fixture
def customer(client: Client) -> str:
    return somebody(client)


@pytest.fixture
def plans(client: Client) -> list[str]:
    return [price(client, unit_amount=amount, recurring=MONTH) for amount in (500, 700)]


def schedule(client: Client, customer: str, plans: list[str], **more: Any) -> Any:
    phases = [{"items": [{"price": plan, "quantity": 2}], "duration": MONTH} for plan in plans]
    given: Any = {"customer": customer, "start_date": "now", "phases": phases, **more}
    return client.v1.subscription_schedules.create(given)


def bills(client: Client, subscription: str) -> list[int]:
    """The totals of its invoices, oldest first."""
    return [each.total for each in client.v1.invoices.list({"subscription": subscription}).data][::-1]


def refused(call: Any, match: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=match):
        call()


class TestPhases:
    def test_its_creation_begins_a_subscription_that_charges(
        self, client: Client, customer: str, plans: list[str]
    ) -> None:
        made = schedule(client, customer, plans)

        subscription = client.v1.subscriptions.retrieve(made.subscription)
        assert (made.status, subscription.status, subscription.schedule) == ("active", "active", made.id)
        assert bills(client, made.subscription) == [1000]
        first, second = made.phases
        assert first.end_date == second.start_date
        assert made.current_phase.start_date == first.start_date

    def test_one_that_begins_later_has_no_subscription_until_then(
        self, client: Client, customer: str, plans: list[str], emulator: Emulator
    ) -> None:
        made = schedule(client, customer, plans, start_date=int(emulator.clock.now()) + 5 * DAY)
        assert (made.status, made.subscription) == ("not_started", None)

        emulator.clock.advance(5 * DAY + 60)

        begun = client.v1.subscription_schedules.retrieve(made.id)
        assert (begun.status, bills(client, begun.subscription)) == ("active", [1000])

    @pytest.mark.parametrize(("behavior", "status", "left"), [("release", "active", 3), ("cancel", "canceled", 2)])
    def test_each_period_is_billed_as_its_phase_says_and_then_it_is_released_or_canceled(
        self, client: Client, customer: str, plans: list[str], emulator: Emulator, behavior: str, status: str, left: int
    ) -> None:
        made = schedule(client, customer, plans, end_behavior=behavior)

        emulator.clock.advance(70 * DAY)

        subscription = client.v1.subscriptions.retrieve(made.subscription)
        over = client.v1.subscription_schedules.retrieve(made.id)
        assert bills(client, made.subscription) == [1000, 1400, 1400][:left]
        assert (subscription.status, over.status) == (status, "completed")
        assert (over.subscription is None) == (subscription.schedule is None) == (behavior == "release")

    def test_the_phase_of_now_and_those_to_come_can_be_changed_and_no_past_one(
        self, client: Client, customer: str, plans: list[str], emulator: Emulator
    ) -> None:
        made = schedule(client, customer, plans)
        start, end = made.phases[0].start_date, made.phases[0].end_date
        now: Any = {"items": [{"price": plans[0], "quantity": 2}], "start_date": start, "end_date": end}
        later: Any = {"items": [{"price": plans[1], "quantity": 5}], "duration": MONTH}
        update = client.v1.subscription_schedules.update

        changed = update(made.id, {"phases": [now, later]})
        assert [phase["items"][0].quantity for phase in changed.phases] == [2, 5]
        refused(lambda: update(made.id, {"phases": [{**now, "start_date": start - DAY}]}), "start date")
        refused(lambda: update(made.id, {"phases": [{**now, "end_date": start}]}), "after its start")

        emulator.clock.advance(32 * DAY)
        assert bills(client, made.subscription) == [1000, 3500]

    def test_a_trial_of_a_phase_is_free(
        self, client: Client, customer: str, plans: list[str], emulator: Emulator
    ) -> None:
        phases: Any = [{"items": [{"price": plans[0]}], "duration": MONTH, "trial": True}]
        made = schedule(client, customer, plans, phases=[*phases, {"items": [{"price": plans[0]}], "duration": MONTH}])
        assert client.v1.subscriptions.retrieve(made.subscription).status == "trialing"

        emulator.clock.advance(32 * DAY)
        assert bills(client, made.subscription) == [0, 500]


class TestTakingOver:
    def test_a_subscription_goes_on_as_it_is_with_one_phase_of_its_period(
        self, client: Client, customer: str, plans: list[str]
    ) -> None:
        subscription = subscribe(client, customer, plans[0])

        made = client.v1.subscription_schedules.create({"from_subscription": subscription.id})

        item = subscription["items"].data[0]
        assert (made.customer, made.subscription, made.status) == (customer, subscription.id, "active")
        (phase,) = made.phases
        assert (phase.start_date, phase.end_date) == (item.current_period_start, item.current_period_end)
        assert client.v1.subscriptions.retrieve(subscription.id).schedule == made.id
        assert bills(client, subscription.id) == [500]

    def test_a_subscription_has_one_schedule_and_no_other_parameters_are_taken(
        self, client: Client, customer: str, plans: list[str]
    ) -> None:
        id, create = subscribe(client, customer, plans[0]).id, client.v1.subscription_schedules.create
        refused(lambda: create({"from_subscription": id, "end_behavior": "cancel"}), "end_behavior")
        create({"from_subscription": id})
        refused(lambda: create({"from_subscription": id}), "already attached")
        ended = subscribe(client, customer, plans[0]).id
        client.v1.subscriptions.cancel(ended)
        refused(lambda: create({"from_subscription": ended}), "canceled")


class TestEnds:
    def test_release_leaves_the_subscription_and_cancel_ends_it(
        self, client: Client, customer: str, plans: list[str]
    ) -> None:
        released = client.v1.subscription_schedules.release(schedule(client, customer, plans).id)
        canceled = client.v1.subscription_schedules.cancel(schedule(client, customer, plans).id)

        assert (released.status, released.subscription) == ("released", None)
        left = client.v1.subscriptions.retrieve(released.released_subscription or "")
        assert (left.status, left.schedule) == ("active", None)
        assert canceled.status == "canceled"
        assert client.v1.subscriptions.retrieve(str(canceled.subscription)).status == "canceled"
        for act in (client.v1.subscription_schedules.release, client.v1.subscription_schedules.cancel):
            refused(lambda act=act: act(released.id), "released")

    def test_it_ends_with_its_subscription(self, client: Client, customer: str, plans: list[str]) -> None:
        made = schedule(client, customer, plans)

        client.v1.subscriptions.cancel(made.subscription)

        assert client.v1.subscription_schedules.retrieve(made.id).status == "canceled"
