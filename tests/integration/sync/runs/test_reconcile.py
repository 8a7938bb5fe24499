"""Reconcile: what it repairs, and above all what it refuses to touch."""

import random
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, Product, Status
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import CHECKPOINT, CIRCUIT_BREAKER, State
from stripe_mongo_sync.sync.operator import operations
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def contents(world: World) -> tuple[Any, Any]:
    """What is on both sides, but for the marks that a run leaves about itself."""
    documents = [document.to_mongo().to_dict() for document in world.documents()]
    return documents, world.stripe.objects("customer")


def shop(world: World, customers: int = 3) -> list[Customer]:
    """A shop that has run for a while."""
    made = [sync.create_customer(f"user{number}@here.com") for number in range(customers)]
    world.deliver()
    assert world.reconcile().exit_code == 0
    return made


def lost_reply(world: World, username: str = "lost@here.com") -> Customer:
    """A customer whose creation Stripe carried out, and nobody heard of it."""
    world.stripe.fault("cut_after", method="POST", times=2)
    customer = sync.create_customer(username)
    world.webhooks()
    return customer


def test_a_missed_webhook_is_caught_up(world: World) -> None:
    (customer, *_) = shop(world)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="Edited")
    world.webhooks()

    report = world.reconcile()

    assert report.counts["event_applied"] == 1
    assert customer.fetch_latest().name == "Edited"
    assert_in_sync(world)


def test_an_idle_run_costs_one_get(world: World) -> None:
    shop(world)
    world.start()
    before = len(world.stripe.requests)

    assert str(world.reconcile()) == "in sync: nothing to do"

    assert [(request.method, request.path) for request in world.stripe.requests[before:]] == [("GET", "/v1/events")]


def test_what_is_not_due_is_left_alone(world: World) -> None:
    shop(world)
    customer = lost_reply(world)
    before = customer.fetch_latest().revision

    report = world.reconcile()  # its event is read here, and links it: nothing is sent

    assert report.counts["send"] == 0
    assert customer.fetch_latest().revision == before + 1


def test_with_stripe_down_nothing_changes_and_the_checkpoint_stays(world: World) -> None:
    shop(world)
    lost_reply(world)
    world.advance(hours=1)
    before, checkpoint = contents(world), State.read(CHECKPOINT)
    world.stripe.fault("refuse", times=None)

    report = world.reconcile()

    assert report.exit_code == 2
    assert (contents(world), State.read(CHECKPOINT)) == (before, checkpoint)
    world.stripe.clear_faults()
    assert world.converge().exit_code == 0
    assert_in_sync(world)


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.fault("44")
def test_a_list_that_breaks_off_proves_nothing(world: World, page: int) -> None:
    world.reconcile()
    world.stripe.fault("500_before", method="POST", times=1)
    customer = sync.create_customer("user@here.com")
    world.stripe.insert("customer", name="Somebody", created=int(world.stripe.clock.now()))  # whose, the events tell
    world.advance(hours=30)
    world.stripe.fault("503_edge", match="GET /v1/*", times=1, skip=page)

    report = world.reconcile()

    assert report.exit_code == 2
    assert customer.fetch_latest().status == Status.PENDING
    world.converge()
    assert customer.fetch_latest().status == Status.ROLLED_BACK


@pytest.mark.fault("83")
def test_the_key_of_another_account_is_refused_and_nothing_is_touched(world: World) -> None:
    shop(world)
    lost_reply(world)
    world.advance(hours=30)
    before = contents(world)
    world.stripe.reset_account("acct_another")
    world.settings["STRIPE_SECRET_KEY"] = "sk_test_another"
    world.start()

    report = world.reconcile(full=True)

    assert report.exit_code == 2
    assert "belongs to the Stripe account" in str(report)
    assert contents(world)[0] == before[0]


@pytest.mark.fault("83")
def test_the_key_of_the_other_mode_is_refused(world: World) -> None:
    shop(world)
    world.settings["STRIPE_SECRET_KEY"] = "sk_live_world"
    world.start()

    report = world.reconcile(full=True)

    assert report.exit_code == 2
    assert all(customer.status == Status.ACTIVE for customer in Customer.objects)


@pytest.mark.fault("83")
def test_a_stripe_that_lost_its_state_is_refused_and_nothing_is_touched(world: World) -> None:
    shop(world)
    before = contents(world)[0]
    world.stripe.wipe()

    report = world.reconcile(full=True)

    assert report.exit_code == 2
    assert "new-installation" in str(report)
    assert contents(world)[0] == before


