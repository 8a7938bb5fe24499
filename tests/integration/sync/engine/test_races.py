"""Races: threads over one document, started together; whoever wins, both sides end as one."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, State, Status
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import STRIPE
from stripe_mongo_sync.sync.engine.observations import merge_observation
from stripe_mongo_sync.sync.engine.push import finish_operation
from stripe_mongo_sync.sync.engine.saga import build_operation
from tests.support.answers import at_once
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def together(*acts: Callable[[], Any]) -> None:
    """Run all acts at once, and let what they raise show."""
    barrier, failures = threading.Barrier(len(acts)), list[BaseException]()

    def run(act: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            act()
        except (sync.SyncError, sync.Invalid):
            pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.fault("28")
def test_the_webhook_that_beats_the_reply_links_once(world: World) -> None:
    held = world.stripe.fault("hold_after", method="POST")
    creating = threading.Thread(target=lambda: sync.create_customer("user@here.com"))
    creating.start()
    assert held.entered.wait(10)

    assert world.deliver() == ["applied"]
    assert Customer.objects.get().status == Status.ACTIVE
    held.release()
    creating.join()

    assert Customer.objects.get().due_at is None, "the reply settles what the event left open"
    assert_in_sync(world)


@pytest.mark.fault("48")
def test_reply_webhooks_and_reconcilers_agree_on_one_object(world: World) -> None:
    world.reconcile()
    for number in range(5):
        world.stripe.fault("cut_after", method="POST", times=2)
        with suppress(sync.SyncError):
            sync.create_customer(f"user{number}@here.com")
    world.advance(minutes=5)
    letters = world.webhooks()

    together(*(lambda raw=raw: world.send(raw) for raw in letters * 2), world.reconcile, world.reconcile)

    world.converge()
    assert len(world.stripe.objects("customer")) == 5
    assert_in_sync(world)


@pytest.mark.fault("48")
def test_two_reconcilers_share_the_work(world: World) -> None:
    world.reconcile()
    for number in range(20):
        world.stripe.fault("cut_before", method="POST", times=2)
        sync.create_customer(f"user{number}@here.com")
    world.advance(minutes=5)
    before = len(world.stripe.requests)

    together(*[world.reconcile] * 3)

    posts = [request for request in world.stripe.requests[before:] if request.method == "POST"]
    assert len(posts) == 20, "each document was sent by one of them"
    world.reconcile()
    assert_in_sync(world)


@pytest.mark.parametrize("round", range(5))
def test_update_delete_and_dashboard_edits_at_once_end_as_stripe_has_it(world: World, round: int) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver()

    together(
        lambda: sync.update(customer.fetch_latest(), {"name": "one"}),
        lambda: sync.update(customer.fetch_latest(), {"name": "two"}),
        lambda: sync.delete(customer.fetch_latest()) if round % 2 else None,
        lambda: suppress_gone(lambda: world.stripe.dashboard.update("customer", customer.stripe_id, name="three")),
    )
    letters = world.webhooks() * 2
    random.Random(round).shuffle(letters)
    together(*(lambda raw=raw: world.send(raw) for raw in letters))

    world.converge()
    assert_in_sync(world)


def suppress_gone(act: Callable[[], Any]) -> None:
    with suppress(Exception):  # the customer may be deleted already: then there is nothing to edit
        act()


def test_a_deletion_takes_the_place_of_no_change_that_is_being_sent(world: World) -> None:
    """Else the client of the change would be told that it was done when Stripe refuses the deletion."""
    document = sync.create_customer("user@here.com")
    world.deliver()
    held = world.stripe.fault("hold", method="POST")
    changing = threading.Thread(target=lambda: sync.update(document, {"name": "B"}))
    changing.start()
    assert held.entered.wait(10)

    with pytest.raises(sync.InProgress):
        sync.delete(document.fetch_latest())

    held.release()
    changing.join()
    world.stripe.fault("cut_before", method="POST", times=2)
    pending = sync.update(document.fetch_latest(), {"name": "C"})
    assert pending.operation is not None
    assert sync.delete(pending).status == Status.DELETED
    assert_in_sync(world)


def test_a_refusal_that_is_written_late_ends_nothing_that_another_worker_sends(world: World) -> None:
    document = sync.create_customer("user@here.com")
    calls = [Call(document.path, {}, "delete")]
    staged = document.begin(build_operation(Customer, document.id, "delete", calls))
    assert staged is not None
    world.advance(minutes=3)
    (claimed,) = Customer.claim_due(clock.now())

    finish_operation(staged, lambda latest: latest.end_refused({"message": "no"}, "refused"))

    latest = document.fetch_latest()
    assert (latest.operation.key, latest.leased_until) == (staged.operation.key, claimed.leased_until)
    finish_operation(claimed, lambda latest: latest.end_refused({"message": "no"}, "refused"))
    assert document.fetch_latest().operation is None


@pytest.mark.fault("16")
def test_a_merge_is_atomic_whoever_comes_first(world: World) -> None:
    """Two objects of one key, told by eight threads while the document is rolled back: none is lost."""
    for number in range(20):
        world.stripe.fault("cut_before", method="POST", times=2)
        customer = sync.create_customer(f"user{number}@here.com")
        where = {"_id": customer.id, "creation_key": customer.creation_key}

        def tell(stripe_id: str, where: dict[str, Any] = where) -> None:
            remote = {"id": stripe_id, "object": "customer"}
            evidence = Observation(f"test {stripe_id}", stripe_id, remote, {}, earliest=5, latest=5, event=True)
            merge_observation(Customer, where, evidence)

        def give_up(id: Any = customer.id) -> None:
            latest = Customer.objects.get(id=id)
            if latest.status == Status.PENDING:
                latest.roll_back({"type": "rolled-back", "message": "test"}, "test", in_doubt=True)

        told = {f"cus_{number}a", f"cus_{number}b"}
        together(*(lambda stripe_id=stripe_id: tell(stripe_id) for stripe_id in sorted(told) * 4), give_up)

        found = Customer.objects.get(id=customer.id)
        if found.status == Status.ACTIVE:
            assert {found.stripe_id, *found.orphans} == told
            assert len(found.orphans) == 1
        else:
            assert found.status == Status.ROLLED_BACK
            assert set(found.orphans) == told
            assert found.due_at is not None


def test_processes_that_bind_a_new_database_at_once_all_find_it_bound(world: World) -> None:
    for _ in range(60):
        State.clear(STRIPE)

        found = at_once(4, lambda number: State.bind_account("acct_1", False, f"digest-{number}"))

        assert {one["account"] for one in found} == {"acct_1"}
        assert set(State.read(STRIPE)["keys"]) == {f"digest-{number}" for number in range(4)}
