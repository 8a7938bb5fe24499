"""Link: what an operator says of an object is believed only after it was compared with what was staged."""

from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.api.resources import plural_of
from stripe_mongo_sync.models import Customer, Status, created_kinds
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.sync.engine.observations import from_reply
from stripe_mongo_sync.sync.errors import NotPossible
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.link import Differs
from stripe_mongo_sync.sync.stripe.answers import Reply
from tests.faults.calls import has_created_event
from tests.integration.conftest import Run
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import TOKEN, World

NAME = "user@here.com"


def in_doubt(world: World, kind: str = "customer", **fields: Any) -> Any:
    """A document whose creation nobody knows the outcome of; nothing of it is at Stripe."""
    world.deliver()
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    body = {"username": NAME, "name": "Ada", **fields} if kind == "customer" else samples.body(kind)
    document, _ = sync.create(created_kinds()[kind], body)
    assert document.status == Status.PENDING
    return document.fetch_latest()


def test_an_object_that_differs_is_refused_by_the_names_of_what_differs(world: World, run: Run) -> None:
    customer = in_doubt(world)
    remote = world.stripe.dashboard.create("customer", email="somebody@else.com", name="Eve")

    with pytest.raises(Differs, match="name") as refused:
        operations.link(str(customer.id), remote["id"])

    told = {(each.name, each.staged, each.at_stripe) for each in refused.value.differences}
    assert told == {("name", "Ada", "Eve"), ("email", NAME, "somebody@else.com")}
    assert (customer.fetch_latest().status, customer.fetch_latest().revision) == (Status.PENDING, customer.revision)
    code, shown = run("operations link", str(customer.id), remote["id"])
    assert (code, {each["name"] for each in shown["differences"]}) == (1, {"name", "email"})


def test_force_links_what_differs_and_says_so(world: World, run: Run) -> None:
    customer = in_doubt(world)
    remote = world.stripe.dashboard.create("customer", email="somebody@else.com", name="Ada")

    code, told = run("operations link", str(customer.id), remote["id"], "--force")

    assert (code, told["status"], told["stripe_id"], told["differs"]) == (0, "active", remote["id"], ["email"])
    assert customer.fetch_latest().status_changed_by == "operator", "a command is nobody's in particular"
    world.converge()
    assert customer.fetch_latest().email == "somebody@else.com"
    assert_in_sync(world)


def test_over_http_what_differs_is_named_and_its_values_are_not(world: World) -> None:
    world.settings["API_TOKENS"] = f"ops:operate:{TOKEN}"
    world.start()
    customer = in_doubt(world)
    remote = world.stripe.dashboard.create("customer", email="somebody@else.com", name="Eve")
    path = f"/operations/{customer.id}/link"

    refused = world.http.post(path, json={"stripe_id": remote["id"]})
    linked = world.http.post(path, json={"stripe_id": remote["id"], "force": True})

    problem(refused, 409, "not-possible")
    assert sorted(refused.json["differences"]) == ["email", "name"]
    assert "Eve" not in refused.text
    assert customer.fetch_latest().status_changed_by == "operator ops", "whose token it was stays on the document"
    assert (linked.json["decision"], linked.json["decided_by"]) == ("link", "operator ops")
    assert "Ada" not in refused.text
    assert (linked.status_code, linked.json["status"], linked.json["removed"]) == (200, "active", None)
    assert sorted(linked.json["differs"]) == ["email", "name"]


def test_an_adopted_document_that_held_the_object_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    customer = in_doubt(world)
    remote = world.stripe.dashboard.create("customer", email=NAME, name="Ada")
    world.advance(hours=1)
    adopted = Customer.adopt(_evidence(remote))

    done = operations.link(str(customer.id), remote["id"])

    assert (done.document.status, done.removed) == (Status.ACTIVE, str(adopted.id))
    assert str(adopted.id) in caplog.text
    assert Customer.objects(stripe_id=remote["id"]).count() == 1


def test_an_object_that_a_document_in_use_holds_is_refused(world: World) -> None:
    other = sync.create_customer("other@here.com")
    customer = in_doubt(world, email="other@here.com")

    with pytest.raises(NotPossible, match=f"belongs to document {other.id}"):
        operations.link(str(customer.id), other.stripe_id, force=True)

    assert (customer.fetch_latest().review_reason, other.fetch_latest().status) == (None, Status.ACTIVE)


def test_what_nobody_kept_cannot_be_compared(world: World) -> None:
    world.stripe.fault("decline", method="POST")
    with pytest.raises(sync.Refused):
        sync.create_customer(NAME)
    customer = Customer.objects.get()
    remote = world.stripe.dashboard.create("customer", email=NAME)

    with pytest.raises(Differs, match="no longer kept"):
        operations.link(str(customer.id), remote["id"])

    assert customer.fetch_latest().orphans == []


@pytest.mark.parametrize("id", ["cus 1 $%", "Kunde.7", "cus_old?x=1", "é", "a" * 255])
def test_ids_are_judged_by_stripe_alone(world: World, id: str) -> None:
    customer = in_doubt(world)
    remote = world.stripe.dashboard.create("customer", email=NAME, name="Ada")
    world.stripe.insert("customer", {**remote, "id": id})

    done = operations.link(str(customer.id), id)

    assert (done.document.status, done.document.stripe_id) == (Status.ACTIVE, id)


def test_what_is_not_there_is_not_linked(world: World) -> None:
    customer = in_doubt(world)

    for id in ("", ".", "..", "cus_TYPO", "\ud800", "cus_1\0", "?limit=1", "prod_x"):
        with pytest.raises(NotPossible, match="Stripe has no customer"):
            operations.link(str(customer.id), id, force=True)

    assert customer.fetch_latest().revision == customer.revision


def test_of_every_type_its_own_object_is_linked(world: World) -> None:
    """What was staged and what Stripe makes of it are compared as they are, whatever Stripe adds to it."""
    for kind, model in created_kinds().items():
        if not (has_created_event(model) and model.resource.path):
            continue
        body = samples.body(kind, kind.replace("_", "-"))
        before = {one["id"] for one in world.stripe.objects(kind)}
        world.stripe.fault("500_repair", method="POST", path=model.resource.path)
        world.http.post(f"/{plural_of(model)}", json=body, headers={"Idempotency-Key": f"k {kind}"})
        document = model.objects(request__key=f"k {kind}").get()
        world.stripe.repair()
        world.webhooks()
        (made,) = {one["id"] for one in world.stripe.objects(kind)} - before

        done = operations.link(str(document.id), made)

        assert (done.document.status, done.differs) == (Status.ACTIVE, []), kind


def _evidence(remote: dict[str, Any]) -> Observation:
    return from_reply(Customer, Reply(remote, 0, 1, replayed=False, request_id="req_1"))
