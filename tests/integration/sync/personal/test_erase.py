"""Erase: a person is forgotten here, in documents, inbox and deliveries; what the books need stays."""

from collections.abc import Callable, Iterator

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, Order, PaymentIntent, Status, kinds
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.sync.errors import NotFound, NotPossible
from stripe_mongo_sync.sync.notices.deliver import deliver
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import person, samples
from tests.support.answers import untouched
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.mongo import our_database
from tests.support.person import TRACES, USERNAME, traces
from tests.support.run import Run
from tests.support.scenes import begin
from tests.support.world import World


@pytest.fixture
def heard(world: World) -> Iterator[list[sync.Notice]]:
    """What a hook heard that listens to everything, and quotes it when it fails."""

    def fail(notice: sync.Notice) -> None:
        raise ValueError(f"cannot digest {notice.event or notice.document.to_json()}")

    with listening("customer.*", "order.*", "stripe:*", then=fail) as told:
        yield told


def forgotten(world: World, *more: str) -> None:
    """Assert that no trace is left anywhere, and that both sides are one."""
    assert traces(our_database(), *more) == {}
    world.converge()
    assert traces(our_database(), *more) == {}
    assert_in_sync(world)


def test_a_person_leaves_no_trace(world: World, run: Run, heard: list[sync.Notice]) -> None:
    customer = person.live(world)
    deliver()
    before = traces(our_database())
    assert {"customers", "stripe_events", "hook_deliveries", "orders", "charges", "disputes"} <= before.keys()
    assert set(TRACES) == {trace for found in before.values() for trace in found}

    code, told = run("erase", USERNAME)

    assert (code, told["id"], told["waiting_for"]) == (0, str(customer.id), [])
    assert traces(our_database()) == {}, "before any webhook tells of the deletion"
    world.deliver()
    deliver()
    world.converge()
    forgotten(world)
    gone = customer.fetch_latest()
    assert (gone.status, gone.username, gone.email, gone.stripe_id) == (Status.DELETED, None, None, customer.stripe_id)
    assert gone.erased_at is not None
    assert all(one.erased_at for one in person.of_person(customer))


def test_ids_amounts_states_and_times_stay(world: World) -> None:
    customer = begin(world, person.live)
    kept = ("id", "object", "created", "amount", "amount_refunded", "currency", "status", "customer", "livemode")
    names = (*kept, "payment_intent", "invoice", "charge", "total", "number", "subscription", "balance_transaction")
    before = {one.id: one for one in person.of_person(customer)}
    assert len(before) > 15
    orders = {order.id: order for order in Order.objects}

    erase(USERNAME)

    for one in before.values():
        after = one.fetch_latest()
        for name in names:
            if isinstance(value := (one.stripe or {}).get(name), str | int | bool) and after.status == one.status:
                assert after.stripe[name] == value, f"{one.resource.kind}.{name}"
        assert (after.creation_key, after.stripe_id, after.created_at) == (
            one.creation_key,
            one.stripe_id,
            one.created_at,
        )
        assert after.to_mongo()["status"] in list(Status)
    for order in orders.values():
        after = order.fetch_latest()
        assert (after.amount_total, after.currency, after.payment_status, after.items, after.customer) == (
            (order.amount_total, order.currency, order.payment_status, order.items, order.customer)
        )
    row = next(row for row in Event.objects(type="charge.succeeded") if row.erased_at)
    assert (row.state, row.object_id, row.created is None) == ("applied", row.object_id, False)


def test_nobody_else_is_touched(world: World, clean: Callable[[], None]) -> None:
    other = sync.create_customer("other@here.com", name="Other")
    pay = {"amount": 500, "currency": "eur", "description": "of other", "customer": str(other.id)}
    once = {"automatic_payment_methods": samples.NO_REDIRECTS, "payment_method": "pm_card_visa", "confirm": True}
    sync.create(PaymentIntent, {**pay, **once})
    world.deliver()
    before = {(d.id, d.revision): d.to_mongo() for d in world.documents()}
    begin(world, person.live)
    shared = {d.id: d.to_mongo() for k in ("product", "price") for d in kinds()[k].objects}

    erase(USERNAME)

    for id, revision in before:
        now = next(d for d in world.documents() if d.id == id)
        assert (now.revision, now.to_mongo()) == (revision, before[id, revision])
    assert {d.id: d.to_mongo() for k in ("product", "price") for d in kinds()[k].objects} == shared
    about = [row for row in Event.objects if row.object_id == other.stripe_id]
    assert [row.erased_at for row in about] == [None]


def test_what_names_somebody_else_is_theirs(world: World) -> None:
    """One card that is named by two customers' payments: nobody is forgotten by mistake."""
    begin(world, person.buys)
    card = kinds()["charge"].objects.get().stripe["payment_method"]
    theirs = {"id": "ch_1OtherA7", "object": "charge", "customer": "cus_1OtherA7", "payment_method": card}
    world.deliver([event("charge.succeeded", {**theirs, "description": "a hat"}, int(world.stripe.clock.now()))])

    erase(USERNAME)

    other = kinds()["charge"].objects(stripe_id="ch_1OtherA7").get()
    assert (other.erased_at, other.stripe["description"]) == (None, "a hat")


