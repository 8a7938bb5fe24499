"""Webhooks: what is proved to be Stripe's is stored once, and brings both sides together in whatever order it comes."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from stripe import WebhookSignature
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.demo.mongod import Mongod, find_mongod
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Customer, Event, State, Status
from stripe_mongo_sync.sync.engine.admission import OTHERS
from stripe_mongo_sync.sync.inbox.inbox import drain
from tests.support import eventually
from tests.support.answers import at_once, problem, untouched
from tests.support.in_sync import assert_in_sync
from tests.support.world import SECRET, World

NAME = "user@here.com"
each_door = pytest.mark.usefixtures("each_door")  # one contract, whoever takes a webhook


def sign(raw: bytes, secret: str = SECRET, at: int | None = None) -> str:
    return WebhookSignature.generate_signature_header(raw.decode(), secret, timestamp=at or int(time.time()))


def deliver(world: World, raw: bytes, header: str | None = None) -> TestResponse:
    headers = {} if header is None else {"Stripe-Signature": header}
    return world.http.post("/webhooks/stripe", data=raw, content_type="application/json", headers=headers)


def altered(raw: bytes, **changes: Any) -> bytes:
    """The event with other fields; with `id`, another event."""
    return json.dumps({**json.loads(raw), **changes}).encode()


def about(raw: bytes, **changes: Any) -> bytes:
    """Another event of the same kind, whose object has other fields."""
    event = json.loads(raw)
    event["data"]["object"] |= changes
    return altered(raw, id=event["id"] + "b", data=event["data"])


@pytest.fixture
def raw(world: World) -> bytes:
    """The event of a customer that was just created."""
    sync.create_customer(NAME)
    (made,) = world.webhooks()
    return made


# --- is it Stripe? ---


@each_door
def test_a_signed_event_is_taken(world: World, raw: bytes) -> None:
    response = deliver(world, raw, sign(raw))

    assert (response.status_code, response.json) == (200, {"state": "applied"})
    assert bytes(Event.objects.get().raw) == raw
    assert_in_sync(world)


@each_door
@pytest.mark.fault("27")
def test_a_forged_event_is_refused(world: World, raw: bytes) -> None:
    good = sign(raw)
    stamp, _, mark = good.partition(",v1=")
    forgeries: list[tuple[bytes, str | None]] = [
        (raw, None),
        (raw, ""),
        (raw, "nonsense"),
        (raw, "t=,v1="),
        (raw, "t=x,v1=" + mark),
        (raw, f"v1={mark}"),
        (raw, stamp),
        (raw, f"{stamp},v0={mark}"),
        (raw, f"{stamp},v1={mark[:-1]}"),
        (raw, f"{stamp},v1={mark.upper()}"),
        (raw, f"{stamp},v1=é{mark}"),
        (raw, f"{stamp}é,v1={mark}"),
        (raw, f"t={'9' * 4000},v1={mark}"),
        (raw, f"{stamp},v1={mark}" + f",v1={'0' * 64}" * 100),
        (raw, "v1=," * 1_900 + good),
        (raw, sign(raw, "whsec_other")),
        (raw, sign(raw, "")),
        (raw, sign(raw, at=int(time.time()) - 302)),
        (raw, sign(raw, at=int(time.time()) + 330)),  # a slow machine may take half a minute to get there
        (raw, sign(raw, at=int(time.time()) + 10**9)),
        (raw.replace(b'"evt_', b'"evt-'), good),
        (raw + b" ", good),
        (json.dumps(json.loads(raw)).encode(), good),
        (raw[:-1] + b"\xff", good),
        (b" ", good),
    ]

    for body, header in forgeries:
        with untouched(world):
            problem(deliver(world, body, header), 400, "bad-signature")
    assert Customer.objects.get().confirmed_at is None


@pytest.mark.parametrize("age", [-290, 290])
@pytest.mark.fault("61")
def test_a_clock_may_differ_by_five_minutes(world: World, raw: bytes, age: int) -> None:
    assert deliver(world, raw, sign(raw, at=int(time.time()) - age)).status_code == 200


@each_door
def test_one_good_signature_among_several_is_enough(world: World, raw: bytes) -> None:
    stamp, _, mark = sign(raw).partition(",")

    assert deliver(world, raw, f"{stamp},v1={'0' * 64},v0=abc,{mark}").status_code == 200


@each_door
@pytest.mark.fault("42")
def test_secrets_can_be_rotated(world: World, raw: bytes) -> None:
    world.settings["STRIPE_WEBHOOK_SECRET"] = f"{SECRET}, whsec_new"
    world.start()

    assert deliver(world, raw, sign(raw, "whsec_new")).status_code == 200
    assert deliver(world, raw, sign(raw, SECRET)).json == {"state": "duplicate"}
    problem(deliver(world, raw, sign(raw, f"{SECRET}, whsec_new")), 400, "bad-signature")


# --- is it an event? ---


@each_door
def test_signed_nonsense_is_malformed(world: World) -> None:
    nonsense = [
        b" ",
        b"hello",
        b"[1]",
        b"null",
        b"1",
        b'"evt_1"',
        b"{}",
        b'{"id": "evt_1"}',
        b'{"id": 7, "type": "customer.created"}',
        b'{"id": "evt_../..", "type": "customer.created"}',
        b'{"id": {"$gt": ""}, "type": "customer.created", "object": "event"}',
        b'{"id": "evt_1", "type": "customer.created", "data": []}',
        b'{"id": "evt_1", "type": "customer.created", "object": "event"}',
        b'{"id": "evt_1", "type": "customer.created", "object": "event", "created": "now"}',
        b'{"id": "evt_1", "type": "customer.created", "object": "event", "created": 1e999}',
        b'{"id": "evt_1", "type": "customer.created", "object": "event", "created": ' + b"9" * 30 + b"}",
        b'{"id": "evt_1", "type": "customer.created", "object": "event", "created": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ]
    with untouched(world):
        for raw in nonsense:
            problem(deliver(world, raw, sign(raw)), 400, "malformed")


FULL = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.created",
    "created": 1,
    "livemode": False,
    "api_version": "x",
}


@each_door
@pytest.mark.fault("34")
def test_what_is_not_for_us_is_stored_as_ignored(world: World) -> None:
    told: list[tuple[dict[str, Any], str]] = [
        ({**FULL, "object": "v3.event"}, "neither"),
        ({**FULL, "livemode": True, "data": {"object": {"id": "cus_1", "object": "customer"}}}, "other mode"),
        ({**FULL, "livemode": None, "data": {"object": {"id": "cus_1", "object": "customer"}}}, "other mode"),
        ({**FULL, "account": "acct_other", "data": {"object": {"id": "cus_1", "object": "customer"}}}, "account"),
        ({**FULL, "type": "radar.early_fraud", "data": {"object": {"id": "x", "object": "radar"}}}, "type"),
        ({**FULL, "type": "invoice.upcoming", "data": {"object": {"object": "invoice"}}}, "preview"),
        ({**FULL, "data": {"object": {"object": "customer"}}}, "without an id"),
        ({**FULL, "data": {"object": {"object": "customer", "id": 7}}}, "without an id"),
        ({**FULL, "data": {"object": {"object": "customer", "id": {"$gt": ""}}}}, "without an id"),
        ({**FULL, "data": {"object": {"object": "customer", "id": "a/../b"}}}, "without an id"),
        ({**FULL, "data": {"object": {"object": "customer", "id": "\ud800"}}}, "without an id"),
        ({**FULL, "data": {"object": {"object": ["customer"], "id": "cus_1"}}}, "type"),
        ({**FULL, "data": {"object": "cus_1"}}, "type"),
        ({**FULL, "type": "order.created", "data": {"object": {"id": "or_1", "object": "order"}}}, "type"),
        ({**FULL, "data": {}}, "type"),
        ({**FULL}, "type"),
        ({"id": "evt_1", "object": "odd", "type": "odd.made", "created": 2**70, "data": {}}, "neither"),
    ]
    for number, (event, why) in enumerate(told):
        raw = altered(json.dumps(event).encode(), id=f"evt_{number}")

        response = deliver(world, raw, sign(raw))

        assert (response.status_code, response.json) == (200, {"state": "ignored"}), event
        row = Event.objects.get(id=f"evt_{number}")
        assert row.state == "ignored"
        assert (bytes(row.raw) == raw) is (row.reason not in OTHERS), event
        assert why in row.reason
    assert Customer.objects.count() == 0


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


UNHOLDABLE: dict[str, dict[str, Any]] = {
    "a large number": {"big": 2**70},
    "half a character": {"name": "\ud800"},
    "half a key": {"\ud800": 1},
    "a NUL in a key": {"a\0b": 1},
    "190 levels": nested(190),
    "500 levels": nested(500),
}


@each_door
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.fault("87")
def test_valid_json_that_mongodb_cannot_hold_is_kept_and_marked_dead(world: World, raw: bytes, known: bool) -> None:
    created = json.loads(raw)["created"]
    world.advance(minutes=2)
    for number, (what, change) in enumerate(UNHOLDABLE.items(), 61):
        odd = about(raw, email="other@here.com", **change, **({} if known else {"id": "cus_unknown"}))
        newer = {"id": f"evt_odd{number}", "created": created + number}
        odd = altered(odd, **newer, **({} if known else {"request": None}))

        response = deliver(world, odd, sign(odd))

        assert (response.status_code, response.json) == (200, {"state": "dead"}), what
        row = Event.objects.get(id=f"evt_odd{number}")
        assert bytes(row.raw) == odd
        assert row.reason
        assert deliver(world, odd, sign(odd)).json == {"state": "duplicate"}
    assert world.deliver([raw]) == ["applied"]
    assert Customer.objects.count() == 1


# --- once, and in any order ---


@each_door
@pytest.mark.fault("29")
def test_the_same_event_twenty_times_at_once_counts_once(world: World, raw: bytes) -> None:
    header = sign(raw)
    before = Customer.objects.get()

    states = Counter(response.json["state"] for response in at_once(20, lambda _: deliver(world, raw, header)))

    assert states == {"applied": 1, "duplicate": 19}
    assert Event.objects.count() == 1
    after = Customer.objects.get()
    assert (after.status, after.status_changed_by, after.stripe) == (
        before.status,
        before.status_changed_by,
        before.stripe,
    )
    assert after.confirmed_at is not None
    assert_in_sync(world)


def test_a_creation_made_elsewhere_is_adopted_once_by_twenty_at_once(world: World) -> None:
    world.stripe.dashboard.create("customer", name="Elsewhere")
    (raw,) = world.webhooks()
    header = sign(raw)

    states = Counter(response.json["state"] for response in at_once(20, lambda _: deliver(world, raw, header)))

    assert states == {"applied": 1, "duplicate": 19}
    customer = Customer.objects.get()
    assert (customer.username, customer.name, customer.confirmed_at is not None) == (None, "Elsewhere", True)
    assert_in_sync(world)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("apart", [0, 1])
@pytest.mark.fault("31")
def test_two_updates_end_as_stripe_has_it_in_either_order(world: World, backwards: bool, apart: int) -> None:
    customer = sync.create_customer(NAME)
    world.deliver()
    world.advance(minutes=1)
    for name in ("first", "second"):
        world.stripe.dashboard.update("customer", customer.stripe_id, name=name)
        world.advance(seconds=apart)
    events = world.webhooks()

    world.deliver(events[::-1] if backwards else events)

    assert customer.fetch_latest().name == "second"
    assert_in_sync(world)


@pytest.mark.fault("56")
def test_a_late_update_does_not_bring_a_deleted_object_back(world: World) -> None:
    customer = sync.create_customer(NAME)
    world.deliver()
    world.stripe.dashboard.update("customer", customer.stripe_id, name="late")
    world.advance(seconds=5)
    world.stripe.dashboard.delete("customer", customer.stripe_id)
    late, deletion = world.webhooks()

    world.deliver([deletion, late])
    world.advance(minutes=20)
    world.converge()

    assert customer.fetch_latest().status == Status.DELETED
    assert Customer.objects.count() == 1
    assert_in_sync(world)


def test_a_deletion_that_comes_before_the_creation_is_final(world: World) -> None:
    customer = sync.create_customer(NAME)
    world.advance(seconds=5)
    world.stripe.dashboard.delete("customer", customer.stripe_id)

    world.deliver(world.webhooks()[::-1])

    assert customer.fetch_latest().status == Status.DELETED
    assert_in_sync(world)


def test_an_older_event_is_stale(world: World) -> None:
    customer = sync.create_customer(NAME)
    (created,) = world.webhooks()
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    world.deliver()

    assert world.deliver([created]) == ["stale"]
    assert customer.fetch_latest().name == "new"
    assert_in_sync(world)


def test_an_event_in_another_api_version_looks_again(world: World) -> None:
    world.stripe.endpoint("https://shop.example/webhooks/stripe", secret=SECRET, api_version="2023-08-16")
    customer = sync.create_customer(NAME)
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    asked = len(world.stripe.requests)

    assert set(world.deliver()) == {"applied"}

    assert {request.path for request in world.stripe.requests[asked:]} == {f"/v1/customers/{customer.stripe_id}"}
    assert customer.fetch_latest().name == "new"
    assert State.read("other_version")["version"] == "2023-08-16"
    assert_in_sync(world)


def test_an_event_that_cannot_be_looked_into_is_kept_and_drained_later(world: World) -> None:
    customer = sync.create_customer(NAME)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    created, changed = world.webhooks()
    world.stripe.fault("cut_before", method="GET", times=None)

    assert world.deliver([changed]) == ["received"]

    world.stripe.clear_faults()
    world.advance(minutes=10)
    drain()
    assert Event.objects.get().state == "applied"
    assert customer.fetch_latest().name == "new"
    world.deliver([created])
    world.advance(minutes=10)
    world.converge()
    assert_in_sync(world)


# --- whose is it? ---


@pytest.mark.fault("33")
def test_without_adoption_what_others_made_is_ignored(world: World) -> None:
    world.settings["ADOPT"] = "no"
    world.start()
    world.stripe.dashboard.create("customer", name="Elsewhere")

    assert world.deliver() == ["waiting"], "a document that is being made may not know its object yet"

    world.advance(hours=1)
    world.reconcile(full=True)
    assert Customer.objects.count() == 0
    assert Event.objects.get().state == "ignored"


@pytest.mark.fault("33")
def test_what_another_installation_made_is_never_adopted(world: World) -> None:
    sync.create_customer(NAME)
    created = world.webhooks()
    Customer._get_collection().delete_many({})
    State.renew_installation()
    world.start()
    world.stripe.dashboard.update("customer", world.stripe.objects("customer")[0]["id"], name="new")

    told = world.deliver([*created, *world.webhooks()])
    world.advance(hours=1)
    world.reconcile(full=True)

    assert told == ["ignored", "ignored"]
    assert Customer.objects.count() == 0
    assert {row.state for row in Event.objects} == {"ignored"}
    assert len(world.stripe.objects("customer")) == 1


@pytest.mark.fault("33")
def test_our_key_on_an_event_about_something_else_links_nothing(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)
    world.stripe.dashboard.create("customer", name="Somebody")
    (raw,) = world.webhooks()
    ours = {"id": None, "idempotency_key": customer.creation_key}

    for forged in (
        altered(raw, type="customer.updated", request=ours),
        altered(raw, id="evt_2", request=ours, livemode=True),
    ):
        assert deliver(world, forged, sign(forged)).status_code == 200

    assert customer.fetch_latest().status == Status.PENDING


# --- when MongoDB is away ---


@pytest.fixture
def mongod() -> Iterator[Mongod]:
    if find_mongod() is None:
        pytest.skip("this machine has no mongod of its own")
    with Mongod(fast=True) as server:
        yield server


@each_door
@pytest.mark.fault("35")
def test_an_event_that_cannot_be_stored_is_asked_for_again(mongod: Mongod) -> None:
    world = World(mongod.uri("shop"), Emulator())
    try:
        customer = sync.create_customer(NAME)
        (raw,) = world.webhooks()

        mongod.kill()
        event, call = at_once(
            2,
            lambda n: [
                lambda: world.send(raw),
                lambda: world.http.post("/customers", json={"username": "other"}, headers={"Idempotency-Key": "one"}),
            ][n](),
        )
        problem(event, 503, "unavailable")
        assert problem(call, 503, "unavailable")["idempotency_key"] == "one"
        assert event.headers["Retry-After"] == call.headers["Retry-After"] == "5"
        eventually(lambda: world.http.get("/readyz").status_code == 503)  # a good answer counts for a second
        assert world.http.get("/healthz").status_code == 200

        mongod.restart()
        eventually(lambda: world.http.get("/readyz").status_code == 200)
        assert world.deliver([raw]) == ["applied"]
        assert customer.fetch_latest().confirmed_at is not None
        call = world.http.post("/customers", json={"username": "other"}, headers={"Idempotency-Key": "one"})
        assert call.status_code == 201
        assert world.http.get("/readyz").status_code == 200
        assert len(world.stripe.objects("customer")) == 2
        assert_in_sync(world)
    finally:
        world.stop()


@each_door
def test_a_whole_second_may_be_written_with_a_point(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    (raw,) = world.webhooks()
    told = json.loads(raw)

    response = world.send(json.dumps({**told, "created": float(told["created"])}).encode())

    assert (response.status_code, response.json["state"]) == (200, "applied")
    assert Event.objects.get().created == told["created"]
    assert customer.fetch_latest().confirmed_at is not None
