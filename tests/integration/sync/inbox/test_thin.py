"""Thin events: they say only which object changed, and both sides become one as if they had told everything."""

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, State, Status, kinds
from stripe_mongo_sync.sync.inbox.inbox import drain
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.in_sync import assert_in_sync
from tests.support.representatives import representatives, row
from tests.support.world import SECRET, URL, World

NAME = "user@here.com"
THIN = {
    "id": "evt_test_65a",
    "object": "v2.core.event",
    "type": "v1.customer.updated",
    "created": "2026-11-24T21:49:02.152Z",
    "livemode": False,
    "context": None,
    "reason": {"type": "request", "request": {"id": "req_1", "idempotency_key": None}},
    "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
}


@pytest.fixture
def thin(world: World) -> World:
    """A world whose Stripe sends thin events, and no others."""
    world.stripe.endpoint(URL, payload="thin", secret=SECRET)
    world.stripe.endpoint(URL, enabled_events=["none"])
    return world


@pytest.fixture
def both(world: World) -> World:
    """A world whose Stripe sends each event in both styles."""
    world.stripe.endpoint(URL, payload="thin", secret=SECRET)
    return world


def reads(world: World) -> list[str]:
    return [request.path for request in world.stripe.requests if request.method == "GET"]


def taken(world: World, **changes: Any) -> TestResponse:
    return world.send(json.dumps({**THIN, **changes}).encode())


def test_a_thin_creation_with_our_key_confirms_its_document(thin: World) -> None:
    customer = sync.create_customer(NAME)

    (raw,) = thin.webhooks()
    assert thin.deliver([raw]) == ["applied"]

    assert customer.fetch_latest().confirmed_at is not None
    row = Event.objects.get()
    assert (row.type, row.object_id, row.via) == ("customer.created", customer.stripe_id, "webhook")
    assert (bytes(row.raw), row.created) == (raw, thin.stripe.events()[0]["created"])
    assert State.read("other_version") is None, "a thin event is in no version, so none is wrong"
    assert_in_sync(thin)


def test_a_thin_creation_links_a_document_whose_reply_was_lost(thin: World) -> None:
    thin.stripe.fault("cut_after", method="POST", times=2)
    customer = sync.create_customer(NAME)
    assert customer.status == Status.PENDING

    assert thin.deliver() == ["applied"]

    assert customer.fetch_latest().status == Status.ACTIVE
    thin.converge()
    assert_in_sync(thin)


@pytest.mark.parametrize(
    "kind",
    representatives(
        sorted(kind for kind in samples.CHANGES if not kinds()[kind].resource.owners),  # no event shows those
        row("event_prefixes", "has_created_event", "parts", "expand"),
    ),
)
def test_a_thin_event_looks_at_what_changed(thin: World, kind: str) -> None:
    document = samples.create(kind)
    thin.deliver()
    thin.advance(minutes=1)
    thin.stripe.dashboard.update(kind, document.stripe_id, **samples.CHANGES[kind])
    before = len(reads(thin))

    assert set(thin.deliver()) <= {"applied"}

    ours = [event for event in thin.stripe.events() if event["data"]["object"]["id"] == document.stripe_id]
    has_created_event = any(event["type"].endswith(".updated") for event in ours)
    assert reads(thin)[before:] == [document.path] * has_created_event
    thin.reconcile(full=not has_created_event)  # what Stripe does not tell of is found by comparing everything
    assert_in_sync(thin)


def test_a_thin_deletion_is_proof(thin: World) -> None:
    customer = sync.create_customer(NAME)
    thin.deliver()
    thin.advance(minutes=1)
    thin.stripe.dashboard.delete("customer", customer.stripe_id)
    before = len(reads(thin))

    assert thin.deliver() == ["applied"]

    assert (customer.fetch_latest().status, len(reads(thin))) == (Status.DELETED, before)
    assert_in_sync(thin)


def test_a_late_thin_event_does_not_bring_a_deleted_object_back(thin: World) -> None:
    customer = sync.create_customer(NAME)
    thin.advance(minutes=1)
    thin.stripe.dashboard.update("customer", customer.stripe_id, name="late")
    thin.advance(minutes=1)
    thin.stripe.dashboard.delete("customer", customer.stripe_id)
    created, late, deletion = thin.webhooks()

    assert set(thin.deliver([deletion, late, created])) == {"applied"}

    assert customer.fetch_latest().status == Status.DELETED
    assert Customer.objects.count() == 1
    assert_in_sync(thin)