@pytest.mark.fault("49")
def test_an_empty_database_deletes_nothing_and_adopts_only_what_people_made(world: World, clean: Any) -> None:
    shop(world)
    person = world.stripe.dashboard.create("customer", email="person@else.where")
    remote = world.stripe.objects("customer")
    world.advance(hours=1)
    clean()
    world.start()

    report = world.converge()

    assert report.exit_code == 0
    assert world.stripe.objects("customer") == remote
    assert [customer.stripe_id for customer in Customer.objects] == [person["id"]], "the rest is another installation's"


@pytest.mark.fault("49")
def test_a_restored_database_deletes_nothing_and_comes_back_in_sync(world: World) -> None:
    (old, *_) = shop(world)
    backup = [row.to_mongo() for row in (*world.documents(), *State.objects, *Event.objects)]
    younger = sync.create_customer("younger@here.com")
    sync.update(old.fetch_latest(), {"name": "Newer"})
    world.deliver()
    world.reconcile()
    remote = world.stripe.objects("customer")
    for model in (Customer, State, Event):
        rows = [row for row in backup if row["_id"] in {each.id for each in model.objects}]
        model._get_collection().delete_many({})
        model._get_collection().insert_many(rows)
    world.advance(hours=1)

    world.converge()
    world.reconcile(full=True)

    assert world.stripe.objects("customer") == remote
    assert Customer.by_stripe_id(younger.stripe_id).status == Status.ACTIVE
    assert_in_sync(world)


