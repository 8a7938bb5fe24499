"""What is open to strangers: it costs a bounded amount of MongoDB and of log, and who is refused is not read."""

import io
from typing import Any

import pytest

from tests.support.answers import at_once
from tests.support.heard import Listener
from tests.support.world import World


class Pings(Listener):
    """Counts what the probes ask MongoDB."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: Any) -> None:
        self.count += event.command_name == "ping"


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any) -> int:
        raise AssertionError("the body of who is refused was read")


def test_any_number_of_probes_asks_mongodb_once_a_second(database: str) -> None:
    pings = Pings()
    world = World(database, listeners=(pings,), settings={"ADOPT": "yes"})
    try:
        stranger, before = world.app.test_client(), pings.count

        told = at_once(16, lambda _: {stranger.get("/readyz").status_code for _ in range(20)})

        assert told == [{200}] * 16
        assert pings.count - before <= 5
    finally:
        world.stop()


def test_a_flood_of_bad_webhooks_is_logged_in_a_few_lines(world: World, caplog: pytest.LogCaptureFixture) -> None:
    stranger = world.app.test_client()

    for number in range(300):
        assert (
            stranger.post("/webhooks/stripe", data=b"{}", headers={"Stripe-Signature": f"t={number}"}).status_code
            == 400
        )

    assert len(caplog.records) <= 12


def test_nothing_is_read_of_the_body_of_who_has_no_signature_or_token(world: World) -> None:
    rules = [
        (method, rule.rule)
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods & {"POST", "PATCH", "PUT", "DELETE"}
    ]
    assert len(rules) > 40

    for method, rule in rules:
        path = rule.replace("<reference:reference>", "x").replace("<id>", "x").replace("<mirrored:model>", "charges")
        told = {"wsgi.input": Unread(), "CONTENT_LENGTH": "900000", "CONTENT_TYPE": "application/json"}
        answer = world.app.test_client().open(path, method=method, environ_overrides=told)
        assert answer.status_code == (400 if rule == "/webhooks/stripe" else 401), (method, rule)
