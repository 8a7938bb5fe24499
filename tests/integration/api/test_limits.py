"""The chain of time limits: each ends before the one around it, so that whoever waits learns what happened."""

import runpy
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.app import BUDGET
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.models.base.facts import IN_FLIGHT_LIMIT, KEY_REPLAY_WINDOW, MONEY_REPLAY_WINDOW
from stripe_mongo_sync.models.rows.clock import LEASE
from stripe_mongo_sync.sync.database.in_force import TIMEOUT as MONGO_TIMEOUT
from stripe_mongo_sync.sync.process.deadline import TIMEOUT
from stripe_mongo_sync.sync.stripe.gateway import QUICK
from tests.support.world import World


@pytest.mark.fault("22")
def test_each_limit_ends_before_the_one_around_it() -> None:
    served: dict[str, Any] = runpy.run_path("gunicorn.conf.py")
    mongodb, stripe, quick = MONGO_TIMEOUT / 1000, sum(TIMEOUT), sum(QUICK)

    assert quick <= 3, "a look within a webhook"
    assert mongodb < stripe < BUDGET <= served["graceful_timeout"] < LEASE.total_seconds()
    assert 2 * stripe < BUDGET, "an attempt and its repetition"
    assert MONEY_REPLAY_WINDOW < KEY_REPLAY_WINDOW
    assert KEY_REPLAY_WINDOW + IN_FLIGHT_LIMIT < KEY_REPLAY_WINDOW * 25 / 24, (
        "a key is spent before Stripe may forget it"
    )


def test_every_write_is_majority_and_every_read_is_of_the_primary(world: World) -> None:
    database = Customer._get_collection().database

    assert database.write_concern.document == {"w": "majority"}
    assert database.read_preference.name == "Primary"
    assert database.client.options.timeout == MONGO_TIMEOUT / 1000
    assert database.client.options.retry_writes


@pytest.mark.fault("22")
def test_a_request_without_time_left_asks_stripe_for_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.create_customer("first@here.com")
    before = len(world.stripe.requests)
    monkeypatch.setattr("stripe_mongo_sync.api.app.BUDGET", 1.0)

    response = world.http.post("/customers", json={"username": "user@here.com"})

    assert response.status_code == 202
    assert len(world.stripe.requests) == before
