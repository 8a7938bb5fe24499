"""Whose an event is, at every door, and what is no news at all: a question, a sample, the news of a lost event."""

import json
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, State, SyncedDocument, kinds
from stripe_mongo_sync.models.event_body import without_content
from stripe_mongo_sync.models.mirrored import QUESTIONS
from stripe_mongo_sync.models.state import STRIPE
from stripe_mongo_sync.sync.inbox.arrival import arrive, listed
from stripe_mongo_sync.sync.inbox.inbox import attempt, record
from stripe_mongo_sync.sync.operator import endpoint
from stripe_mongo_sync.sync.operator.catalogue import NAMED, covered_events
from tests.support import samples
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.world import SECRET, URL, World

OURS = "acct_1EmulatedStripe01"
THEIRS = "acct_1Neighbour000001"


def now(world: World) -> int:
    return int(world.stripe.clock.now())


def shared(world: World) -> None:
    """An organization's endpoint, which is sent the events of all its accounts."""
    world.stripe.endpoint(URL, secret=SECRET, organization=True)


# --- account and context ---


@pytest.mark.parametrize("payload", ["snapshot", "thin"])
def test_what_happens_in_another_account_of_the_organization_is_ignored(world: World, payload: str) -> None:
    world.stripe.endpoint(URL, enabled_events=["none"])
    world.stripe.endpoint(URL, secret=SECRET, payload=payload, organization=True)
    mine, _ = sync.create(Coupon, {"id": "SUMMER20", "percent_off": 20, "duration": "once"})
    assert world.deliver() == ["applied"], "our own, which say in their context that they are"
    world.advance(minutes=1)

    world.stripe.neighbour(THEIRS).create("coupon", id="SUMMER20", percent_off=90, duration="once")
    world.stripe.neighbour(THEIRS).delete("coupon", "SUMMER20")
    world.stripe.neighbour(THEIRS).create("customer", name="Theirs")

    assert world.deliver() == ["ignored"] * 3
    assert (mine.fetch_latest().status, mine.fetch_latest().percent_off) == ("active", 20)
    assert Customer.objects.count() == 0
    assert {row.reason for row in Event.objects(state="ignored")} == {"of another account"}
    assert_in_sync(world)


WHOSE: list[tuple[dict[str, Any], bool]] = [
    ({"context": OURS}, True),
    ({"context": f"org_1Us/{OURS}"}, True),
    ({"context": f"acct_1Platform/{OURS}", "account": OURS}, True),
    ({"context": None, "account": None}, True),
    ({"context": "", "account": ""}, True),
    ({"context": THEIRS}, False),
    ({"account": THEIRS}, False),
    ({"account": OURS, "context": THEIRS}, False),
    ({"account": THEIRS, "context": OURS}, False),
    ({"context": f"{OURS}/{THEIRS}", "account": THEIRS}, False),
    ({"context": f"org_1Us/{THEIRS}"}, False),
    ({"context": {"$gt": ""}}, False),
    ({"account": [OURS]}, False),
]


@pytest.mark.parametrize("door", ["webhook", "thin", "list", "erased"])
def test_account_and_context_are_asked_at_every_door(world: World, door: str) -> None:
    world.reconcile()
    for whose, ours in WHOSE:
        if door == "thin" and whose.get("account"):
            continue  # there it has only a context
        remote = world.stripe.insert("customer", name="Somebody")
        raw = event("customer.created", remote, now(world), **whose)
        told = json.loads(raw)
        match door:
            case "webhook":
                state = world.send(raw).json["state"]
            case "thin":
                thin = {"id": told["id"], "object": "v2.core.event", "type": "v1.customer.created", "livemode": False}
                thin |= {"context": whose["context"], "created": "2099-01-01T00:00:00Z"}
                thin["related_object"] = {"id": remote["id"], "type": "customer", "url": ""}
                state = world.send(json.dumps(thin).encode()).json["state"]
            case "list":
                verdict = attempt(listed(told), quick=False)
                record(listed(told), verdict)
                state = verdict.state
            case "erased":  # what is left of an event knows whose it is
                state = attempt(arrive(without_content(told)), quick=False).state
        assert (state == "ignored") is not ours, whose
        assert Customer.objects(stripe_id=remote["id"]).count() == ours, whose


def test_a_database_that_does_not_know_who_we_are_asks_once(world: World) -> None:
    customer = samples.create("customer")
    (raw,) = world.webhooks()
    State.clear(STRIPE)
    world.start()
    before = len(world.stripe.requests)

    assert world.deliver([json.dumps({**json.loads(raw), "context": OURS}).encode()]) == ["applied"]
    assert world.deliver([event("customer.created", {"id": "cus_2", "object": "customer"}, 1, context=THEIRS)]) == [
        "ignored"
    ]

    assert [request.path for request in world.stripe.requests[before:]] == ["/v1/account"]
    assert customer.fetch_latest().confirmed_at is not None


def test_while_stripe_does_not_say_who_we_are_an_event_waits(world: World) -> None:
    world.stripe.fault("cut_before", path="/v1/account", times=None)
    remote = world.stripe.insert("customer", name="Somebody")

    assert world.deliver([event("customer.created", remote, now(world), context=OURS)]) == ["received"]

    world.stripe.clear_faults()
    world.advance(minutes=5)
    world.reconcile()
    assert Customer.objects.get().stripe_id == remote["id"]


# --- connected accounts ---