def test_an_id_that_was_given_away_again_is_another_object(thin: World) -> None:
    thin.stripe.dashboard.create("coupon", id="SALE", percent_off=10)
    thin.deliver()
    thin.advance(minutes=1)
    thin.stripe.dashboard.delete("coupon", "SALE")
    thin.advance(minutes=1)
    thin.stripe.dashboard.create("coupon", id="SALE", percent_off=20)

    assert set(thin.deliver()) == {"applied"}

    assert {(c.status, c.percent_off) for c in Coupon.objects} == {("deleted", 10), ("active", 20)}
    assert_in_sync(thin)


@pytest.mark.parametrize("adopt", ["yes", "no"])
@pytest.mark.fault("90")
def test_what_no_creation_announces_is_linked_by_its_mark(thin: World, adopt: str) -> None:
    thin.settings["ADOPT"] = adopt
    thin.start()
    body = samples.body("checkout.session")
    thin.deliver()
    thin.stripe.fault("cut_after", method="POST", times=2)
    session, _ = sync.create(kinds()["checkout.session"], body)
    assert session.status == Status.PENDING
    (there,) = thin.stripe.objects("checkout.session")
    thin.stripe.pay_session(there["id"])
    told = [raw for raw in thin.webhooks() if b"v1.checkout.session.completed" in raw]

    assert thin.deliver(told) == ["applied"]

    assert (session.fetch_latest().status, session.fetch_latest().stripe_id) == (Status.ACTIVE, there["id"])


def test_what_others_made_is_adopted_at_once(thin: World) -> None:
    thin.stripe.dashboard.create("customer", name="Elsewhere")

    assert thin.deliver() == ["applied"]

    assert Customer.objects.get().name == "Elsewhere"
    assert_in_sync(thin)


def test_what_may_be_the_object_of_a_document_in_doubt_is_not_adopted(thin: World) -> None:
    thin.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME)
    thin.stripe.repair()

    assert thin.deliver() == ["waiting"]

    assert customer.fetch_latest().review_reason is not None
    assert Customer.objects.count() == 1


@pytest.mark.fault("91")
def test_a_look_that_fails_is_made_later_from_what_was_stored(thin: World) -> None:
    customer = sync.create_customer(NAME)
    thin.deliver()
    thin.advance(minutes=1)
    thin.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    thin.stripe.fault("cut_before", method="GET", times=None)

    assert thin.deliver() == ["received"]

    thin.stripe.clear_faults()
    thin.advance(minutes=10)
    drain()
    assert customer.fetch_latest().name == "new"
    assert {row.state for row in Event.objects} == {"applied"}


@pytest.mark.fault("91")
def test_the_same_thin_event_counts_once(thin: World) -> None:
    sync.create_customer(NAME)
    (raw,) = thin.webhooks()

    assert thin.deliver([raw, raw]) == ["applied", "duplicate"]


# --- whose is it, and is it one? ---


def test_what_is_not_for_us_is_ignored(thin: World) -> None:
    told: list[tuple[dict[str, Any], str]] = [
        ({"livemode": True}, "other mode"),
        ({"livemode": None}, "other mode"),
        ({"context": "acct_other"}, "another account"),
        ({"context": {"$gt": ""}}, "another account"),
        ({"type": "v2.core.account[identity].updated", "related_object": None}, "type"),
        ({"type": "v1.billing.meter.no_meter_found", "related_object": None}, "type"),
        ({"type": "v1.unicorn.born", "related_object": {"id": "uni_1", "type": "unicorn", "url": "/"}}, "type"),
        ({"related_object": None}, "type"),
        ({"related_object": "cus_1"}, "type"),
        ({"related_object": {}}, "type"),
        ({"related_object": {"id": "cus_1", "type": ["customer"]}}, "type"),
        ({"related_object": {"type": "customer"}}, "without an id"),
        ({"related_object": {"type": "customer", "id": 7}}, "without an id"),
        ({"related_object": {"type": "customer", "id": "a/../b"}}, "without an id"),
        ({"related_object": {"type": "customer", "id": "\ud800"}}, "without an id"),
    ]
    for number, (changes, why) in enumerate(told):
        response = taken(thin, id=f"evt_test_{number}", **changes)

        assert (response.status_code, response.json) == (200, {"state": "ignored"}), changes
        assert why in Event.objects.get(id=f"evt_test_{number}").reason, changes
        assert "context" in changes or number > 2 or reads(thin) == [], "who we are is asked only where it counts"
    assert Customer.objects.count() == 0
    assert reads(thin) == ["/v1/account"], "once"


