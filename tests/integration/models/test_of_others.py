"""What is kept of others: which event came, and whose it is; never the body."""

import json
from typing import Any

import pytest

from stripe_mongo_sync.models import Customer, Delivery, Event, State, kinds
from stripe_mongo_sync.models.state import STRIPE
from stripe_mongo_sync.sync.inbox.inbox import drain
from stripe_mongo_sync.sync.notices.deliver import deliver
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.mongo import our_database
from tests.support.person import traces
from tests.support.run import Run
from tests.support.world import World

THEIRS = "acct_1Neighbour000001"
WHOSE: dict[str, dict[str, Any]] = {
    "another account": {"account": THEIRS},
    "an account of no known form": {"account": "Zenobia Quux"},
    "another account of the organization": {"context": f"org_1Us/{THEIRS}"},
    "the other mode": {"livemode": True},
    "no mode": {"livemode": "zenobia"},
}


def body(kind: str, id: str, **more: Any) -> bytes:
    """An event that tells of somebody in every part, by somebody's own key, about an object with an id they chose."""
    shown = {"id": id, "object": kind, "customer": "zenobia@quux.example", "name": "Zenobia Quux", "created": 1}
    shown["metadata"] = {f"quux{n}": "x" * 500 for n in range(50)}
    request = {"id": None, "idempotency_key": "zenobia-1"}
    before = {"name": "Quux"}
    return event(f"{kind}.updated", shown, 1, request=request, **more).replace(
        b'"data": {', b'"data": {"previous_attributes": ' + json.dumps(before).encode() + b", ", 1
    )


@pytest.mark.parametrize("whose", WHOSE)
def test_of_an_event_of_another_account_or_mode_no_body_is_kept(world: World, run: Run, whose: str) -> None:
    world.reconcile()
    ids = {"cus_1TheirsA": "cus_1TheirsA", "zenobia@quux.example": None, "quux_00000000000000": None}
    with listening("stripe:*") as heard:
        for given, kept in ids.items():
            for kind in ("customer", "charge", "nothing.known"):
                raw = body(kind, given, **WHOSE[whose])
                assert world.deliver([raw]) == ["ignored"]
                id = json.loads(raw)["id"]
                row = Event.objects(id=id).get()
                assert (row.type, row.object_id, row.state) == (f"{kind}.updated", kept, "ignored")
                assert traces(our_database()) == {}
                assert len(row.raw) < 500
                code, told = run("events show --raw", id)
                assert (code, told["error"], told["raw"]["id"]) == (0, row.reason, id)
                assert run("events replay", id)[1]["state"] == "ignored", "what is left says whose it is"
                assert Event.objects(id=id).get().raw == row.raw
                assert world.send(raw).json["state"] == "duplicate"
                Event._get_collection().delete_one({"_id": id})
        deliver()

    assert heard == []
    assert Delivery.objects.count() == 0
    assert not [model for model in kinds().values() if model.objects.count()]


def test_what_was_kept_until_it_was_known_whose_it_is_loses_its_body_then(world: World) -> None:
    State.clear(STRIPE)
    world.start()
    world.stripe.fault("503_edge", method="GET", times=None)
    raw = body("charge", "ch_1TheirsA7", account=THEIRS)
    assert world.deliver([raw]) == ["received"]
    assert b"zenobia" in Event.objects.get().raw
    world.stripe.clear_faults()
    world.advance(hours=1)

    drain()

    assert (Event.objects.get().state, Event.objects.get().reason) == ("ignored", "of another account")
    assert traces(our_database()) == {}


def test_what_turns_out_to_be_ours_is_replayed_by_a_look(world: World, run: Run) -> None:
    """It was taken for another's by a mistake of ours: Stripe shows again what was not kept."""
    world.reconcile()
    ours = world.stripe.insert("customer", name="Ann")
    world.advance(hours=1)
    raw = event("customer.updated", ours, 1, context="acct_1Emulated")
    State.write(STRIPE, {**(State.read(STRIPE) or {}), "account": "acct_1Other"})
    assert world.deliver([raw]) == ["ignored"]
    State.write(STRIPE, {**(State.read(STRIPE) or {}), "account": "acct_1Emulated"})

    code, told = run("events replay", json.loads(raw)["id"])

    assert (code, told["state"], Customer.objects.get().name) == (0, "applied", "Ann")
