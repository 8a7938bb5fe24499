"""What a sight shows of the content: fields that must be asked for, and the version in which it is rendered."""

import json
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, Status, created_kinds, kinds
from stripe_mongo_sync.models.base.input import params
from stripe_mongo_sync.models.state import OTHER_VERSION, State
from stripe_mongo_sync.sync.stripe.answers import api_version
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

OLDER = "2025-03-31.basil"
ASKED = [(kind, name) for kind, model in created_kinds().items() for name in model.resource.expand]
VALUES = {("coupon", "applies_to"): lambda: {"products": [str(samples.create("product").stripe_id)]}}


# --- fields that Stripe shows only when asked ---


def made(kind: str, name: str) -> Any:
    return sync.create(kinds()[kind], {**samples.body(kind), name: VALUES[kind, name]()})[0]


def plain(value: Any) -> Any:
    return value.to_mongo().to_dict() if hasattr(value, "to_mongo") else value


def test_every_field_that_must_be_asked_for_is_tried() -> None:
    assert VALUES.keys() == set(ASKED)
    assert ASKED


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_a_field_that_is_shown_only_when_asked_survives(world: World, kind: str, name: str) -> None:
    document = made(kind, name)
    sent = plain(getattr(document, name))
    assert sent

    def has_it() -> bool:
        after = document.fetch_latest()
        return plain(getattr(after, name)) == sent == (after.stripe or {})[name]

    assert has_it(), "after the reply"
    for raw in world.webhooks():
        assert name not in json.loads(raw)["data"]["object"], "Stripe shows it in no event"
        world.deliver([raw])
    assert has_it(), "after its event"
    world.advance(minutes=20)
    world.converge()
    assert has_it(), "after reconcile"
    assert world.reconcile(full=True).counts["drift"] == 0
    assert has_it(), "after a full comparison"
    world.advance(minutes=1)
    world.stripe.dashboard.update(kind, document.stripe_id, name="Renamed")
    world.deliver()
    assert document.fetch_latest().name == "Renamed"
    assert has_it(), "after an edit elsewhere"
    sync.update(document.fetch_latest(), {"name": "Again"})
    assert has_it(), "after an update"
    assert_in_sync(world)


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_such_a_field_is_adopted_copied_and_found_again(world: World, kind: str, name: str) -> None:
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", path=kinds()[kind].resource.path, times=2)
    lost = made(kind, name)
    assert lost.status == Status.PENDING
    world.stripe.clear_faults()
    world.advance(days=2)

    world.converge()

    found = lost.fetch_latest()
    assert (found.status, found.stripe[name]) == (Status.ACTIVE, plain(getattr(found, name)))
    kinds()[kind]._get_collection().delete_many({})
    Event._get_collection().delete_many({})
    world.reconcile(full=True)
    copied = kinds()[kind].objects.get()
    assert plain(getattr(copied, name)) == plain(getattr(found, name))


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_an_event_shows_all_but_such_a_field_and_costs_no_look(world: World, kind: str, name: str) -> None:
    document = made(kind, name)
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.update(kind, document.stripe_id, name="Renamed")
    asked = len(world.stripe.requests)

    world.deliver()

    assert len(world.stripe.requests) == asked
    after = document.fetch_latest()
    assert (after.name, plain(getattr(after, name))) == ("Renamed", plain(getattr(document, name)))


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_one_404_keeps_no_unknown_object_away_that_its_event_shows(world: World, kind: str, name: str) -> None:
    world.reconcile()
    remote = world.stripe.dashboard.create(kind, **{**samples.body(kind), name: VALUES[kind, name]()})
    world.stripe.fault("missing", method="GET")

    assert "ignored" not in world.deliver()

    assert kinds()[kind].by_stripe_id(remote["id"]).status == Status.ACTIVE
    world.advance(minutes=20)
    world.converge()
    assert plain(getattr(kinds()[kind].by_stripe_id(remote["id"]), name)), "it was asked for later"
    assert_in_sync(world)


def test_an_operation_that_was_frozen_without_asking_is_looked_at(world: World) -> None:
    world.stripe.fault("refuse", method="POST", path="/v1/coupons", times=2)
    coupon = made("coupon", "applies_to")
    Coupon._get_collection().update_many({}, {"$unset": {"operation.params.expand": 1}})
    world.stripe.clear_faults()
    world.advance(minutes=5)

    world.converge()

    assert coupon.fetch_latest().applies_to.products == [samples.kinds()["product"].objects.get().stripe_id]
    assert_in_sync(world)


def test_an_empty_list_is_left_out_of_a_create_and_unset_by_an_update() -> None:
    assert params(kinds()["customer"], {"name": "x", "preferred_locales": []}, "create") == {"name": "x"}
    assert params(kinds()["customer"], {"preferred_locales": []}, "update") == {"preferred_locales": ""}
    assert params(Coupon, {"applies_to": {"products": []}}, "create") == {"applies_to": {}}


# --- the version of a shape ---


def test_a_reply_in_an_older_version_says_nothing_of_the_content(world: World) -> None:
    """An operation that was pending over an upgrade of the library is sent, and answered, in its own version."""
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com", name="A Name")
    Customer._get_collection().update_many({}, {"$set": {"operation.api_version": OLDER}})
    world.stripe.clear_faults()
    world.advance(minutes=5)
    asked = len(world.stripe.requests)

    world.reconcile()

    seen = [
        (request.method, request.version) for request in world.stripe.requests[asked:] if request.kind == "customer"
    ]
    assert ("POST", OLDER) in seen
    assert ("GET", api_version()) in seen[seen.index(("POST", OLDER)) :], "it is looked at in ours"
    assert customer.fetch_latest().name == "A Name"
    assert_in_sync(world)


def test_an_event_in_another_version_is_advised_about_only_where_a_webhook_brought_it(world: World) -> None:
    world.reconcile()
    sync.create_customer("user@here.com")
    for body in world.webhooks():
        assert body  # lost
    for row in world.stripe.engine.realm().table("event").values():
        row["event"]["api_version"] = OLDER

    world.advance(minutes=5)
    world.reconcile()

    assert Event.objects.count()
    assert State.read(OTHER_VERSION) is None, "what is listed comes in the account's version by nature"
    sync.create_customer("other@here.com")
    (raw,) = world.webhooks()
    world.deliver([json.dumps({**json.loads(raw), "api_version": OLDER}).encode()])
    assert (State.read(OTHER_VERSION) or {})["version"] == OLDER
