"""Ids that people chose before 2018, through every door: listed, told of, looked up, changed, referred to, compared."""

import json
from urllib.parse import quote

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Product, kinds
from stripe_mongo_sync.sync.operator import operations
from tests.integration.sync.inbox.test_thin import THIN
from tests.support import samples
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.run import Run
from tests.support.world import SECRET, URL, World

ODD = ["50% off/summer", "Pro plan $699", "élan", "..a?#"]


@pytest.mark.parametrize("id", ODD)
def test_what_a_backfill_copies_its_events_keep_current_to_the_end(world: World, run: Run, id: str) -> None:
    world.stripe.insert("coupon", id=id, percent_off=20.0, duration="once", name="old", valid=True)
    world.advance(hours=1)
    assert run("backfill coupons")[0] == 0
    world.reconcile()

    world.stripe.dashboard.update("coupon", id, name="new")
    assert world.deliver() == ["applied"]
    assert world.http.get(f"/coupons/{quote(id, safe='')}").json["name"] == "new"

    assert world.http.patch(f"/coupons/{quote(id, safe='')}", json={"name": "ours"}).status_code == 200
    world.deliver()
    assert_in_sync(world)
    world.stripe.dashboard.delete("coupon", id)
    assert world.deliver() == ["applied"]
    assert Coupon.objects.get().status == "deleted"


def test_a_thin_event_looks_at_it(world: World) -> None:
    world.stripe.endpoint(URL, payload="thin", secret=SECRET)
    world.stripe.insert("product", id="Gold+/1", name="old", active=True)
    world.advance(hours=1)
    world.reconcile(full=True)
    world.stripe.dashboard.update("product", "Gold+/1", name="new")
    (thin,) = [raw for raw in world.webhooks() if json.loads(raw)["object"] == THIN["object"]]

    assert world.deliver([thin]) == ["applied"]
    assert Product.objects.get().name == "new"


def test_what_refers_to_it_is_made(world: World) -> None:
    world.stripe.insert("product", id="Gold+/1", name="old", active=True)
    world.advance(hours=1)
    world.reconcile(full=True)

    made = world.http.post("/prices", json={"product": "Gold+/1", "currency": "eur", "unit_amount": 100})

    assert (made.status_code, made.json["product"]) == (201, "Gold+/1")


@pytest.mark.parametrize("id", ["card_1OldCard0000000000000", "src_1OldSource00000000000", "pm_1Unheard"])
def test_stripe_alone_says_whether_a_payment_method_is_there(world: World, id: str) -> None:
    customer = samples.create("customer")

    response = world.http.post(f"/customers/{customer.username}/payment_method", json={"payment_method": id})

    assert response.status_code == 422
    assert response.json["code"] == "resource_missing"
    assert f"/v1/payment_methods/{id}/attach" in [request.path for request in world.stripe.requests]


def test_a_customer_of_an_old_id_is_linked_by_an_operator(world: World) -> None:
    world.stripe.insert("customer", id="Jane Doe/1", name="Jane")
    world.stripe.fault("cut_before", method="POST", times=None)
    customer = sync.create_customer("jane", name="Jane")
    world.stripe.clear_faults()
    world.advance(hours=1)

    operations.link(str(customer.id), "Jane Doe/1")

    assert Customer.lookup("jane").stripe_id == "Jane Doe/1"


def test_every_event_of_every_kind_keeps_what_has_such_an_id(world: World) -> None:
    at = int(world.stripe.clock.now())
    for kind in ("plan", "charge", "refund", "tax_id", "review"):
        raw = event(
            f"{kinds()[kind].resource.event_prefixes[0]}.updated", {"id": f"pyr_1/{kind} 1", "object": kind}, at
        )
        assert world.send(raw).json["state"] in ("applied", "waiting"), kind
