"""Subscriptions as shops change them: seats, plans, previews, trials, pauses, and cancellations that are undone."""

import json
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

Json = dict[str, Any]


def subscribed(seats: int = 2, card: bool = True, **more: Any) -> Any:
    """A subscription to seats of 9.90 a month."""
    customer = samples.payer("ann") if card else samples.buyer("ann")
    items = [{"price": str(samples.plan("ann").id), "quantity": seats}]
    return sync.create(kinds()["subscription"], {"customer": str(customer.id), "items": items, **more})[0]


def halfway(world: World, subscription: Any) -> int:
    """Let half of its period pass; return the moment."""
    item = subscription.stripe["items"]["data"][0]
    middle = (item["current_period_start"] + item["current_period_end"]) // 2
    world.advance(seconds=middle - int(world.stripe.clock.now()))
    return int(middle)


def totals(world: World, subscription: Any) -> list[int]:
    """What was billed, as it is kept here."""
    world.deliver()
    world.converge()
    found = sync.find("invoice", subscription=subscription.stripe_id)
    return [each.total for each in sorted(found, key=lambda each: each.stripe["created"])]


def latest(world: World, subscription: Any) -> Any:
    world.deliver()
    world.converge()
    return subscription.fetch_latest()


# --- what it would cost, and what it then costs ---


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations"])
def test_a_change_of_seats_bills_exactly_what_was_previewed(world: World, behavior: str) -> None:
    subscription = subscribed()
    at = halfway(world, subscription)
    item = subscription.items[0].id
    change: Json = {"items": [{"id": item, "quantity": 5}], "proration_behavior": behavior, "proration_date": at}

    told = world.http.post(
        "/invoices/create_preview", json={"subscription": str(subscription.id), "subscription_details": change}
    )

    assert (told.status_code, told.json["object"]) == (200, "invoice")
    assert latest(world, subscription).items[0].quantity == 2, "nothing is changed"
    assert totals(world, subscription) == [1980]
    world.advance(minutes=10)
    changed = world.http.patch(f"/subscriptions/{subscription.id}", json=change)
    assert (changed.status_code, changed.json["items"][0]["quantity"]) == (200, 5)
    if behavior == "create_prorations":
        world.advance(days=17)
    assert totals(world, subscription) == [1980, told.json["total"]]
    assert told.json["total"] == {"always_invoice": 2475 - 990, "create_prorations": 4950 + 2475 - 990}[behavior]
    assert_in_sync(world)


def test_a_preview_names_whose_it_is_as_everything_else_does(world: World) -> None:
    subscription, price = subscribed(), str(samples.plan("other").id)
    new = {"items": [{"price": price, "quantity": 3}]}

    assert sync.create_preview("ann@here.com", subscription_details=new)["total"] == 2970
    for whose in ("ann@here.com", str(subscription.id)):
        name = "customer" if "@" in whose else "subscription"
        assert sync.create_preview(**{name: whose})["total"] == 1980
    schedule = samples.create("subscription_schedule", "bob")
    assert sync.create_preview(schedule=str(schedule.id))["total"] == 1980, "the second phase has two"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "username"),
        ({"username": "ann@here.com", "customer": "cus_1"}, "username"),
        ({"subscription": "sub_nobody"}, "subscription"),
        ({"customer": "ann@here.com", "subscription_details": {"items": [{"price": "price_no"}]}}, "price"),
        ({"customer": "ann@here.com", "metadata": {}}, "metadata"),
        ({"customer": "ann@here.com", "seats": 3}, "seats"),
        ({"customer": "ann@here.com", "preview_mode": 3}, "preview_mode"),
    ],
)
def test_a_preview_of_nothing_that_is_there_is_refused_by_field(world: World, given: Json, field: str) -> None:
    samples.buyer("ann")
    asked = len(world.stripe.requests)

    told = world.http.post("/invoices/create_preview", json=given)

    problem(told, 422, "invalid")
    assert [name for name in told.json["errors"] if name.endswith(field)]
    assert len(world.stripe.requests) == asked


