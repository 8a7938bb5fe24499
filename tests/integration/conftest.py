"""Fixtures of the tests that see the service as an operator does."""

import itertools
import json
from functools import partial
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Event
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.inbox import inbox
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support.run import Run
from tests.support.scenes import begin
from tests.support.world import World


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process; returns its exit code and what its --json says. It never has to wait for Stripe:
    a second passes whenever it looks at the clock.
    """
    passing = itertools.count(0.0)
    hasty = partial(Throttle, pause=lambda seconds: None, clock=lambda: next(passing))
    monkeypatch.setattr("stripe_mongo_sync.sync.stripe.throttle.Throttle", hasty)

    def command(line: str, *more: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*line.split(), *more, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return command


@pytest.fixture
def dead(world: World) -> Event:
    """An event that was given up."""
    begin(world, given_up)
    found: Event = Event.objects(state="dead").get()
    return found


def given_up(world: World) -> None:
    """Change a customer whom nobody can read until the event about it is dead."""
    customer = sync.create_customer("dead@here.com")
    world.deliver()
    world.advance(seconds=2)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    world.stripe.fault("cut_before", method="GET", times=None)
    world.settings["REVALIDATE"] = "all"
    world.start()
    world.deliver()
    for _ in range(20):
        world.advance(hours=2)
        inbox.drain()
    world.stripe.clear_faults()
    Event._get_collection().delete_many({"state": "applied"})
