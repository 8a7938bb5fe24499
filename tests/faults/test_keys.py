"""Idempotency keys that Stripe knows otherwise, may have forgotten, forgot too early, or never tells.

In the usual run a customer does; `make faults` runs all types.
"""

from typing import Any

import pytest
import stripe as stripe_python

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Price, Product, Status, kinds
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.rows.content import digest
from tests.faults.calls import Call, Told, every_type, has_created_event
from tests.support.in_sync import assert_in_sync
from tests.support.world import KEY, World


@pytest.mark.parametrize("kind", every_type("15"))
def test_what_stripe_finishes_later_under_no_key_is_linked_or_left_to_a_person(world: World, kind: str) -> None:
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("500_repair", method="POST")
    assert ready.told() == Told.PENDING
    world.webhooks()
    world.advance(hours=1)
    world.stripe.repair()
    made = ready.made
    assert len(made) == 1

    world.converge()

    document = ready.subject()
    assert document is not None
    there = {remote["id"] for remote in world.stripe.objects(kind)}
    assert made <= there, "nothing is undone on a guess"
    assert document.review_reason is not None or document.stripe_id in made or not kinds()[kind].resource.listable
    world.reconcile(full=True)  # what hangs on an undecided object (the items of an invoice) is told by no event
    assert_in_sync(world, review=True)


def test_what_a_plain_list_leaves_out_is_searched_as_well(world: World) -> None:
    product, _ = sync.create(Product, {"name": "Lamp"})
    world.stripe.fault("500_repair", method="POST")
    archived = {"product": str(product.id), "currency": "eur", "unit_amount": 100, "active": False}
    price, _ = sync.create(Price, archived)
    world.advance(hours=1)
    world.stripe.lose_event("price.created")  # only the list can show it
    world.stripe.repair()
    world.webhooks()
    (made,) = world.stripe.objects("price")

    world.converge()

    latest = price.fetch_latest()
    assert latest.review_reason is not None
    assert made["id"] in latest.review_reason, "Stripe lists active prices only, unless it is asked for the others"


@pytest.mark.fault("18")
def test_a_key_that_stripe_knows_with_other_parameters_is_not_taken_for_a_refusal(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    client = stripe_python.StripeClient(KEY, http_client=world.stripe.transport())
    client.raw_request("post", "/v1/customers", name="Other", idempotency_key=customer.creation_key)
    world.stripe.lag_events(10**6)  # reconcile cannot hear of it before it sends
    world.advance(minutes=5)

    world.reconcile()

    pending = customer.fetch_latest()
    assert (pending.status, pending.operation.saved_error_at is not None) == (Status.PENDING, True)
    world.stripe.clear_faults()
    world.advance(hours=1)
    world.converge()
    latest = customer.fetch_latest()
    (remote,) = world.stripe.objects("customer")
    assert (latest.status, latest.stripe_id) == (Status.ACTIVE, remote["id"]), "its key made it, as the event proves"
    assert latest.digest == digest(remote)


@pytest.mark.parametrize("kind", every_type("24"))
def test_a_key_that_stripe_may_have_forgotten_is_never_sent_again(world: World, kind: str) -> None:
    ready = Call(kind, "create").ready(world)
    world.stripe.fault("cut_after", method="POST", times=2)
    assert ready.told() == Told.PENDING
    document = ready.subject()
    assert document is not None
    world.webhooks()
    asked = len(world.stripe.requests)
    world.advance(hours=25)

    world.converge()

    assert not [request for request in world.stripe.requests[asked:] if request.key == document.creation_key]
    assert len(ready.made) == 1
    assert_in_sync(world)


@pytest.mark.parametrize("heard", [False, True], ids=["never told", "told late"])
@pytest.mark.parametrize("kind", every_type("82", has_created_event))
def test_a_key_that_stripe_forgot_too_early_leaves_no_object_without_a_document(
    world: World, kind: str, heard: bool
) -> None:
    ready = Call(kind, "create").ready(world)
    created = kinds()[kind].resource.created_event
    world.stripe.hide_event(created) if heard else world.stripe.lose_event(created)  # so that it is sent again
    world.stripe.fault("cut_after", method="POST", times=2)
    ready.send()
    engine = world.stripe.engine
    with engine.state():
        engine.store.wipe(engine.realm().name("key"))
    letters = world.webhooks()
    world.advance(minutes=5)
    world.reconcile()
    world.stripe.clear_faults()
    world.stripe.show_events()
    once = ("promotion_code", "billing.meter")  # Stripe itself refuses the second of a code, or of an event's name
    assert len(ready.made) == (1 if kind in once else 2)

    world.deliver([*world.webhooks(), *letters])
    world.advance(minutes=20)
    world.converge()
    world.reconcile(full=True)

    document = ready.subject()
    assert document is not None
    assert document.status == Status.ACTIVE or document.review_reason is not None
    if heard and len(ready.made) == 2:
        assert len(document.undone_orphans) == 1 or document.review_reason is not None, (
            "the orphan is undone, or a person is asked"
        )
    assert_in_sync(world, review=True)


@pytest.mark.fault("26")
def test_an_object_that_another_document_uses_is_not_taken_from_it(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", times=2)
    owner = sync.create_customer("owner@here.com")
    (remote,) = world.stripe.objects("customer")
    world.webhooks()
    world.stripe.lag_events(10**6)
    holder = Customer.adopt(adopted(remote))
    assert world.http.patch(f"/customers/{holder.id}", json={"username": "holder@here.com"}).status_code == 200
    world.stripe.clear_faults()

    report = world.converge()

    assert report.exit_code == 1
    assert "another document has it" in owner.fetch_latest().review_reason
    assert holder.fetch_latest().stripe_id == remote["id"]
    assert len(world.stripe.objects("customer")) == 1


def adopted(remote: dict[str, Any]) -> Any:
    at = int(remote["created"])
    return Observation("a test", remote["id"], remote, Customer.fields_from(remote), earliest=at, latest=at, event=True)