def test_where_nothing_will_be_billed_stripe_says_so(world: World) -> None:
    samples.buyer("ann")

    told = world.http.post("/invoices/create_preview", json={"username": "ann@here.com"})

    problem(told, 422, "refused")
    assert told.json["code"] == "invoice_upcoming_none"
    problem(world.http.post("/invoices/create_preview", json={"username": "nobody"}), 404, "not-found")


def test_without_an_answer_there_is_no_preview_and_nothing_to_resolve(world: World) -> None:
    subscription = subscribed()
    world.stripe.fault("timeout_after", path="/v1/invoices/create_preview", times=None)

    told = world.http.post("/invoices/create_preview", json={"subscription": str(subscription.id)})

    problem(told, 504, "cannot-look")
    assert world.unfinished() == []


def test_a_proration_that_is_told_of_after_its_invoice_is_found_in_it(world: World) -> None:
    """Stripe sends no event when an invoice takes an item."""
    subscription = subscribed()
    halfway(world, subscription)
    latest(world, subscription)  # so that no list is compared afterwards
    sync.update(
        subscription,
        {"items": [{"id": subscription.items[0].id, "quantity": 5}]} | {"proration_behavior": "always_invoice"},
    )
    told = world.webhooks()
    late = [body for body in told if json.loads(body)["type"] == "invoiceitem.created"]
    assert len(late) == 2

    world.deliver([body for body in told if body not in late])
    world.deliver(late)

    world.converge()
    assert_in_sync(world)


# --- items ---


def test_items_are_added_changed_and_removed(world: World) -> None:
    subscription = subscribed()
    other, first = str(samples.plan("other").id), subscription.items[0].id

    for items, left in (
        ([{"price": other, "quantity": 4}], [2, 4]),
        ([{"id": first, "quantity": 7}], [7, 4]),
        ([{"id": first, "deleted": True}], [4]),
    ):
        changed = sync.update(subscription, {"items": items})
        assert [item.quantity for item in changed.items] == left
        subscription = latest(world, changed)
        assert [item.quantity for item in subscription.items] == left
    assert_in_sync(world)


# --- cancellations, and their undo ---


@pytest.mark.parametrize(
    ("ending", "undo"),
    [
        ({"cancel_at_period_end": True}, {"cancel_at_period_end": False}),
        ({"cancel_at": "min_period_end"}, {"cancel_at": None}),
    ],
)
def test_a_cancellation_is_undone_by_what_made_it(world: World, ending: Json, undo: Json) -> None:
    subscription = subscribed()

    going = sync.update(subscription, ending)
    assert going.cancel_at is not None
    kept = sync.update(going, undo)

    assert (kept.cancel_at, kept.canceled_at, kept.cancel_at_period_end) == (None, None, False)
    world.advance(days=32)
    assert latest(world, subscription).stripe_status == "active"
    assert_in_sync(world)


@pytest.mark.parametrize("given", [{"at_period_end": True}, {}])
def test_a_cancellation_says_why(world: World, given: Json) -> None:
    subscription = subscribed()
    why = {"feedback": "too_expensive", "comment": "Maybe later."}

    ended = sync.act(subscription, "cancel", {**given, "cancellation_details": why})

    assert ended.stripe["cancellation_details"] == {**why, "reason": "cancellation_requested"}
    assert ended.stripe_status == ("active" if given else "canceled")
    if given:
        assert sync.update(ended, {"cancel_at_period_end": False}).canceled_at is None
    assert latest(world, subscription).stripe_status == ("active" if given else "canceled")
    assert_in_sync(world)


# --- trials and pauses ---


