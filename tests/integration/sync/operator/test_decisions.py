"""Who decided what: each act of an operator stores on the row that it is about who did it, and when."""

from collections.abc import Callable
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, DeliveryState, Event
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.ops.acts import DELIVERY_ACTS, EVENT_ACTS
from stripe_mongo_sync.sync.errors import NotPossible
from stripe_mongo_sync.sync.operator import deliveries, inbox_admin, operations
from stripe_mongo_sync.sync.operator.link import acting_as
from stripe_mongo_sync.sync.operator.plan import plan
from stripe_mongo_sync.sync.operator.views.timeline import timeline
from stripe_mongo_sync.sync.personal.erase import erase
from tests.integration.conftest import Run
from tests.integration.sync.operator.test_dry_run import NAME, changing, pending
from tests.support.world import World

GIVEN: dict[str, Callable[[World], dict[str, Any]]] = {  # what an act needs beside the document
    "link": lambda world: {"stripe_id": world.stripe.dashboard.create("customer")["id"], "force": True}
}


def reviewed(world: World) -> Customer:
    """An active customer, whose change nobody knows the outcome of."""
    found = changing(world).fetch_latest().send_to_review("was it done?")
    assert found is not None
    return found


def dead_delivery(number: int = 1, document: Any = None) -> Delivery:
    notice = {"id": f"{document or 'x'}:{number}:customer.active", "name": "customer.active", "at": clock.now()}
    Delivery.enqueue(notice, "shop.hooks.welcome", "customer", document=document)
    row = Delivery.objects(id=f"{notice['id']}:shop.hooks.welcome").get().mark_dead("it raised")
    assert row is not None
    return row


def who(row: Any) -> tuple[str | None, str | None]:
    found = type(row).objects(id=row.id).get()
    assert (found.decided_at is None) == (found.decided_by is None)
    assert found.decided_at is None or clock.now() - found.decided_at < clock.LEASE
    return found.decision, found.decided_by


@pytest.mark.parametrize("arrange", [pending, reviewed])
@pytest.mark.parametrize("act", operations.ACTIONS)
def test_each_act_on_a_document_stores_who_did_it(world: World, act: str, arrange: Callable[[World], Customer]) -> None:
    arrange = pending if act == "link" else arrange  # an active document is never linked
    document = arrange(world)
    given = GIVEN.get(act, lambda world: {})(world)

    with acting_as("ann"):
        operations.ACTIONS[act](str(document.id).upper(), **given)

    assert who(document) == (act, "operator ann")
    told = {moment.told for moment in timeline(document.fetch_latest())}
    assert f"{act}, decided by operator ann" in told
    assert operations.shown(document.fetch_latest())["decided_by"] == "operator ann"


@pytest.mark.parametrize("act", EVENT_ACTS)
def test_each_act_on_an_event_stores_who_did_it(world: World, dead: Event, act: str) -> None:
    with acting_as("ann"):
        EVENT_ACTS[act](dead)

    assert who(dead) == (act, "operator ann")
    assert inbox_admin.summary(inbox_admin.event_of(dead.id))["decided_by"] == "operator ann"
    told = [moment.told for moment in timeline(Customer.objects.get())]
    assert sum("operator ann" in line for line in told) == 1
    assert "an operator" not in " ".join(line for line in told if "given up by" not in line)


def test_who_replayed_an_event_is_not_who_ignored_it_later(world: World, dead: Event) -> None:
    with acting_as("bob"):
        again = inbox_admin.replay(dead)
    Event.own_rows().update_one({"_id": again.id}, {"$set": {"state": "dead"}})
    with acting_as("ann"):
        inbox_admin.ignore(inbox_admin.event_of(again.id))

    told = [moment.told for moment in timeline(Customer.objects.get())]

    assert "customer.updated was replayed by an operator" in told
    assert "customer.updated: ignore, decided by operator ann" in told


@pytest.mark.parametrize("act", DELIVERY_ACTS)
def test_each_act_on_a_delivery_stores_who_did_it(world: World, act: str) -> None:
    customer = sync.create_customer(NAME)
    row = dead_delivery(document=customer.id)

    with acting_as("ann"):
        DELIVERY_ACTS[act](row)

    assert who(row) == (act, "operator ann")
    assert deliveries.summary(deliveries.delivery_of(row.id))["decided_by"] == "operator ann"
    told = {moment.told for moment in timeline(customer)}
    assert f"customer.active for shop.hooks.welcome: {act}, decided by operator ann" in told


def test_whoever_replays_all_decides_about_each(world: World, dead: Event) -> None:
    rows = [dead_delivery(number) for number in range(2)]

    with acting_as("ann"):
        assert len([*deliveries.replay_all(deliveries.dead_since(None))]) == 2
        assert [*inbox_admin.replay_dead(None, inbox_admin.Counter())] == []

    assert {who(row) for row in (*rows, dead)} == {("replay", "operator ann")}
    assert Delivery.objects(state=DeliveryState.DEAD).count() == 0


def test_a_command_is_nobodys_in_particular(world: World, run: Run) -> None:
    document = reviewed(world)

    code, told = run("operations roll-back", str(document.id))

    assert (code, told["decision"], told["decided_by"]) == (0, "roll-back", "operator")
    assert "roll-back, decided by an operator" in {moment.told for moment in timeline(document.fetch_latest())}


def test_of_what_follows_nobody_decided_it(world: World) -> None:
    """The order of a payment, the documents of a replayed event: only what the act is about says who did it."""
    document = reviewed(world)
    other = sync.create_customer("other@here.com")
    with acting_as("ann"):
        operations.retry(str(document.id))
    world.stripe.dashboard.update("customer", document.stripe_id, name="later")
    world.advance(minutes=1)
    world.deliver()

    assert who(document) == ("retry", "operator ann"), "it stays until the next decision"
    assert who(other) == (None, None)
    assert {who(row) for row in Event.objects} == {(None, None)}


def test_what_is_refused_or_only_tried_is_no_decision(world: World) -> None:
    document = sync.create_customer(NAME)
    with acting_as("ann"):
        with pytest.raises(NotPossible):
            operations.retry(str(document.id))
        row = dead_delivery(document=document.id)
        assert "decided_by" not in str(plan(lambda: deliveries.drop(row)).as_json())

    assert (who(document), who(row)) == ((None, None), (None, None))


def test_an_erasure_leaves_who_decided(world: World) -> None:
    document = reviewed(world)
    with acting_as("ann"):
        operations.roll_back(str(document.id))
    world.converge()

    erase(str(document.id))

    assert document.fetch_latest().erased_at is not None
    assert document.fetch_latest().decided_by == "operator ann"
