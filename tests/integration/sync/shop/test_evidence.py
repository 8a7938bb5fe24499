"""Disputes are answered here: evidence is staged or submitted, or the loss is accepted, once, whatever is lost."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Order, StagedDocument, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.errors import InReview, Refused
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

TEXT = {"uncategorized_text": "It was delivered.", "customer_name": "A Name"}


def disputed(world: World) -> StagedDocument:
    """A dispute of an order that was paid."""
    order = sync.create_order(**samples.paid_order())
    world.stripe.dispute(order.payment_intent or "")
    world.deliver()
    return kinds()["dispute"].objects.get()


def there(world: World) -> dict[str, Any]:
    return world.stripe.objects("dispute")[-1]


def settle(world: World) -> None:
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_evidence_is_staged_and_then_submitted(world: World) -> None:
    found = disputed(world)

    staged = world.http.patch(f"/disputes/{found.stripe_id}", json={"evidence": TEXT, "submit": False})

    assert (staged.status_code, staged.json["stripe_status"]) == (200, "needs_response")
    details = there(world)["evidence_details"]
    assert (details["has_evidence"], details["submission_count"]) == (True, 0)
    sent = sync.update("dispute", found.stripe_id, submit=True, evidence={"receipt": None})
    assert (sent.operation, sent.stripe_status) == (None, "under_review")
    assert there(world)["evidence_details"]["submission_count"] == 1
    settle(world)


def test_an_accepted_loss_takes_the_money_of_the_order(world: World) -> None:
    found = disputed(world)

    closed = world.http.post(f"/disputes/{found.id}/close", json={})

    assert (closed.status_code, closed.json["stripe_status"]) == (200, "lost")
    assert Order.objects.get().payment_status == "lost", "no webhook was needed"
    with pytest.raises(Refused, match="already closed"):
        sync.act("dispute", found.id, "close")
    problem(world.http.patch(f"/disputes/{found.id}", json={"evidence": TEXT}), 422, "refused")
    settle(world)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda found: sync.update(found, evidence=TEXT, submit=False), "needs_response"),
        (lambda found: sync.update(found, evidence=TEXT), "under_review"),
        (lambda found: sync.act(found, "close"), "lost"),
    ],
)
def test_a_lost_reply_is_settled_by_reading(world: World, call: Any, shown: str) -> None:
    found = disputed(world)
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", times=2)
    assert call(found).operation is not None
    world.webhooks()

    world.advance(hours=1)
    world.reconcile()

    now = found.fetch_latest()
    assert (now.operation, now.review_reason, now.stripe_status) == (None, None, shown)
    assert there(world)["evidence_details"]["submission_count"] == int(shown == "under_review")
    settle(world)


@pytest.mark.parametrize(
    "call", [lambda found: sync.update(found, submit=True), lambda found: sync.act(found, "close")]
)
def test_what_cannot_be_undone_is_not_repeated_after_a_quarter_of_an_hour(world: World, call: Any) -> None:
    found = disputed(world)
    sync.update(found, evidence=TEXT, submit=False)
    world.stripe.fault("cut_before", method="POST", times=2)
    assert call(found.fetch_latest()).operation is not None

    world.advance(hours=1)
    world.reconcile()

    now = found.fetch_latest()
    assert now.review_reason is not None
    assert there(world)["status"] == "needs_response"
    with pytest.raises(InReview):
        sync.act(now, "close")


def test_staged_evidence_is_sent_again_for_hours(world: World) -> None:
    found = disputed(world)
    world.stripe.fault("cut_before", method="POST", times=2)
    assert sync.update(found, evidence=TEXT, submit=False).operation is not None

    world.advance(hours=3)
    world.reconcile()

    assert there(world)["evidence"]["customer_name"] == "A Name"
    settle(world)


def test_a_dispute_is_never_created_nor_deleted_here(world: World) -> None:
    found = disputed(world)

    with pytest.raises(Invalid, match="only mirrored"):
        sync.create("dispute", charge="ch_1")
    assert world.http.post("/disputes", json={}).status_code == 405
    assert world.http.delete(f"/disputes/{found.id}").status_code == 405
    told = problem(world.http.patch(f"/disputes/{found.id}", json={"evidence": {"colour": "red"}}), 422, "invalid")
    assert list(told["errors"]) == ["evidence.colour"]
    told = problem(world.http.patch(f"/disputes/{found.id}", json={"metadata": {"a": "b"}}), 422, "invalid")
    assert list(told["errors"]) == ["metadata"]
