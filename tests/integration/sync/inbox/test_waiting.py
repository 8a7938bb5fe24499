"""What waits, and for what: by the time of its event, and only where something given could tell whose an object is."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, Invoice, Status, kinds
from stripe_mongo_sync.models.state import State
from stripe_mongo_sync.sync.engine.adopt import is_candidate
from stripe_mongo_sync.sync.engine.refresh import resembles
from stripe_mongo_sync.sync.inbox import inbox
from stripe_mongo_sync.sync.inbox.arrival import arrive
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.doctor import examine
from stripe_mongo_sync.sync.operator.status import status
from tests.support import samples
from tests.support.events import event
from tests.support.world import World

DAYS = 86400


def now(world: World) -> int:
    return int(world.stripe.clock.now())


def of_a_clock(world: World, ahead: int, kind: str = "invoice", **fields: Any) -> dict[str, Any]:
    """An object that a test clock has dated."""
    made = world.stripe.insert(kind, created=now(world) + ahead, **fields)
    return made if kind == "payment_intent" else {**made, "test_clock": "clock_1"}


# --- the clock of an object is not the real one ---


@pytest.mark.parametrize("ahead", [40 * DAYS, -400 * DAYS])
@pytest.mark.parametrize("door", ["late webhook", "list", "backlog"])
def test_what_a_test_clock_has_dated_waits_no_longer_than_anything_else(world: World, ahead: int, door: str) -> None:
    customer = samples.create("customer")
    world.deliver()
    world.reconcile()
    made = of_a_clock(world, ahead, customer=customer.stripe_id, currency="eur", status="draft")
    type = "invoice.created" if door == "late webhook" else "invoice.updated"
    told = event(type, made, now(world))
    if door == "late webhook":
        world.advance(hours=1)  # the service was away; Stripe repeats
    assert world.deliver([told]) == ["waiting"]

    world.advance(minutes=16)
    if door == "backlog":
        world.advance(days=3)
    world.reconcile()

    assert Invoice.by_stripe_id(made["id"]) is not None
    assert Event.objects(state__in=["waiting", "received"]).count() == 0


def test_nothing_is_adopted_before_whoever_makes_it_has_linked_it(world: World) -> None:
    customer = samples.create("customer")
    world.deliver()
    made = of_a_clock(world, -400 * DAYS, customer=customer.stripe_id, currency="eur", status="draft")
    told = arrive(event("invoice.updated", made, now(world)))

    assert inbox.attempt(told, quick=False).state == "waiting", "it is as young as its event, whatever its date"


@pytest.mark.parametrize("ahead", [40 * DAYS, -400 * DAYS])
def test_the_full_comparison_copies_what_a_clock_made(world: World, ahead: int) -> None:
    made = of_a_clock(world, ahead, "customer", name="Somebody")
    world.stripe.insert("customer", made)
    world.advance(hours=2)

    world.reconcile(full=True)

    assert Customer.objects.get().stripe_id == made["id"]


@pytest.mark.parametrize("ahead", [0, 40 * DAYS, -400 * DAYS])
def test_a_document_in_doubt_may_have_made_what_a_clock_has_dated(world: World, ahead: int) -> None:
    customer = samples.payer("user")
    world.stripe.fault("500_before", method="POST", path="/v1/payment_intents")
    intent, _ = sync.create(kinds()["payment_intent"], {"amount": 500, "currency": "eur", "customer": str(customer.id)})
    remote = of_a_clock(world, ahead, "payment_intent", amount=500, currency="eur", customer=customer.stripe_id)

    assert is_candidate(intent, {**remote, "test_clock": "clock_1"} if ahead < 0 else remote, now(world))


# --- who gave nothing resembles nobody ---


@pytest.mark.parametrize("given", [{}, {"description": ""}, {"name": "", "phone": ""}, {"preferred_locales": []}])
def test_a_creation_that_gave_nothing_resembles_nobody(world: World, given: dict[str, Any]) -> None:
    for n in range(3):
        world.stripe.fault("500_before", path="/v1/customers")
        world.http.post("/customers", json={"username": f"user{n}", **given})
    (one, *_) = Customer.objects
    assert not resembles(one, {"id": "cus_1", "object": "customer", "description": None})
    for _ in range(3):
        world.advance(minutes=20)
        world.reconcile()
    assert {document.status for document in Customer.objects} == {Status.ROLLED_BACK}
    world.advance(days=3)

    theirs = world.stripe.dashboard.create("customer", name="Somebody Else")
    silent = world.stripe.dashboard.create("customer")

    assert world.deliver() == ["applied", "applied"]
    assert {theirs["id"], silent["id"]} == {document.stripe_id for document in Customer.objects(is_current=True)}
    assert Customer.objects(review_reason__ne=None).count() == 0


def test_one_that_gave_something_still_resembles_who_has_it(world: World) -> None:
    world.stripe.fault("500_before", path="/v1/customers")
    world.http.post("/customers", json={"username": "user@here.com"})
    for _ in range(3):
        world.advance(minutes=20)
        world.reconcile()
    world.stripe.dashboard.create("customer", email="user@here.com")

    assert world.deliver() == ["waiting"]
    assert Customer.objects.get().review_reason is not None


def test_what_gave_only_what_shows_nowhere_may_be_any(world: World) -> None:
    given = samples.body("payment_link")  # its lines, which only a list of its own shows
    world.stripe.fault("500_repair", method="POST", path="/v1/payment_links")
    link, _ = sync.create(kinds()["payment_link"], given)
    world.stripe.repair()
    for _ in range(3):
        world.advance(minutes=20)
        world.reconcile()

    (there,) = world.stripe.objects("payment_link")
    link = link.fetch_latest()
    assert link.status == Status.PENDING, "it sells at Stripe, so it must not be called rolled back"
    assert there["id"] in str(link.review_reason)


# --- a sandbox that was wiped ---


def test_after_a_wipe_the_advice_leads_on(world: World) -> None:
    for n in range(3):
        sync.create_customer(f"user{n}@here.com")
    world.deliver()
    world.reconcile()
    world.advance(hours=1)
    world.stripe.wipe()

    assert world.reconcile().exit_code == 2
    assert Customer.objects(is_current=True).count() == 3, "nothing was touched"
    for findings in (status().findings, examine().findings):
        assert any("new-installation" in str(finding) and "empty database" in str(finding) for finding in findings)

    State.renew_installation()
    world.start()
    for _ in range(3):
        world.advance(hours=1)
        report = world.reconcile(full=True)
    assert Customer.objects(is_current=True).count() == 0
    assert (report.exit_code, status().exit_code) == (0, 0)
    assert [*operations.pages()] == [[]]
    assert sync.create_customer("user0@here.com").status == Status.ACTIVE