@pytest.mark.parametrize(
    ("missing", "card", "status", "billed"),
    [
        ("pause", True, "active", [0, 1980]),
        ("pause", False, "paused", [0]),
        ("cancel", False, "canceled", [0]),
        ("create_invoice", False, "past_due", [0, 1980]),
    ],
)
def test_a_trial_ends_as_it_was_told_to(world: World, missing: str, card: bool, status: str, billed: list[int]) -> None:
    end = {"end_behavior": {"missing_payment_method": missing}}
    subscription = subscribed(card=card, trial_period_days=7, trial_settings=end)
    assert (subscription.stripe_status, totals(world, subscription)) == ("trialing", [0])

    world.advance(days=8)

    assert latest(world, subscription).stripe_status == status
    assert totals(world, subscription) == billed
    assert_in_sync(world)


def test_a_trial_is_ended_early_or_prolonged(world: World) -> None:
    subscription = subscribed(trial_period_days=7)

    longer = sync.update(subscription, {"trial_end": int(world.stripe.clock.now()) + 20 * 86_400})
    world.advance(days=10)
    assert latest(world, longer).stripe_status == "trialing"
    sync.update(longer.fetch_latest(), {"trial_end": "now"})

    assert latest(world, longer).stripe_status == "active"
    assert totals(world, subscription) == [0, 1980]


@pytest.mark.parametrize(
    ("behavior", "invoice"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
)
def test_during_a_pause_invoices_are_not_collected_and_afterwards_they_are(
    world: World, behavior: str, invoice: str
) -> None:
    subscription = subscribed()
    back = int(world.stripe.clock.now()) + 40 * 86_400

    paused = sync.act(subscription, "pause", {"behavior": behavior, "resumes_at": back})
    assert (paused.pause_collection.behavior, paused.pause_collection.resumes_at) == (behavior, back)
    world.advance(days=32)
    during = latest(world, subscription)
    assert during.stripe_status == "active"
    assert sync.get("invoice", during.latest_invoice).stripe_status == invoice
    world.advance(days=9)
    assert latest(world, subscription).pause_collection is None, "it resumed by itself"
    world.advance(days=25)
    assert sync.get("invoice", latest(world, subscription).latest_invoice).stripe_status == "paid"
    assert_in_sync(world)


# --- schedules ---


def test_a_schedule_takes_over_a_subscription_and_leaves_it(world: World) -> None:
    subscription = subscribed()

    schedule = world.http.post("/subscription-schedules", json={"from_subscription": str(subscription.id)})

    assert schedule.status_code == 201
    assert schedule.json["subscription"] == subscription.stripe_id
    told = world.http.patch(f"/subscriptions/{subscription.id}", json={"cancel_at_period_end": True})
    problem(told, 422, "refused")
    left = world.http.post(f"/subscription-schedules/{schedule.json['id']}/release", json={})
    assert (left.status_code, left.json["stripe_status"]) == (200, "released")
    assert left.json["released_subscription"] == subscription.stripe_id
    assert latest(world, subscription).stripe_status == "active"
    assert_in_sync(world)


def test_the_phases_of_a_schedule_change_what_is_billed(world: World) -> None:
    schedule = samples.create("subscription_schedule", "ann")
    now, later = schedule.stripe["phases"]
    phases = [
        {"items": [{"price": now["items"][0]["price"], "quantity": 1}]}
        | {name: now[name] for name in ("start_date", "end_date")},
        {"items": [{"price": later["items"][0]["price"], "quantity": 6}], "duration": {"interval": "month"}},
    ]

    changed = sync.update(schedule, {"phases": phases, "end_behavior": "cancel"})

    assert [phase.items[0].quantity for phase in changed.phases] == [1, 6]
    world.advance(days=32)
    assert latest(world, schedule).current_phase.start_date == now["end_date"]
    subscription = sync.get("subscription", schedule.subscription)
    assert totals(world, subscription) == [990, 5940]
    world.advance(days=40)
    assert latest(world, schedule).stripe_status == "completed"
    assert subscription.fetch_latest().stripe_status == "canceled"
    assert_in_sync(world)
