"""What waits costs Stripe nothing: it is looked at again ever more rarely, until somebody decides or will not."""

import json
import math
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, Status, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.personal.erase import erase
from tests.support import samples
from tests.support.events import event
from tests.support.mongo import our_database
from tests.support.world import World

MADE = sorted(kind for kind, model in kinds().items() if model.resource.path and not model.resource.mirrored)
HEARD = [kind for kind in MADE if kind != "shipping_rate"]  # of these, Stripe sends no events at all
SHOWN: dict[str, dict[str, Any]] = {"payment_intent": {"amount": 500, "currency": "eur"}}


def reads(world: World) -> int:
    """How often Stripe was asked for something beside the list of events that each run reads."""
    asked = [request for request in world.stripe.requests if request.method == "GET"]
    return sum(request.path != "/v1/events" or "types" in request.params for request in asked)


def blank(raw: bytes) -> bytes:
    """The same event of an endpoint with another version, so that it shows nothing of its object."""
    return json.dumps({**json.loads(raw), "api_version": "2020-08-27"}).encode()


def pass_hours(world: World, hours: int, step: int = 1) -> None:
    for _ in range(0, hours, step):
        world.advance(hours=step)
        world.reconcile()


def lookalikes(world: World) -> list[bytes]:
    """Leave a document of each kind in doubt, beside an object that may be its own; return the events about these."""
    for kind in HEARD:
        model, body = kinds()[kind], samples.body(kind, kind.replace("_", "-"))
        world.deliver()
        world.stripe.fault("500_repair", method="POST", path=model.resource.path)
        sync.create(model, body)
    world.deliver()
    world.stripe.repair()
    return world.webhooks()


def in_doubt(world: World) -> Customer:
    """Leave a customer in doubt, and the event of an object that may be theirs waiting."""
    world.reconcile()
    world.stripe.fault("500_before", path="/v1/customers")
    customer = sync.create_customer("user@here.com", name="A Name")
    world.stripe.dashboard.create("customer", email="user@here.com", name="A Name")
    assert world.deliver() == ["waiting"]
    pass_hours(world, 1)
    return customer.fetch_latest()


@pytest.mark.parametrize("shown", [True, False], ids=["in full", "blank"])
def test_what_waits_for_a_decision_costs_no_reads(world: World, shown: bool) -> None:
    """Not for an event of any type, nor for those that tell later what somebody changed meanwhile."""
    world.reconcile()
    told = lookalikes(world)
    before = reads(world)
    world.deliver(told if shown else map(blank, told))
    waiting = {row.object_id for row in Event.objects(state="waiting")}
    assert len(waiting) > 10
    assert reads(world) - before <= 3 * len(waiting)
    pass_hours(world, 1)
    before = reads(world)

    for kind, id in ((row.type, row.object_id) for row in Event.objects(state="waiting")):
        if kind in ("customer.created", "product.created", "setup_intent.created"):
            world.stripe.automation.update(kind.removesuffix(".created"), id, metadata={"number": "1"})
    world.deliver(world.webhooks() if shown else map(blank, world.webhooks()))
    pass_hours(world, 24, 3)

    assert {row.object_id for row in Event.objects(state="waiting")} == waiting
    assert reads(world) == before


def test_it_waits_ever_longer_and_is_never_late_by_more_than_a_day(world: World) -> None:
    in_doubt(world)
    waits = []
    while Event.objects(state="waiting").count():
        row = Event.objects.get()
        waits.append(math.ceil((row.due_at - clock.now()).total_seconds() / 60))  # minutes
        world.advance(minutes=waits[-1])
        world.reconcile()

    assert waits == sorted(waits)
    assert waits[-1] == 24 * 60
    assert len(waits) < 70
    row = Event.objects.get()
    assert (row.state, "nobody decided" in row.reason) == ("dead", True)


@pytest.mark.parametrize("late", [False, True], ids=["in time", "given up"])
def test_the_decision_ends_it_at_once(world: World, late: bool) -> None:
    customer = in_doubt(world)
    (theirs,) = world.stripe.objects("customer")
    if late:
        for _ in range(3):
            world.advance(days=16)
            world.reconcile()
        assert Event.objects.get().state == "dead"

    operations.roll_back(str(customer.id))
    world.advance(seconds=1)
    world.reconcile()

    assert Event.objects.get().state == "applied"
    assert Customer.objects.get(is_current=True).stripe_id == theirs["id"]


