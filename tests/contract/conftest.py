"""Fixtures: a Stripe client, of a real sandbox with STRIPE_TEST_KEY, else of a fresh emulator.

STRIPE_TEST_BASE replaces Stripe's address, for example by that of an emulator in its own process.
"""

import os
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator

REAL = os.environ.get("STRIPE_TEST_KEY", "")
BASE = os.environ.get("STRIPE_TEST_BASE", "")
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.fixture
def emulator() -> Emulator:
    """A test that requests the emulator uses controls that real Stripe lacks, and is skipped there."""
    if REAL:
        pytest.skip("real Stripe has no such control")
    return Emulator()


@pytest.fixture
def client(request: pytest.FixtureRequest) -> stripe.StripeClient:
    if REAL:
        assert REAL.startswith(("sk_test_", "rk_test_")), "never against live data"
        where: Any = {"api": BASE} if BASE else {}
        return stripe.StripeClient(REAL, base_addresses=where, max_network_retries=2)
    stripe_: Emulator = request.getfixturevalue("emulator")
    return stripe.StripeClient("sk_test_contract", http_client=stripe_.transport())


@pytest.fixture
def key() -> str:
    """A new idempotency key."""
    return f"contract:{uuid.uuid4()}"


@pytest.fixture
def email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


@pytest.fixture
def events_with(client: stripe.StripeClient) -> Callable[..., list[Json]]:
    """A function that returns the events with a key, oldest first. Real Stripe lists them some seconds late."""

    def find(key: str, at_least: int = 1) -> list[Json]:
        deadline = time.monotonic() + (60 if REAL else 0)
        while True:
            page = client.v1.events.list({"limit": 100})
            events = [event.to_dict(for_json=True) for event in page.data]
            found = [event for event in events if (event["request"] or {}).get("idempotency_key") == key]
            if len(found) >= at_least or time.monotonic() >= deadline:
                return found[::-1]
            time.sleep(2)  # reached only with real Stripe

    return find


@pytest.fixture
def ask(emulator: Emulator) -> Any:
    """A function that calls the emulator, and returns its reply."""
    client = stripe.StripeClient("sk_test_x", http_client=emulator.transport())
    return lambda method, path, **params: client.raw_request(method, f"/v1/{path}", **params).data