def test_an_event_of_our_own_account_is_taken(thin: World) -> None:
    customer = sync.create_customer(NAME)
    (raw,) = thin.webhooks()
    ours = json.dumps({**json.loads(raw), "context": thin.stripe.account}).encode()

    assert thin.deliver([ours]) == ["applied"]
    assert customer.fetch_latest().confirmed_at is not None


def test_what_is_no_thin_event_is_malformed(thin: World) -> None:
    told: list[dict[str, Any]] = [
        {"id": None},
        {"id": "evt/1"},
        {"type": None},
        {"type": 7},
        {"type": ["v1.customer.created"]},
        {"type": "V1 Customer"},
        {"created": None},
        {"created": 1795556942},
        {"created": ["2026"]},
        {"created": "now"},
        {"created": "2026-11-24"},
        {"created": "2026-11-24T21:49:02"},
        {"created": "1933-11-24T21:49:02Z"},
        {"created": "99999-11-24T21:49:02Z"},
    ]
    with untouched(thin):
        for changes in told:
            problem(taken(thin, **changes), 400, "malformed")


def test_a_field_that_is_missing_is_never_our_error(thin: World) -> None:
    for missing in THIN:
        event = {name: value for name, value in {**THIN, "id": f"evt_{missing}"}.items() if name != missing}

        assert thin.send(json.dumps(event).encode()).status_code in (200, 400), missing


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("cus_1") | st.just("customer"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*THIN, "type", "request"]), inner),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.sampled_from(sorted({*THIN} - {"object"})), JUNK, min_size=1))
def test_no_thin_event_is_our_error(world: World, changes: dict[str, Any]) -> None:
    assert taken(world, **changes).status_code in (200, 400)


# --- in any order, with and without snapshots ---


def told(world: World) -> dict[str, Any]:
    return {c.stripe_id: (c.status, c.name, c.digest, c.username) for c in Customer.objects}


def history(world: World, apart: float) -> list[bytes]:
    """Customers that are made here and there, changed and deleted; return what Stripe tells of it."""
    ours, gone = sync.create_customer(NAME), sync.create_customer("other@here.com")
    there = world.stripe.dashboard.create("customer", name="Elsewhere")
    for name in ("first", "second"):
        world.advance(seconds=apart)
        for id in (ours.stripe_id, there["id"]):
            world.stripe.dashboard.update("customer", id, name=name)
    world.advance(seconds=apart)
    world.stripe.dashboard.delete("customer", gone.stripe_id)
    return world.webhooks()


@pytest.mark.parametrize("seed", representatives(range(12), lambda seed: seed % 3))
@pytest.mark.parametrize("apart", [0, 5])
@pytest.mark.fault("91")
def test_any_order_and_any_mixture_ends_where_stripe_is(both: World, seed: int, apart: float) -> None:
    events, dice = history(both, apart), random.Random(seed)
    chosen = [raw for raw in events if dice.random() < 0.8]
    letters = [*chosen, *dice.sample(chosen, len(chosen) // 2)]
    dice.shuffle(letters)

    both.deliver(letters)
    both.deliver(events)
    both.advance(minutes=20)
    both.converge()

    assert [status for status, *_ in told(both).values()].count("deleted") == 1
    assert {name for status, name, *_ in told(both).values() if status == "active"} == {"second"}
    assert len(told(both)) == Customer.objects.count() == 3
    assert {row.state for row in Event.objects} <= {"applied", "stale", "ignored"}
    assert_in_sync(both)


def test_one_change_told_in_both_styles_is_one_document_in_either_order(both: World) -> None:
    ends = []
    for order in itertools.permutations(range(2)):
        there = both.stripe.dashboard.create("customer", name="Elsewhere")
        letters = both.webhooks()
        assert [json.loads(raw)["object"] for raw in letters] == ["event", "v2.core.event"]
        both.deliver([letters[place] for place in order])
        ends.append([(c.status, c.name) for c in Customer.objects(stripe_id=there["id"])])

    assert ends == [[("active", "Elsewhere")]] * 2
    assert_in_sync(both)
