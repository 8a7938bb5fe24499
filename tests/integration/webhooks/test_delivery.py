"""A delivery on its way: as large as Stripe makes it, chunked by a proxy, in the time that Stripe waits, sent again."""

import json
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.inbox.inbox import WEBHOOK, drain
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.process.deadline import TIMEOUT
from stripe_mongo_sync.sync.stripe.gateway import QUICK, Gateway
from tests.integration.webhooks.test_webhooks import NAME, sign
from tests.support import samples
from tests.support.answers import untouched
from tests.support.events import event
from tests.support.world import World

# --- how a delivery may look on its way ---


class Wsgi:
    """A server that hands the application a request as gunicorn does, chunked: without a length."""

    def __init__(self, world: World) -> None:
        self.world, self.told = world, ""

    def post(self, path: str, raw: bytes, *, ends: bool) -> str:
        """Return the status; with `ends`, the server says that the body ends where it ends."""
        environ = EnvironBuilder(path, method="POST", headers={"Stripe-Signature": sign(raw)}).get_environ()
        environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": BytesIO(raw)}
        environ.pop("CONTENT_LENGTH", None)
        environ.pop("wsgi.input_terminated", None)
        environ |= {"wsgi.input_terminated": True} if ends else {}
        answered = self.world.app(environ, lambda status, headers, error=None: setattr(self, "told", status))
        self.body = b"".join(answered)
        return self.told


def large(world: World, size: int) -> bytes:
    remote = world.stripe.insert("customer", name="Somebody")
    return event("customer.created", {**remote, "description": "x" * size}, int(world.stripe.clock.now()))


@pytest.mark.parametrize("path", ["/webhooks/stripe", "/webhooks/stripe/"])
@pytest.mark.parametrize("size", [10, 3_900_000])
def test_a_chunked_event_is_taken_whole_where_the_server_tells_its_end(world: World, path: str, size: int) -> None:
    raw = large(world, size)

    assert Wsgi(world).post(path, raw, ends=True).startswith("200")

    assert bytes(Event.objects.get().raw) == raw
    assert Customer.objects.get().description == "x" * size


def test_a_chunked_event_is_never_cut_short(world: World) -> None:
    server, raw = Wsgi(world), large(world, 4 * 1024 * 1024)
    with untouched(world):
        assert server.post("/webhooks/stripe", raw, ends=True).startswith("413")
        assert server.post("/webhooks/stripe", raw[:1000], ends=False).startswith("411")
        assert server.post("/customers", b"{}", ends=True).startswith("411"), "people send a length"


@pytest.mark.parametrize("path", ["/webhooks/stripe", "/webhooks/stripe/"])
def test_the_largest_event_that_stripe_can_make_is_taken(world: World, path: str) -> None:
    raw = large(world, 3_900_000)

    response = world.http.post(path, data=raw, headers={"Stripe-Signature": sign(raw)})

    assert (response.status_code, response.json) == (200, {"state": "applied"})


# --- its time ---


def test_what_an_adoption_applies_stays_within_the_time_of_the_webhook(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, taken = int(world.stripe.clock.now()), []
    customer = world.stripe.insert("customer", created=at - 1, name="A")

    def hang(gateway: Gateway, path: str, *, quick: bool = False) -> None:
        taken.append(sum(QUICK) if quick else sum(TIMEOUT))
        raise CannotReadStripe(f"GET {path}: no readable answer from Stripe")

    ties = [event("customer.updated", {**customer, "name": f"A{n}"}, at) for n in range(6)]
    assert world.deliver(ties) == ["waiting"] * 6
    with monkeypatch.context() as patched:
        patched.setattr(Gateway, "get", hang)
        assert world.deliver([event("customer.created", customer, at - 1)]) == ["applied"]

    assert 0 < sum(taken) <= WEBHOOK
    assert {row.due_at <= clock.now() for row in Event.waiting(customer["id"])} == {True}, "the rest is due at once"
    world.stripe.engine.realm().put("customer", customer["id"], {"object": {**customer, "name": "Z"}, "deleted": False})
    world.advance(minutes=5)
    world.reconcile()
    assert Customer.objects.get().name == "Z"
    assert Event.objects(state__in=["waiting", "received", "dead"]).count() == 0


def test_a_webhook_begins_no_look_that_would_outlast_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = samples.create("customer")
    world.deliver()
    at = int(world.stripe.clock.now())
    monkeypatch.setattr("stripe_mongo_sync.sync.inbox.inbox.WEBHOOK", sum(QUICK) - 0.1)
    before = len(world.stripe.requests)

    tie = event("customer.updated", {**(customer.stripe or {}), "name": "tie"}, at)
    assert world.deliver([tie]) == ["received"]

    assert len(world.stripe.requests) == before


# --- sent again ---


@pytest.mark.parametrize("state", ["dead", "received"])
def test_what_is_applied_when_it_is_sent_again_has_not_failed_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    customer = sync.create_customer(NAME)
    world.deliver()
    world.advance(hours=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="B")
    (raw,) = world.webhooks()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("stripe_mongo_sync.sync.inbox.batch.merge", broken)
        patched.setattr("stripe_mongo_sync.sync.inbox.inbox.merge_observation", broken)
        assert world.deliver([raw]) == ["received"]
        for _ in range(16 if state == "dead" else 0):
            world.advance(hours=2)
            drain()
        assert world.deliver([raw]) == ["duplicate"], "it fails again: nothing is new"
    assert Event.objects(state=state).count() == 1

    assert world.deliver([raw, raw]) == ["applied", "duplicate"]

    row = Event.objects(state="applied", type="customer.updated").get()
    assert (row.reason, row.due_at, row.finished_at is None) == (None, None, False)
    assert customer.fetch_latest().name == "B"
    assert status().exit_code == 0


def test_a_waiting_event_that_is_applied_when_it_is_sent_again_waits_no_more(world: World) -> None:
    at = int(world.stripe.clock.now())
    remote = world.stripe.insert("customer", name="A")
    raw = event("customer.updated", remote, at)
    assert world.deliver([raw, raw]) == ["waiting", "duplicate"]
    Customer.adopt(from_event(Customer, json.loads(raw)))

    assert world.deliver([raw]) == ["applied"]

    assert Event.objects.get().state == "applied"