def test_so_does_a_link(world: World) -> None:
    customer = in_doubt(world)
    (theirs,) = world.stripe.objects("customer")

    operations.link(str(customer.id), theirs["id"])
    world.advance(seconds=1)
    world.reconcile()

    assert Event.objects.get().state in ("applied", "stale")
    assert Customer.objects.get().stripe_id == theirs["id"]


def test_what_a_tombstone_might_have_made_is_adopted_when_its_doubt_ends(world: World) -> None:
    world.stripe.fault("500_before", path="/v1/customers")
    customer = sync.create_customer("user@here.com")
    for _ in range(3):
        world.advance(minutes=20)
        world.reconcile()
    assert customer.fetch_latest().status == Status.ROLLED_BACK
    world.stripe.dashboard.create("customer", email="user@here.com")
    assert world.deliver() == ["waiting"]
    before = reads(world)

    for _ in range(32):
        world.advance(days=1)
        world.reconcile()

    assert [row.state for row in Event.objects] == ["applied"]
    assert Customer.objects(is_current=True).count() == 1
    assert reads(world) - before <= 4


@pytest.mark.parametrize("shown", [True, False], ids=["in full", "blank"])
@pytest.mark.parametrize("adopt", ["yes", "no"])
def test_an_event_about_an_unknown_object_costs_no_reads_before_its_time(world: World, adopt: str, shown: bool) -> None:
    """Its creation was before anybody listened."""
    world.settings["ADOPT"] = adopt
    world.start()
    world.reconcile()
    for kind in HEARD:
        remote = world.stripe.insert(kind, **SHOWN.get(kind, {}))
        raw = event(f"{kinds()[kind].resource.event_prefixes[0]}.updated", remote, int(world.stripe.clock.now()))
        if kinds()[kind].resource.has_created_event:
            before = reads(world)
            assert world.deliver([raw if shown else blank(raw)]) == ["waiting"]
            assert reads(world) == before
    count = Event.objects.count()
    pass_hours(world, 24, 6)

    assert Event.objects(state__in=["waiting", "received", "dead"]).count() == 0
    assert reads(world) - before <= 2 * count


@pytest.mark.parametrize("shown", [True, False], ids=["in full", "blank"])
def test_a_session_with_the_correlation_id_of_another_waits_without_reads(world: World, shown: bool) -> None:
    world.reconcile()
    model, body = kinds()["checkout.session"], samples.body("checkout.session")
    world.deliver()
    world.stripe.fault("500_before", method="POST", path=model.resource.path)
    session, _ = sync.create(model, body)
    carried = {
        "client_reference_id": session.client_reference_id,
        "mode": "payment",
        "success_url": "https://else.where/",
    }
    remote = world.stripe.insert("checkout.session", status="complete", **carried)
    raw = event("checkout.session.completed", remote, int(world.stripe.clock.now()))

    assert world.deliver([raw if shown else blank(raw)]) == ["waiting"]
    pass_hours(world, 1)
    before = reads(world)
    pass_hours(world, 24, 3)

    assert session.fetch_latest().review_reason is not None
    assert Event.objects.get(object_id=remote["id"]).waits_for == session.id
    assert reads(world) == before
    operations.roll_back(str(session.id))
    pass_hours(world, 1)
    assert Event.objects.get(object_id=remote["id"]).state == "applied"


def test_an_event_that_waits_for_a_person_who_is_erased_keeps_ids_only(world: World) -> None:
    customer = in_doubt(world)
    operations.roll_back(str(customer.id))
    world.reconcile()
    (adopted,) = Customer.objects(is_current=True)
    erase(str(adopted.id))
    world.reconcile()

    row = our_database().stripe_events.find_one({"object_id": adopted.stripe_id, "type": "customer.created"})
    assert "user@here.com" not in str(row)
    assert (row["creation_key"], row["waits_for"]) == ("", None)