def test_a_dry_run_tells_and_writes_nothing(world: World, run: Run) -> None:
    customer = begin(world, person.buys)

    with untouched(world):
        code, told = run("erase --dry-run", USERNAME)

    assert (code, told["would_delete"], told["counts"]["customers"]) == (0, customer.stripe_id, 1)
    assert told["counts"]["charges"] == 1
    assert run("erase", USERNAME)[1]["counts"].keys() >= told["counts"].keys()


@pytest.mark.parametrize("by", ["username", "stripe_id"])
def test_a_customer_who_is_deleted_already_can_be_erased(world: World, run: Run, by: str) -> None:
    customer = begin(world, person.buys)
    sync.delete(customer)
    world.deliver()

    assert run("erase", str(getattr(customer, by)))[0] == 0

    forgotten(world)
    told = {"id": str(customer.id), "counts": {}, "waiting_for": [], "waits": [], "exit_code": 0}
    assert run("erase", str(customer.id)) == (0, told)
    assert run("erase", USERNAME)[0] == 1, "nobody is called so any more"


def test_the_name_is_free_and_its_new_owner_is_somebody_else(world: World, run: Run) -> None:
    old = begin(world, person.buys)
    erase(USERNAME)
    new = sync.create_customer(USERNAME, name="new")
    world.deliver()

    assert run("erase", str(old.id))[0] == 0

    assert (new.fetch_latest().status, new.fetch_latest().username, new.fetch_latest().name) == (
        Status.ACTIVE,
        USERNAME,
        "new",
    )


def test_attempts_that_were_rolled_back_are_forgotten_too(world: World) -> None:
    world.stripe.fault("decline", method="POST")
    with pytest.raises(sync.Refused):
        sync.create_customer(USERNAME, name=person.NAME, idempotency_key="zenobia-1")
    sync.create_customer(USERNAME, idempotency_key="zenobia-2")
    world.deliver()
    assert Customer.objects(username=USERNAME).count() == 2

    erase(USERNAME)

    world.deliver()
    forgotten(world)


# --- what comes later ---


def test_nothing_that_comes_later_brings_it_back(world: World) -> None:
    customer = begin(world, person.live)
    letters = [row.raw for row in Event.objects]
    charge = kinds()["charge"].objects(stripe_id=kinds()["dispute"].objects.get().stripe["charge"]).get()
    erase(USERNAME)
    world.deliver()
    world.converge()

    world.advance(minutes=1)
    refund = world.stripe.dashboard.create("refund", charge=charge.stripe_id, amount=300, reason="duplicate")
    world.deliver()  # charge.updated, refund.created, …: Stripe's events show all that it knows
    at = int(world.stripe.clock.now())
    won = {"id": "dp_1Quarrel0A7", "object": "dispute", "charge": charge.stripe_id, "status": "won", "reason": "Quux!"}
    warning = {"id": "issfr_1A", "object": "radar.early_fraud_warning", "charge": charge.stripe_id, "actor": "Zenobia"}
    world.deliver([event("radar.early_fraud_warning.created", warning, at)])
    world.stripe.fault("503_edge", method="GET", times=None)
    world.deliver([event("charge.dispute.closed", won, at)])
    assert traces(our_database()) == {}, "it could not be looked at, and is not kept either"
    world.stripe.clear_faults()

    assert charge.fetch_latest().stripe["amount_refunded"] == 500 + 300, "the books go on"
    assert kinds()["refund"].objects(stripe_id=refund["id"]).get().erased_at is not None
    Event._get_collection().delete_many({})  # as if it had expired
    world.deliver(letters)
    assert traces(our_database()) == {}
    world.stripe.clear_faults()
    assert customer.fetch_latest().status == Status.DELETED


def test_neither_a_full_comparison_nor_a_backfill_brings_it_back(world: World) -> None:
    begin(world, person.live)
    erase(USERNAME)
    world.deliver()
    world.converge()
    for kind in ("charge", "refund", "invoice"):  # as if they had never been copied
        kinds()[kind]._get_collection().delete_many({})
    world.advance(hours=1)

    report = world.reconcile(full=True)
    assert report.counts["adopt"] > 3
    backfill(patience=Throttle(1000.0, lambda seconds: None))

    forgotten(world)
    assert all(charge.erased_at for charge in kinds()["charge"].objects)
    again = world.reconcile(full=True)
    assert again.counts["drift"] == 0, "what is kept is not what Stripe has, and no drift"


def test_a_replay_of_an_erased_event_harms_nothing(world: World, run: Run) -> None:
    gift = {"id": "di_1", "object": "discount", "customer": begin(world, person.buys).stripe_id, "name": person.NAME}
    world.deliver([event("customer.discount.created", gift, int(world.stripe.clock.now()))])
    erase(USERNAME)
    world.deliver()
    before = {one.id: one.stripe for one in world.documents()}

    for replayed in ("customer.created", "charge.succeeded", "customer.discount.created"):
        code, told = run("events replay", Event.objects(type=replayed).first().id)
        assert code == 0, told

    assert {one.id: one.stripe for one in world.documents()} == before
    forgotten(world)


