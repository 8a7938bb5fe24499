"""Undo: what Stripe made after it was given up is made unusable, once, whatever becomes of the calls that do it.

In the usual run a customer does; `make faults` runs all types.
"""

from typing import Any

import pytest

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.resource import Resource
from tests.faults.calls import Call, every_type, has_created_event
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

UNDO_FAULTS = (
    "cut_before",
    "cut_after",
    "500_before",
    "500_after",
    "503_edge",
    "rate_limit",
    "bad_body",
    "late_request",
)


def given_up(world: World, kind: str) -> Any:
    """A document that was given up, whose object Stripe made in the end."""
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("500_repair", method="POST")
    ready.send()
    world.webhooks()
    world.advance(hours=1)
    world.converge()
    document = ready.subject()
    assert document is not None
    world.stripe.repair(request={"id": None, "idempotency_key": document.creation_key})
    return document


@pytest.mark.parametrize("kind", every_type("16", has_created_event))
def test_what_stripe_finishes_after_it_was_given_up_is_undone_or_left_to_a_person(world: World, kind: str) -> None:
    document = given_up(world, kind)

    world.deliver()
    world.converge()

    latest = document.fetch_latest()
    assert latest.is_current or latest.review_reason is not None or len(latest.undone_orphans) == 1
    assert_in_sync(world, review=True)


@pytest.mark.parametrize("kind", every_type("46", has_created_event))
def test_an_orphan_that_was_undone_is_told_of_again_and_stays_undone(world: World, kind: str) -> None:
    document = given_up(world, kind)
    letters = world.webhooks()
    world.deliver(letters)
    world.converge()
    before = document.fetch_latest()
    undone = [request for request in world.stripe.requests if request.method != "GET"]

    for raw in letters:
        event = raw.replace(b'"id":"evt_', b'"id":"evt_again', 1).replace(b'"id": "evt_', b'"id": "evt_again', 1)
        assert world.send(event).status_code == 200
    world.converge()

    assert [request for request in world.stripe.requests if request.method != "GET"] == undone
    latest = document.fetch_latest()
    assert (latest.status, latest.orphans, latest.review_reason) == (
        before.status,
        before.orphans,
        before.review_reason,
    )


def undone(resource: Resource) -> bool:
    """Whether a creation is undone without an operator: one that moves money is not."""
    return bool(resource.undo) and not resource.moves_money("create", {})


@pytest.mark.parametrize("fault", UNDO_FAULTS)
@pytest.mark.parametrize(
    "kind", [p for p in every_type("78", has_created_event) if undone(kinds()[p.values[0]].resource)]
)
def test_whatever_becomes_of_an_undo_the_orphan_is_not_left(world: World, kind: str, fault: str) -> None:
    document = given_up(world, kind)
    world.deliver()
    world.stripe.fault(fault, lambda request: request.method != "GET", times=2)

    world.converge()
    world.stripe.clear_faults()
    world.stripe.release_late_requests()
    world.advance(hours=3)
    world.converge()

    latest = document.fetch_latest()
    assert (latest.orphans, latest.review_reason, len(latest.undone_orphans)) == ([], None, 1)
    assert_in_sync(world)


@pytest.mark.fault("79")
def test_an_orphan_that_stripe_will_not_delete_is_archived_instead(world: World) -> None:
    document = given_up(world, "product")
    (remote,) = world.stripe.objects("product")
    world.stripe.dashboard.create("price", product=remote["id"], currency="eur", unit_amount=100)
    world.deliver()
    world.advance(hours=1)

    world.converge()

    assert document.fetch_latest().undone_orphans == [remote["id"]]
    (left,) = world.stripe.objects("product")
    assert left["active"] is False