@pytest.mark.fault("84")
def test_a_403_in_the_middle_of_a_retry_rolls_nothing_back(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    world.stripe.fault("refuse_403", times=None, path="/v1/customers")

    for _ in range(12):  # more than a day
        world.advance(hours=3)
        assert world.reconcile().exit_code in (1, 2)

    assert customer.fetch_latest().status == Status.PENDING
    assert "cannot be searched" in customer.fetch_latest().review_reason
    world.stripe.clear_faults()
    operations.retry(str(customer.id))
    assert customer.fetch_latest().status == Status.ROLLED_BACK
    assert_in_sync(world)


@pytest.mark.fault("84")
def test_a_missing_permission_leaves_out_its_kind_names_it_and_the_others_go_on(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=4)
    customer = sync.create_customer("user@here.com")
    product, _ = sync.create(Product, {"name": "A Product"})
    world.advance(minutes=10)
    world.stripe.fault("refuse_403", method="POST", path="/v1/customers", times=None)

    report = world.reconcile()

    assert report.exit_code == 2
    assert "may not POST /v1/customers" in str(report)
    assert (customer.fetch_latest().status, product.fetch_latest().status) == (Status.PENDING, Status.ACTIVE)


def test_a_replayed_reply_never_overwrites_a_newer_edit(world: World) -> None:
    world.reconcile()
    customer = lost_reply(world)
    (remote,) = world.stripe.objects("customer")
    world.stripe.dashboard.update("customer", remote["id"], name="Edited since")
    world.webhooks()
    world.stripe.lag_events(10**6)  # reconcile cannot hear of it before it sends
    world.advance(minutes=10)

    report = world.reconcile()

    assert report.counts["send"] == 1
    assert world.stripe.requests[-2].replayed or world.stripe.requests[-1].method == "GET"
    assert customer.fetch_latest().name == "Edited since"
    assert_in_sync(world)


def test_a_refused_update_leaves_both_sides_as_they_were(world: World) -> None:
    (customer, *_) = shop(world, 1)
    remote = world.stripe.objects("customer")
    world.stripe.fault("decline", method="POST")

    with pytest.raises(sync.Refused):
        sync.update(customer.fetch_latest(), {"name": "Another"})

    latest = customer.fetch_latest()
    assert (latest.status, latest.name, latest.operation) == (Status.ACTIVE, None, None)
    assert latest.error.code == "card_declined"
    assert world.stripe.objects("customer") == remote


def test_an_object_without_a_key_that_may_be_ours_puts_the_document_in_review(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("user@here.com")
    world.webhooks()
    world.advance(hours=1)
    world.stripe.repair()  # its event has no key

    report = world.converge()

    assert report.exit_code == 1
    assert "no event shows its creation key" in customer.fetch_latest().review_reason
    assert customer.fetch_latest().status == Status.PENDING, "nothing is given up while it may be there"
    assert len(world.stripe.objects("customer")) == 1, "nothing is undone on a guess"

    (remote,) = world.stripe.objects("customer")
    operations.link(str(customer.id), remote["id"])
    assert world.converge().exit_code == 0
    assert_in_sync(world)


@pytest.mark.fault("51")
def test_an_orphan_on_which_money_hangs_is_left_to_a_person(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("user@here.com")
    world.converge()
    assert customer.fetch_latest().status == Status.ROLLED_BACK
    world.stripe.repair(request={"id": None, "idempotency_key": customer.creation_key})
    (remote,) = world.stripe.objects("customer")
    world.stripe.insert("subscription", customer=remote["id"])

    report = world.converge()

    assert report.exit_code == 1
    assert "/v1/subscriptions shows an object of it" in customer.fetch_latest().review_reason
    assert len(world.stripe.objects("customer")) == 1


@pytest.mark.fault("50")
def test_the_cap_on_deletions_latches_until_an_operator_confirms(world: World) -> None:
    made = shop(world, 25)
    world.stripe.lose_event("customer.deleted", times=25)
    for customer in made:
        world.stripe.dashboard.delete("customer", customer.stripe_id)
    world.webhooks()

    first = world.reconcile(full=True)
    second = world.reconcile(full=True)

    assert (first.exit_code, first.counts["braked"]) == (1, 1)
    assert second.counts["braked"] == 1
    assert Customer.objects(status=Status.DELETED).count() == 20
    assert State.read(CIRCUIT_BREAKER) is not None

    operations.reset_breaker()
    assert world.reconcile(full=True).exit_code == 0
    assert Customer.objects(status=Status.DELETED).count() == 25
    assert_in_sync(world)


def test_deletions_that_stripe_told_of_are_proof_and_are_not_counted(world: World) -> None:
    made = shop(world, 25)
    for customer in made:
        world.stripe.dashboard.delete("customer", customer.stripe_id)
    world.webhooks()

    report = world.reconcile()

    assert (report.exit_code, report.counts["event_applied"]) == (0, 25)
    assert Customer.objects(status=Status.DELETED).count() == 25


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(world: World) -> None:
    shop(world)
    lost_reply(world)
    world.advance(minutes=10)
    before = [row.to_mongo() for row in (*world.documents(), *State.objects, *Event.objects)]
    sent = len([request for request in world.stripe.requests if request.method != "GET"])

    report = world.reconcile(dry=True, full=True)

    assert report.exit_code == 1
    assert report.counts["send"] == 1
    assert [row.to_mongo() for row in (*world.documents(), *State.objects, *Event.objects)] == before
    assert len([request for request in world.stripe.requests if request.method != "GET"]) == sent


def test_full_reports_drift_and_repairs_it(world: World) -> None:
    (customer, *_) = shop(world)
    world.stripe.lose_event("customer.updated")
    world.stripe.dashboard.update("customer", customer.stripe_id, name="Nobody was told")
    world.webhooks()
    assert world.reconcile().counts["drift"] == 0

    report = world.reconcile(full=True)

    assert report.counts["drift"] == 1
    assert_in_sync(world)


@pytest.mark.fault("33")
def test_a_cloned_database_sends_nothing_of_its_original(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    State.renew_installation()
    world.start()
    world.advance(hours=1)
    before = len([request for request in world.stripe.requests if request.method == "POST"])

    report = world.reconcile()

    assert report.exit_code == 1
    assert "this database is a clone" in customer.fetch_latest().review_reason
    assert len([request for request in world.stripe.requests if request.method == "POST"]) == before


@pytest.mark.fault("61")
def test_leases_are_compared_with_mongodbs_clock(world: World) -> None:
    customer = lost_reply(world)
    assert customer.fetch_latest().due_at > clock.now()
    world.advance(minutes=5)
    assert customer.fetch_latest().due_at < clock.now()


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_a_history_ends_as_stripe_has_it(world: World, seed: int) -> None:
    draw = random.Random(seed)
    customer = sync.create_customer("user@here.com")
    for number in range(6):
        world.stripe.dashboard.update("customer", customer.stripe_id, name=f"Name {number}")
        if number % 2:
            world.advance(seconds=1)
    letters = world.webhooks() * 2
    draw.shuffle(letters)

    world.deliver(letters)

    assert_in_sync(world)
