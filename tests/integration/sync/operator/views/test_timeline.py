"""The timeline of a document: its operation, the events about it, and the deliveries to hooks, the newest first."""

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Event
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.operator import inbox_admin, operations
from stripe_mongo_sync.sync.operator.link import acting_as
from stripe_mongo_sync.sync.operator.views.timeline import timeline
from tests.support import samples
from tests.support.world import World

NAME = "user@here.com"


def told(customer: Customer) -> list[str]:
    return [f"{moment.what}: {moment.told}" for moment in timeline(customer.fetch_latest())]


def has(lines: list[str], *parts: str) -> bool:
    return any(all(part in line for part in parts) for line in lines)


def test_a_pending_operation_is_on_it_with_what_is_known_of_its_attempts(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)

    lines = told(customer)

    assert has(lines, "operation: create was staged")
    assert has(lines, "create was sent to Stripe: attempt", "without an answer")
    assert not has(lines, "event:")


def test_events_and_replays_are_on_it_by_the_object_or_the_key(world: World) -> None:
    customer = sync.create_customer(NAME)
    raw = world.webhooks()
    world.deliver(raw)
    world.advance(minutes=5)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="Ann")
    world.deliver()
    world.advance(minutes=5)
    row = Event.objects.get(type="customer.created")
    inbox_admin.replay(row)

    lines = told(customer)

    assert has(lines, "customer.created", "by webhook", "applied") or has(lines, "customer.created", "stale")
    assert has(lines, "customer.updated", "applied")
    assert has(lines, "customer.created was replayed by an operator")
    assert has(lines, "an event or a list of Stripe's first showed the object")
    times = [moment.at for moment in timeline(customer.fetch_latest())]
    assert times == sorted(times, reverse=True)


def test_deliveries_of_the_document_and_of_its_events_are_on_it(world: World) -> None:
    customer = sync.create_customer(NAME)
    world.deliver()
    event = Event.objects.get()
    own = {"id": f"{customer.id}:2:customer.active", "name": "customer.active", "at": clock.now()}
    of_event = {"id": f"{event.id}:1:stripe:customer.created", "name": "stripe:customer.created", "at": clock.now()}
    Delivery.enqueue(own, "shop.welcome", "customer", document=customer.id)
    Delivery.enqueue(of_event, "shop.count", "event", event_body=event.raw, owners=[customer.stripe_id])
    Delivery.objects(hook="shop.welcome").get().succeed()
    Delivery.objects(hook="shop.count").get().mark_dead("it raised")

    lines = told(customer)

    assert has(lines, "delivery: customer.active for shop.welcome: done")
    assert has(lines, "shop.welcome has handled customer.active")
    assert has(lines, "stripe:customer.created for shop.count was given up: it raised")


def test_its_last_change_is_on_it(world: World) -> None:
    customer = sync.create_customer(NAME)
    sync.delete(customer)

    assert has(told(customer), "was changed last", "it is deleted")


def test_who_changed_its_status_is_not_named_for_a_later_change(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)
    remote = world.stripe.dashboard.create("customer", email=NAME)
    world.deliver()
    with acting_as("ann"):
        operations.link(str(customer.id), remote["id"], force=True)
    world.advance(hours=5)
    world.stripe.dashboard.update("customer", remote["id"], name="Ann")
    world.deliver()
    changed = customer.fetch_latest()
    assert changed.status_changed_by == "operator ann"

    last = [moment.told for moment in timeline(changed) if moment.at == changed.updated_at]

    assert has(last, "was changed last", f"to revision {changed.revision}", "it is active")
    assert not has(last, "operator ann")


def test_every_document_has_one(world: World) -> None:
    for kind in ("order", "invoice", "subscription"):
        samples.create(kind)
    world.deliver()

    assert all(timeline(document) for document in world.documents())