@pytest.mark.parametrize(
    "whose",
    [
        {},
        {"context": "acct_1Connected"},
        {"context": f"{OURS}/acct_1Connected"},
        {"context": f"org_1Us/{OURS}/acct_1Connected"},
    ],
)
def test_a_connected_account_is_kept_current_by_its_own_events(world: World, whose: dict[str, str]) -> None:
    about = {"id": "acct_1Connected", "object": "account", "created": 1_700_000_000, "charges_enabled": False}
    world.reconcile()

    for enabled in (False, True):
        raw = event(
            "account.updated", {**about, "charges_enabled": enabled}, now(world), account="acct_1Connected", **whose
        )
        assert world.deliver([raw]) == ["applied"]
        world.advance(seconds=5)

    kept = kinds()["account"].objects.get()
    assert kept.stripe["charges_enabled"] is True


@pytest.mark.parametrize(
    ("type", "remote", "whose"),
    [
        ("customer.created", {"id": "cus_1", "object": "customer"}, {}),
        ("person.created", {"id": "person_1", "object": "person", "account": "acct_1Connected"}, {}),
        ("capability.updated", {"id": "card_payments", "object": "capability", "account": "acct_1Connected"}, {}),
        ("account.application.deauthorized", {"id": "ca_1", "object": "application"}, {}),
        ("payout.paid", {"id": "acct_1Connected", "object": "payout"}, {}),
        ("account.updated", {"id": "acct_1Another", "object": "account"}, {}),
        (
            "account.updated",
            {"id": "acct_1Connected", "object": "account"},
            {"context": "acct_2Platform/acct_1Connected"},
        ),
        ("account.updated", {"id": "acct_1Connected", "object": "account"}, {"context": "acct_1Another"}),
    ],
)
def test_whatever_else_happens_in_a_connected_account_is_ignored(
    world: World, type: str, remote: Any, whose: Any
) -> None:
    raw = event(type, {**remote, "created": now(world)}, now(world), account="acct_1Connected", **whose)

    assert world.deliver([raw]) == ["ignored"]
    assert documents(world) == []


def documents(world: World) -> list[SyncedDocument]:
    return world.documents()


# --- a question is no news ---


@pytest.mark.parametrize("type", sorted(QUESTIONS))
def test_a_question_is_answered_with_nothing_and_kept_as_ignored(world: World, type: str) -> None:
    about = {
        "id": "iauth_1",
        "object": "issuing.authorization",
        "status": "pending",
        "pending_request": {"amount": 500},
    }

    response = world.send(event(type, about, now(world)))

    assert (response.status_code, response.get_data()) == (200, b"")
    assert Event.objects.get().state == "ignored"
    assert documents(world) == []


def test_no_endpoint_of_ours_is_sent_a_question_and_an_update_takes_it_out(world: World) -> None:
    made, _ = endpoint.create("https://shop.example/webhooks/other")
    asked = world.stripe.endpoint(URL, secret=SECRET, enabled_events=[*covered_events(), *QUESTIONS])

    assert not QUESTIONS.intersection(made.remote["enabled_events"])
    theirs = endpoint.endpoint_of(asked["id"])
    assert (theirs.questions, theirs.is_correct) == (sorted(QUESTIONS), False)
    assert endpoint.update(theirs).questions == []


def test_a_star_sends_nothing_that_must_be_named(world: World) -> None:
    star = endpoint.endpoint_of(None)

    assert set(star.missing) == NAMED - QUESTIONS
    world.stripe.insert("webhook_endpoint", star.remote)
    assert endpoint.update(star).missing == []


# --- what the Dashboard makes up ---


@pytest.mark.parametrize(
    ("id", "about"), [("evt_00000000000000", "x_1"), ("evt_0000000000000000", "x_2"), (None, "x_00000000000000")]
)
def test_a_sample_of_the_dashboard_leaves_no_document(world: World, id: str | None, about: str) -> None:
    for kind, model in kinds().items():
        told = json.loads(event(model.resource.created_event, {"id": about, "object": kind, "created": 1}, now(world)))
        told["id"] = id or told["id"]
        assert world.send(json.dumps(told).encode()).json["state"] in ("ignored", "duplicate"), kind
    assert documents(world) == []


# --- the news that an event could not be made ---


def lost_update(world: World) -> SyncedDocument:
    customer = samples.create("customer")
    world.deliver()
    world.reconcile()
    world.advance(minutes=30)
    world.stripe.lose_event("customer.updated")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    assert world.webhooks() == []
    return customer


@pytest.mark.parametrize("waits", [False, True])
def test_the_news_that_an_event_was_lost_is_a_reason_to_look(world: World, waits: bool) -> None:
    world.stripe.endpoint(
        URL, payload="thin", secret=SECRET, enabled_events=["v2.core.health.event_generation_failure.resolved"]
    )
    customer = lost_update(world)
    world.stripe.admit_losses()
    if waits:
        world.stripe.fault("cut_before", method="GET", times=1)

    assert world.deliver() == ["received" if waits else "applied"]

    world.advance(minutes=5)
    world.reconcile()
    assert customer.fetch_latest().name == "new"


def test_the_news_of_another_accounts_loss_is_ignored(world: World) -> None:
    customer = lost_update(world)
    named = {"id": customer.stripe_id, "type": "customer", "url": ""}
    news = {
        "id": "evt_test_65loss",
        "object": "v2.core.event",
        "type": "v2.core.health.event_generation_failure.resolved",
        "created": "2026-11-28T10:00:00.000Z",
        "livemode": False,
        "context": None,
        "data": {"impact": {"event_type": "customer.updated", "related_object": named, "context": THEIRS}},
    }

    assert world.deliver([json.dumps(news).encode()]) == ["ignored"]
    assert customer.fetch_latest().name != "new"
