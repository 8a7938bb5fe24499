"""Every fault has the effect, for the caller and at Stripe, that its line in the table says."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import FAULTS, Emulator
from tests.contract.conftest import Json

Client = stripe.StripeClient
Find = Callable[..., list[Json]]
POST = "POST /v1/customers"


def create(client: Client, key: str, **params: Any) -> Any:
    return client.v1.customers.create({"name": "a", **params}, {"idempotency_key": key})


def test_an_object_that_is_there_and_listed_may_be_missing_once(emulator: Emulator, client: Client, key: str) -> None:
    made = create(client, key)
    emulator.fault("missing", f"GET /v1/customers/{made.id}")

    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve(made.id)
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    assert [each.id for each in client.v1.customers.list().data] == [made.id]
    assert client.v1.customers.retrieve(made.id).id == made.id


class TestCutConnections:
    @pytest.mark.parametrize("fault", ["refuse", "cut_before", "timeout_before"])
    def test_a_cut_before_leaves_nothing(self, emulator: Emulator, client: Client, key: str, fault: str) -> None:
        emulator.fault(fault, POST)

        with pytest.raises(stripe.APIConnectionError) as caught:
            create(client, key)
        assert caught.value.should_retry
        assert emulator.objects("customer") == []
        assert "Idempotent-Replayed" not in create(client, key).last_response.headers

    @pytest.mark.parametrize("fault", ["cut_after", "timeout_after"])
    def test_a_cut_after_leaves_an_object_that_a_replay_finds(
        self, emulator: Emulator, client: Client, key: str, fault: str
    ) -> None:
        emulator.fault(fault, POST)

        with pytest.raises(stripe.APIConnectionError):
            create(client, key)
        (made,) = emulator.objects("customer")
        again = create(client, key)
        assert again.id == made["id"]
        assert again.last_response.headers["Idempotent-Replayed"] == "true"

    @pytest.mark.parametrize("fault", ["bad_body", "html_body"])
    def test_an_unreadable_reply_hides_an_object(
        self, emulator: Emulator, client: Client, key: str, fault: str
    ) -> None:
        emulator.fault(fault, POST)

        with pytest.raises(stripe.APIError) as caught:
            create(client, key)
        assert caught.value.http_status == 200
        assert create(client, key).id == emulator.objects("customer")[0]["id"]

    def test_a_late_request_is_executed_after_its_caller_gave_up(
        self, emulator: Emulator, client: Client, key: str, events_with: Find
    ) -> None:
        emulator.fault("late_request", POST)
        with pytest.raises(stripe.APIConnectionError):
            create(client, key)
        assert emulator.objects("customer") == []

        assert emulator.release_late_requests() == 1
        assert len(emulator.objects("customer")) == 1
        assert len(events_with(key)) == 1

    def test_a_late_request_is_executed_when_its_time_has_come(
        self, emulator: Emulator, client: Client, key: str
    ) -> None:
        emulator.fault("late_request", POST, seconds=600)
        with pytest.raises(stripe.APIConnectionError):
            create(client, key)

        emulator.clock.advance(599)
        assert emulator.objects("customer") == []
        emulator.clock.advance(2)
        assert len(emulator.objects("customer")) == 1

    def test_a_late_request_whose_key_was_used_since_makes_nothing_more(
        self, emulator: Emulator, client: Client, key: str
    ) -> None:
        emulator.fault("late_request", POST)
        with pytest.raises(stripe.APIConnectionError):
            create(client, key)
        create(client, key)
        emulator.release_late_requests()

        assert len(emulator.objects("customer")) == 1


class TestErrorsThatAreSaved:
    def test_500_before_is_replayed_and_made_nothing(self, emulator: Emulator, client: Client, key: str) -> None:
        emulator.fault("500_before", POST)

        for replayed in (None, "true"):
            with pytest.raises(stripe.APIError) as caught:
                create(client, key)
            assert caught.value.http_status == 500
            assert caught.value.headers.get("Idempotent-Replayed") == replayed  # type: ignore[union-attr]
            assert caught.value.headers["Stripe-Should-Retry"] == "false"  # type: ignore[index]
        assert emulator.objects("customer") == []

    def test_500_after_made_an_object_whose_event_carries_the_key(
        self, emulator: Emulator, client: Client, key: str, events_with: Find
    ) -> None:
        emulator.fault("500_after", POST)

        for _ in range(2):
            with pytest.raises(stripe.APIError):
                create(client, key)
        (made,) = emulator.objects("customer")
        (event,) = events_with(key)
        assert event["data"]["object"]["id"] == made["id"]

    @pytest.mark.parametrize("request_", [{"id": None, "idempotency_key": None}, None])
    def test_500_repair_makes_an_object_later_without_the_key(
        self, emulator: Emulator, client: Client, key: str, request_: Json | None
    ) -> None:
        emulator.fault("500_repair", POST)
        with pytest.raises(stripe.APIError):
            create(client, key)
        assert emulator.objects("customer") == []

        (made,) = emulator.repair(key=key, request=request_)
        assert emulator.objects("customer") == [made]
        (event,) = emulator.events()
        assert event["request"] == request_
        assert emulator.repair() == []

    def test_a_decline_is_replayed(self, emulator: Emulator, client: Client, key: str) -> None:
        emulator.fault("decline", POST)

        for _ in range(2):
            with pytest.raises(stripe.CardError) as caught:
                create(client, key)
            assert (caught.value.http_status, caught.value.code) == (402, "card_declined")
        assert emulator.objects("customer") == []


class TestErrorsThatAreNotSaved:
    @pytest.mark.parametrize(
        ("fault", "kind", "status"),
        [
            ("rate_limit", stripe.RateLimitError, 429),
            ("lock_timeout", stripe.RateLimitError, 429),
            ("503_edge", stripe.APIError, 503),
            ("refuse_401", stripe.AuthenticationError, 401),
            ("refuse_403", stripe.PermissionError, 403),
            ("idempotency_in_use", stripe.APIError, 409),
        ],
    )
    def test_the_same_key_runs_afresh(
        self, emulator: Emulator, client: Client, key: str, fault: str, kind: type[stripe.StripeError], status: int
    ) -> None:
        emulator.fault(fault, POST)

        with pytest.raises(kind) as caught:
            create(client, key)
        assert caught.value.http_status == status
        assert "Idempotent-Replayed" not in create(client, key).last_response.headers

    def test_only_the_rate_limiter_gives_a_reason(self, emulator: Emulator, client: Client, key: str) -> None:
        reasons = []
        for fault in ("rate_limit", "lock_timeout"):
            emulator.fault(fault, POST)
            with pytest.raises(stripe.RateLimitError) as caught:
                create(client, key)
            error: Any = caught.value
            reasons.append((error.error.code, error.headers.get("Stripe-Rate-Limited-Reason")))

        assert reasons == [("rate_limit", "global-rate"), ("lock_timeout", None)]


class TestKeysInUse:
    def test_a_key_is_in_use_while_its_first_request_runs(self, emulator: Emulator, client: Client, key: str) -> None:
        held = emulator.fault("hold", POST)
        made: list[Any] = []
        thread = threading.Thread(target=lambda: made.append(create(client, key)))
        thread.start()
        assert held.entered.wait(10)

        with pytest.raises(stripe.APIError) as caught:
            create(client, key)
        held.release()
        thread.join(10)

        assert (caught.value.http_status, caught.value.error.code) == (409, "idempotency_key_in_use")  # type: ignore[union-attr]
        assert create(client, key).id == made[0].id

    def test_the_library_retries_a_key_in_use_and_a_lost_reply(self, emulator: Emulator, key: str) -> None:
        patient = Client("sk_test_x", http_client=emulator.transport(), max_network_retries=2)
        emulator.fault("idempotency_in_use", POST)
        emulator.fault("cut_after", POST)

        assert create(patient, key).last_response.headers["Idempotent-Replayed"] == "true"
        assert len(emulator.requests) == 3

    def test_one_of_many_simultaneous_requests_wins(self, emulator: Emulator, client: Client, key: str) -> None:
        barrier, outcomes = threading.Barrier(8), []

        def run() -> None:
            barrier.wait()
            try:
                outcomes.append(create(client, key).id)
            except stripe.APIError as error:
                outcomes.append(error.http_status)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(outcomes) == 8
        (made,) = emulator.objects("customer")
        assert made["id"] in outcomes
        assert set(outcomes) <= {made["id"], 409}

    def test_a_webhook_can_come_before_the_reply(self, emulator: Emulator, client: Client, key: str) -> None:
        emulator.endpoint("http://here/hook")
        held = emulator.fault("hold_after", POST)
        thread = threading.Thread(target=create, args=(client, key))
        thread.start()
        assert held.entered.wait(10)

        assert [each.type for each in emulator.webhooks.take()] == ["customer.created"]
        held.release()
        thread.join(10)


class TestArming:
    def test_a_fault_meets_only_what_it_is_armed_for(self, emulator: Emulator, client: Client, key: str) -> None:
        emulator.fault("cut_before", kind="product")
        emulator.fault("cut_before", match=lambda call: call.params.get("name") == "b")

        create(client, key)
        with pytest.raises(stripe.APIConnectionError):
            client.v1.products.create({"name": "x"})
        with pytest.raises(stripe.APIConnectionError):
            client.v1.customers.create({"name": "b"})

    def test_a_fault_can_skip_and_repeat(self, emulator: Emulator, client: Client) -> None:
        fault = emulator.fault("503_edge", skip=1, times=2)
        outcomes = []
        for _ in range(4):
            try:
                client.v1.customers.create({})
                outcomes.append("ok")
            except stripe.APIError:
                outcomes.append("503")

        assert outcomes == ["ok", "503", "503", "ok"]
        assert fault.hits == 2

    def test_an_unknown_fault_is_named(self, emulator: Emulator) -> None:
        with pytest.raises(ValueError, match="no fault is called 'flood'"):
            emulator.fault("flood")
        with pytest.raises(ValueError, match="no fault is called flood"):
            emulator.chaos(1, {"flood": 1.0})

    def test_chaos_repeats_for_a_seed_and_ends(self) -> None:
        def run(seed: int) -> list[str | None]:
            emulator = Emulator()
            client = Client("sk_test_x", http_client=emulator.transport())
            emulator.chaos(seed, {"cut_after": 0.3, "503_edge": 0.3})
            for _ in range(20):
                try:
                    client.v1.customers.create({})
                except stripe.StripeError:
                    continue
            seen = [each.fault for each in emulator.requests]
            emulator.clear_faults()
            client.v1.customers.create({})
            assert emulator.requests[-1].fault is None
            return seen

        assert run(7) == run(7) != run(8)
        assert set(run(7)) == {None, "cut_after", "503_edge"}

    @pytest.mark.parametrize("seed", range(5))
    def test_whatever_goes_wrong_a_key_makes_at_most_one_object(self, emulator: Emulator, seed: int) -> None:
        client = Client("sk_test_x", http_client=emulator.transport(), max_network_retries=1)
        instant = {"slow", "slow_after", "hold", "hold_after"}
        emulator.chaos(seed, {name: 0.05 for name in FAULTS if name not in instant})

        def use(name: str) -> None:
            for _ in range(4):
                with suppress(stripe.StripeError):
                    client.v1.customers.create({"name": name}, {"idempotency_key": name})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(use, [str(n // 2) for n in range(60)]))
        emulator.clear_faults()
        emulator.release_late_requests()
        emulator.repair()

        names = [each["name"] for each in emulator.objects("customer")]
        assert len(names) == len(set(names))
        keys = [(event["request"] or {})["idempotency_key"] for event in emulator.events()]
        assert len([key for key in keys if key]) == len({key for key in keys if key})

    def test_every_fault_is_tried_here(self) -> None:
        source = Path(__file__).read_text(encoding="utf-8")

        assert [name for name in FAULTS if f'"{name}"' not in source] == []

    @pytest.mark.parametrize("fault", ["slow", "slow_after"])
    def test_a_slow_request_ends_early_when_released(
        self, emulator: Emulator, client: Client, key: str, fault: str
    ) -> None:
        slow = emulator.fault(fault, POST, seconds=60)
        slow.release()

        assert create(client, key).object == "customer"
        assert slow.entered.is_set()


class TestKeysThatMayNot:
    def test_a_restricted_key_is_refused_by_permission(self, emulator: Emulator) -> None:
        emulator.restrict("rk_test_reader", deny={"customer": "write"})
        client = Client("rk_test_reader", http_client=emulator.transport())

        with pytest.raises(stripe.PermissionError, match="rak_customer_write"):
            client.v1.customers.create({})
        assert client.v1.customers.list().data == []
        assert client.v1.products.create({"name": "x"}).name == "x"

    def test_a_revoked_key_is_refused(self, emulator: Emulator, client: Client) -> None:
        emulator.revoke("sk_test_contract")

        with pytest.raises(stripe.AuthenticationError):
            client.v1.customers.list()

    def test_live_and_test_are_worlds_apart(self, emulator: Emulator, client: Client, key: str) -> None:
        live = Client("sk_live_x", http_client=emulator.transport())
        made = create(live, key)

        assert made.livemode is True
        assert create(client, key).id != made.id
        with pytest.raises(stripe.InvalidRequestError, match="exists in live mode, but a test mode key"):
            client.v1.customers.retrieve(made.id)


class TestTime:
    def test_a_key_is_forgotten_after_a_day(self, emulator: Emulator, client: Client, key: str) -> None:
        first = create(client, key)
        emulator.clock.advance(24 * 3600 - 60)
        assert create(client, key).id == first.id

        emulator.clock.advance(60)
        assert create(client, key).id != first.id

    def test_dates_come_from_the_clock(self, emulator: Emulator, client: Client, key: str) -> None:
        emulator.clock.advance(10 * 86_400)
        made = create(client, key)

        assert abs(made.created - emulator.clock.now()) < 5

    def test_an_event_is_readable_for_thirty_days(self, emulator: Emulator, client: Client, key: str) -> None:
        create(client, key)
        (event,) = emulator.events()
        emulator.clock.advance(30 * 86_400 + 1)

        assert client.v1.events.list().data == []
        with pytest.raises(stripe.InvalidRequestError, match="aged out of our retention policy") as caught:
            client.v1.events.retrieve(event["id"])
        assert caught.value.http_status == 404
        with pytest.raises(stripe.InvalidRequestError, match="aged out"):
            client.v1.events.list({"ending_before": event["id"]})

    def test_a_key_longer_than_255_is_refused(self, client: Client, emulator: Emulator) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            create(client, "k" * 256)
        assert caught.value.http_status == 400
        create(client, "k" * 255)

    def test_the_version_is_not_a_parameter(self, emulator: Emulator, client: Client, key: str) -> None:
        first = create(client, key)
        again = client.v1.customers.create(
            {"name": "a"}, {"idempotency_key": key, "stripe_version": "2026-09-30.endive"}
        )

        assert again.id == first.id


class TestTheLimit:
    def test_beyond_it_is_429_and_nothing_is_done_or_saved_until_the_second_is_over(
        self, emulator: Emulator, client: Client, key: str
    ) -> None:
        emulator.limit(2)
        create(client, "first")
        create(client, "second")

        with pytest.raises(stripe.RateLimitError) as caught:
            create(client, key)
        assert caught.value.error.code == "rate_limit"
        assert caught.value.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
        assert len(emulator.objects("customer")) == 2
        emulator.clock.advance(1)
        assert "Idempotent-Replayed" not in create(client, key).last_response.headers
        emulator.limit()
        assert [create(client, f"more {number}").object for number in range(3)] == ["customer"] * 3