def test_what_was_under_way_when_it_began_is_found_by_a_second_look(world: World) -> None:
    """A worker read an event before the erasure, and writes after it."""
    customer = begin(world, person.buys)
    late = Event.objects(type="customer.created").get()
    raw = late.raw
    erase(USERNAME)
    world.deliver()
    Event._get_collection().update_one({"_id": late.id}, {"$set": {"raw": raw}, "$unset": {"erased_at": ""}})

    world.reconcile()
    assert traces(our_database()) != {}
    world.advance(minutes=20)
    assert world.reconcile().counts["erased"] == 1

    assert traces(our_database()) == {}
    assert customer.fetch_latest().erased_at is not None
    world.advance(minutes=20)
    world.reconcile()
    assert Erasure.objects.get().due_at is None
    world.advance(minutes=20)
    assert not any(world.reconcile().counts.values())


# --- what stands in the way ---


def test_an_unknown_outcome_is_said_and_goes_on_later(world: World, run: Run) -> None:
    customer = begin(world, person.buys)
    world.stripe.fault("cut_after", method="DELETE", times=2)

    code, told = run("erase", USERNAME)
    assert (code, len(told["waiting_for"])) == (1, 1)
    assert run("erase", USERNAME)[0] == 1
    assert customer.fetch_latest().username == USERNAME

    world.deliver()
    world.advance(minutes=20)
    world.reconcile()  # the customer is gone: so it goes on by itself
    forgotten(world)
    assert run("erase", str(customer.id))[0] == 0


def test_a_customer_whom_stripe_refuses_to_delete_stays(world: World, run: Run) -> None:
    customer = begin(world, person.buys)
    world.stripe.fault("decline", method="DELETE")

    with pytest.raises(NotPossible, match="stays"):
        erase(USERNAME)

    assert customer.fetch_latest().username == USERNAME
    assert Erasure.objects.count() == 0
    world.converge()
    assert customer.fetch_latest().erased_at is None
    world.advance(hours=2)
    world.reconcile()
    assert run("status")[0] == 0


def test_a_creation_under_way_is_waited_for(world: World, run: Run) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(USERNAME)

    with pytest.raises(NotPossible, match="in progress"):
        erase(USERNAME)
    assert run("erase", USERNAME)[0] == 1

    world.advance(minutes=5)
    world.reconcile()
    assert run("erase", USERNAME)[0] == 0
    assert customer.fetch_latest().status == Status.DELETED


def test_what_is_under_way_is_named_and_everything_else_goes(world: World, run: Run) -> None:
    begin(world, person.buys)
    payment = PaymentIntent.objects.get()
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.update(payment, {"description": "Quux again"})

    code, told = run("erase", USERNAME)

    assert code == 1
    assert told["waiting_for"] == [f"payment_intent {payment.id} waits for its update to end"]
    assert traces(our_database()).keys() == {"payment_intents"}
    world.advance(hours=2)
    assert "not finished" in " ".join(run("status")[1]["warnings"])
    world.deliver()
    world.converge()
    world.advance(minutes=20)
    world.converge()
    assert traces(our_database()) == {}


def test_nobody_of_that_name_is_said(world: World, run: Run) -> None:
    with pytest.raises(NotFound):
        erase("nobody@here.com")
    assert run("erase", "nobody@here.com")[0] == 1


# --- killed ---


def test_killed_anywhere_it_is_simply_run_again(lives: Lives) -> None:
    world = lives.world
    customer = person.buys(world)
    for death in lives.deaths(lambda: erase(USERNAME), least=10, at=lambda effect: effect < 7 or effect % 2 == 0):
        world.deliver()

        if erase(str(customer.id)).waiting_for:  # for the deletion, which is reconcile's now
            world.advance(minutes=5)
            world.reconcile()
            assert erase(str(customer.id)).exit_code == 0, death.died
        world.deliver()

        assert traces(our_database()) == {}, death.died
        assert customer.fetch_latest().status == Status.DELETED


def test_it_costs_nothing_where_nobody_was_erased(world: World) -> None:
    sync.create_customer("somebody@here.com")
    world.deliver()
    world.reconcile()

    assert "erasures" in our_database().list_collection_names()
    assert Erasure.objects.count() == 0
    assert not any(world.reconcile().counts.values())
    assert [row.erased_at for row in Event.objects] == [None]
    assert Delivery.objects.count() == 0


def test_the_digest_of_the_erased_tells_nothing_that_can_be_tried(world: World) -> None:
    """It is of what stays: who guesses a name cannot compare it with that of the whole object."""
    customer = sync.create_customer("user@here.com", name="A Name", phone="+49 555 1234")
    world.deliver()
    whole = dict(customer.fetch_latest().stripe or {})

    erase("user@here.com")

    gone = customer.fetch_latest()
    assert gone.digest == digest(gone.stripe) == digest(scrub(whole)) != digest(whole)
    rows = [row for name in our_database().list_collection_names() for row in our_database()[name].find()]
    assert digest(whole) not in str(rows)
