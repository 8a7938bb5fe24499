"""The mirror: what Stripe makes without us is copied from any event, kept current, and never touched at Stripe."""

import json
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, PaymentIntent, Status, SyncedDocument, kinds
from stripe_mongo_sync.models.base.resource import is_deleted
from stripe_mongo_sync.models.rows.content import content, digest, kept
from stripe_mongo_sync.sync.inbox.arrival import NAMED_BY_CUSTOMER
from stripe_mongo_sync.sync.operator.catalogue import event_types, ignored, kinds_of
from stripe_mongo_sync.sync.runs.reconcile import Report
from tests.contract.openapi import SHARED
from tests.support.answers import at_once, problem, untouched
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.samples import NO_REDIRECTS
from tests.support.world import World

FIXTURES = SHARED / "fixtures3.json"
Charge = kinds()["charge"]
T = 1_700_000_000
SOON, LATER = T + 5, T + 10
BODY = {"amount": 2000, "currency": "eur", "automatic_payment_methods": NO_REDIRECTS}


def pay(world: World) -> dict[str, Any]:
    """Take a payment, and return its charge at Stripe."""
    sync.create(PaymentIntent, {**BODY, "payment_method": "pm_card_visa", "confirm": True})
    return dict(world.stripe.objects("charge")[-1])


def discount(**fields: Any) -> dict[str, Any]:
    """A discount: Stripe shows it in events only."""
    return {"id": "di_1", "object": "discount", "customer": "cus_1", **fields}


def only(kind: str) -> SyncedDocument:
    found: SyncedDocument = kinds()[kind].objects.get()
    return found


# --- what is told is copied ---


def test_a_charge_is_copied_at_once_and_stays_current(world: World) -> None:
    charge = pay(world)

    assert set(world.deliver()) == {"applied"}
    assert content(only("charge").stripe) == content(charge)
    assert only("charge").confirmed_at is not None

    world.advance(seconds=5)
    world.http.post("/refunds", json={"charge": charge["id"], "amount": 500})
    assert set(world.deliver()) == {"applied"}
    assert only("charge").stripe["amount_refunded"] == 500
    assert_in_sync(world)


def test_a_copy_costs_no_call_of_stripe(world: World) -> None:
    pay(world)
    letters = [raw for raw in world.webhooks() if b'"charge.' in raw]
    asked = len(world.stripe.requests)

    assert world.deliver(letters) == ["applied"]

    assert len(world.stripe.requests) == asked


def test_a_missed_event_is_caught_up(world: World) -> None:
    world.reconcile()
    charge = pay(world)
    world.webhooks()

    world.reconcile()

    assert content(only("charge").stripe) == content(charge)
    assert_in_sync(world)


def test_mirrored_types_are_copied_whatever_adopt_says(database: str) -> None:
    world = World(database, settings={"ADOPT": "no"})
    charge = pay(world)
    world.stripe.dashboard.create("customer", email="somebody@else.where")

    assert set(world.deliver()) == {"applied", "waiting"}

    assert content(only("charge").stripe) == content(charge)
    assert Customer.objects.count() == 0
    world.stop()


def test_an_event_in_another_api_version_is_read_at_stripe(world: World) -> None:
    charge = pay(world)
    (told,) = [json.loads(raw) for raw in world.webhooks() if b'"charge.' in raw]
    told |= {"api_version": "2020-08-27", "data": {"object": {**charge, "amount": "in another shape"}}}

    assert world.deliver([json.dumps(told).encode()]) == ["applied"]

    assert content(only("charge").stripe) == content(charge)


def test_two_events_of_one_second_look_again(world: World) -> None:
    charge = pay(world)
    world.deliver()
    shown = {**charge, "description": "of the same second"}

    assert world.deliver([event("charge.updated", shown, charge["created"])]) == ["applied"]

    assert content(only("charge").stripe) == content(charge)
    assert world.stripe.requests[-1].path == f"/v1/charges/{charge['id']}"
    assert_in_sync(world)


def test_revalidate_reads_a_mirrored_type_for_each_event(database: str) -> None:
    world = World(database, settings={"REVALIDATE": "charge,discount"})
    charge = pay(world)
    world.deliver()
    wrong = event("charge.updated", {**charge, "description": "wrong"}, charge["created"] + 60)
    unread = [event("customer.discount.updated", discount(end=end), T + end) for end in (1, 2)]

    assert world.deliver([wrong, *unread]) == ["applied"] * 3

    assert content(only("charge").stripe) == content(charge)
    assert only("discount").stripe["end"] == 2
    world.stop()


def test_a_crowd_of_first_events_makes_one_document(world: World) -> None:
    charge = {"id": "ch_1", "object": "charge", "created": T, "amount": 1}
    letters = [event("charge.updated", {**charge, "amount": number}, T + number) for number in range(8)]

    told = at_once(8, lambda number: world.deliver([letters[number]]))

    assert {state for states in told for state in states} <= {"applied", "stale"}
    assert only("charge").stripe["amount"] == 7


# --- deletion is final ---


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 0, 1)])
def test_what_was_deleted_stays_so_in_whatever_order_it_is_told(world: World, order: tuple[int, ...]) -> None:
    card = {"id": "card_1", "object": "card", "customer": "cus_1", "exp_year": 2030}
    letters = [
        event("customer.source.created", card, T),
        event("customer.source.updated", {**card, "exp_year": 2031}, SOON),
        event("customer.source.deleted", {**card, "exp_year": 2032}, SOON),
    ]

    world.deliver([letters[number] for number in order])

    assert (only("card").status, only("card").is_current) == (Status.DELETED, False)
    assert only("card").stripe["exp_year"] == 2032, "its last words are kept"
    assert only("card").due_at is None


def test_a_deletion_of_an_unknown_object_is_kept(world: World) -> None:
    stub = {"id": "txi_1", "object": "tax_id", "deleted": True}

    assert world.deliver([event("customer.tax_id.deleted", stub, SOON)]) == ["applied"]
    late = event("customer.tax_id.created", {"id": "txi_1", "object": "tax_id", "created": T}, T)
    assert world.deliver([late]) == ["applied"]

    assert only("tax_id").status == Status.DELETED


def test_a_chosen_id_may_live_again(world: World) -> None:
    first = {"id": "gold", "object": "plan", "created": T, "amount": 1}
    second = {"id": "gold", "object": "plan", "created": LATER, "amount": 2}

    world.deliver([event("plan.deleted", first, SOON), event("plan.created", second, LATER)])
    world.deliver([event("plan.created", first, T), event("plan.updated", {**first, "amount": 3}, T + 1)])

    lives = {plan.stripe["created"]: (plan.status, plan.stripe["amount"]) for plan in kinds()["plan"].objects}
    assert lives == {T: (Status.DELETED, 1), LATER: (Status.ACTIVE, 2)}


# --- what nobody can read again ---


@pytest.mark.parametrize("turned", [False, True])
def test_what_cannot_be_read_keeps_the_same_of_two_contents_of_one_second(world: World, turned: bool) -> None:
    letters = [event("customer.discount.updated", discount(end=end), SOON) for end in (1, 2, 3)]
    asked = len(world.stripe.requests)

    world.deliver([event("customer.discount.updated", discount(end=9), T)])
    world.deliver(reversed(letters) if turned else letters)

    assert only("discount").digest == max(digest(discount(end=end)) for end in (1, 2, 3)), "in any order"
    assert only("discount").due_at is None, "nobody can look again"
    assert len(world.stripe.requests) == asked


@pytest.mark.parametrize("turned", [False, True])
def test_of_what_cannot_be_read_the_creation_is_the_oldest_of_its_second(world: World, turned: bool) -> None:
    for number in range(8):  # whatever their digests
        shown = discount(id=f"di_{number}")
        letters = [
            event("customer.discount.created", shown, SOON),
            event("customer.discount.updated", {**shown, "end": number}, SOON),
        ]
        world.deliver(letters[::-1] if turned else letters)

    assert [one.stripe.get("end") for one in kinds()["discount"].objects.order_by("stripe_id")] == [*range(8)]


def test_what_cannot_be_read_is_taken_in_any_api_version(world: World) -> None:
    world.deliver([event("customer.discount.created", discount(end=5), T, api_version="2020-08-27")])

    assert only("discount").stripe["end"] == 5


# --- the full comparison ---


def full(world: World) -> Report:
    world.advance(hours=1)
    return world.reconcile(full=True)


def test_full_repairs_what_was_missed(world: World) -> None:
    known, altered = pay(world), pay(world)
    world.deliver()
    full(world)  # also of the balance transactions, of which no event tells
    world.stripe.insert("charge", {**altered, "description": "nobody was told"})  # its transaction has the same text
    missed = world.stripe.insert("charge", amount=700)

    report = full(world)

    assert (report.exit_code, report.counts["drift"], report.counts["adopt"]) == (0, 2, 1)
    kept = {charge.stripe_id: charge.stripe for charge in Charge.objects}
    assert kept[altered["id"]]["description"] == "nobody was told"
    assert kept.keys() == {known["id"], altered["id"], missed["id"]}
    assert_in_sync(world)
    assert not any(full(world).counts.values()), "there is no end to it"


def test_full_copies_types_that_no_event_told_of(world: World) -> None:
    world.reconcile()
    missed = world.stripe.insert("charge", amount=700)

    assert world.reconcile(full=True, dry=True).counts["adopt"] == 1
    assert Charge.objects.count() == 0
    report = world.reconcile(full=True)

    assert (report.exit_code, report.counts["adopt"]) == (0, 1)
    assert only("charge").stripe == missed
    assert_in_sync(world)


def test_the_comparison_of_a_first_run_reads_only_types_that_are_here(new_database: str) -> None:
    world = World(new_database)
    world.stripe.insert("charge", amount=700)

    assert world.reconcile().full

    assert Charge.objects.count() == 0
    assert "/v1/charges" not in [request.path for request in world.stripe.requests]
    world.stop()


def test_a_list_that_stripe_refuses_is_only_missed_where_documents_are(world: World) -> None:
    world.reconcile()
    assert full(world).exit_code == 0, "the emulator has no climate orders, and neither have we"

    world.deliver([event("climate.order.created", {"id": "climorder_1", "object": "climate.order", "created": T}, T)])
    report = world.reconcile(full=True)

    assert report.exit_code == 2
    assert "/v1/climate/orders" in str(report)


def test_a_plan_that_is_gone_is_marked_deleted_and_a_charge_is_left_to_a_person(world: World) -> None:
    world.reconcile()
    for kind in ("charge", "plan"):
        world.deliver([event(f"{kind}.updated", {"id": f"{kind}_gone", "object": kind, "created": T}, T)])

    first, _ = full(world), world.advance(minutes=10)
    second = full(world)

    assert (first.counts["missing"], first.counts["mark_deleted"], first.counts["review"]) == (1, 0, 1)
    assert (second.counts["mark_deleted"], second.counts["review"], second.exit_code) == (1, 1, 1)
    assert (only("plan").status, only("charge").status) == (Status.DELETED, Status.ACTIVE)


# --- the API, and what may not be done ---


def test_a_mirrored_type_is_listed_and_shown(world: World) -> None:
    charge = pay(world)
    world.deliver()
    document = only("charge")

    (listed,) = world.http.get("/charges").json["data"]
    assert (listed["id"], listed["kind"], listed["stripe_id"]) == (str(document.id), "charge", charge["id"])
    assert world.http.get(f"/charges/{document.id}").json == listed
    assert world.http.get(f"/charges/{charge['id']}?expand=stripe").json == {**listed, "stripe": document.stripe}
    assert content(document.stripe) == content(charge)
    assert world.http.get("/charges?status=deleted").json == {"data": [], "has_more": False}
    assert world.http.get("/issuing-authorizations").json == {"data": [], "has_more": False}
    problem(world.http.get("/charges/ch_unknown"), 404, "not-found")
    problem(world.http.get("/charges?status=paid"), 422, "invalid")
    problem(world.http.get("/unicorns"), 404, "not-found")


def test_a_mirrored_type_cannot_be_written(world: World) -> None:
    charge = pay(world)
    world.deliver()

    with untouched(world):
        problem(world.http.post("/charges", json={"amount": 1}), 405, "method-not-allowed")
        problem(world.http.patch(f"/charges/{charge['id']}", json={"amount": 1}), 405, "method-not-allowed")
        problem(world.http.delete(f"/charges/{charge['id']}"), 405, "method-not-allowed")
        with pytest.raises(sync.Invalid, match="only mirrored"):
            sync.create(Charge, {})
        with pytest.raises(sync.Invalid):
            sync.update(only("charge"), {"description": "ours"})
        with pytest.raises(sync.SyncError):
            sync.delete(only("charge"))
        with pytest.raises(sync.Invalid, match="only mirrored"):
            only("charge").begin({})
    assert Charge.resource.undo == ()


def test_a_type_without_a_document_has_no_collection(new_database: str) -> None:
    world = World(new_database)
    try:
        database = Customer._get_collection().database
        world.reconcile()
        before = set(database.list_collection_names())

        world.http.get("/topups")
        world.http.get(f"/topups/{ObjectId()}")
        world.reconcile()

        assert before == {"sync_state"}
        assert set(database.list_collection_names()) == before
    finally:
        world.stop()


# --- every type, and every event ---


def test_every_type_of_event_is_applied_or_ignored_with_a_reason(new_database: str) -> None:
    world = World(new_database)
    for number, type in enumerate(event_types()):
        if ignored(type):
            object = {"object": type.rpartition(".")[0]} | ({"id": "upcoming_in_1"} if "invoice" in type else {})
            assert world.send(event(type, object, T + number)).status_code == 200
            assert Event.objects.order_by("-received_at").first().reason.startswith("of a type that is not kept here: ")
        for kind in kinds_of(type):
            object = {"id": f"x_{number}", "object": kind, "created": T}
            raw = event(type, object, T + number)
            (state,) = world.deliver([raw])
            found = kinds()[kind].by_stripe_id(f"x_{number}")
            if kinds()[kind].resource.mirrored:
                assert (state, found.stripe) == ("applied", object), type
                assert found.is_current != kinds()[kind].resource.deletes(type), type
            else:  # an unknown object of a kind that we create is left for 15 minutes to whoever is making it
                assert state == "waiting", type
    world.stop()


@pytest.mark.skipif(not FIXTURES.exists(), reason="Stripe's sample objects are not beside the checkout")
def test_a_sample_of_every_object_is_kept_or_ignored_with_a_reason(new_database: str) -> None:
    samples: dict[str, dict[str, Any]] = json.loads(FIXTURES.read_text())["resources"]
    world = World(new_database)
    for name, sample in sorted(samples.items(), key=lambda one: is_deleted(one[1])):  # stubs last: they share ids
        world.advance(seconds=2)  # an account is there twice, and of one second nobody knows which is newer
        kind = str(sample["object"])
        known = kinds().get(kind)
        stem = known.resource.event_prefixes[0] if known else kind
        if known and known.resource.expand and not is_deleted(sample):
            world.stripe.insert(kind, sample)  # its event does not show all of it: it is read
        verb = "deleted" if is_deleted(sample) else "created"
        raw = event(f"{stem}.{verb}", sample, int(world.stripe.clock.now()))

        (state,) = world.deliver([raw])

        why = Event.objects(id=json.loads(raw)["id"]).get().reason
        id = sample["customer"] if kind in NAMED_BY_CUSTOMER else sample.get("id")
        if known is None or not id:
            assert state == "ignored", name
            assert why, name
        elif is_deleted(sample):
            assert state == "applied" or (state == "waiting" and not known.resource.mirrored), name
            assert state == "waiting" or known.by_stripe_id(id).status == Status.DELETED, name
        else:
            assert (state, known.by_stripe_id(id).stripe) == ("applied", kept({**sample, "id": id})), name
    world.stop()


def test_a_mirrored_document_is_never_due_for_anything(new_database: str) -> None:
    world = World(new_database)
    world.reconcile()
    world.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": T}, T)])
    world.reconcile()
    world.advance(days=20)

    assert str(world.reconcile()) == "in sync: nothing to do"
    assert_only_indexes(kinds()["payout"])
    world.stop()


def assert_only_indexes(model: type[SyncedDocument]) -> None:
    """Seven, one for the second of the creation, and one for Stripe's status: fewer questions are asked of a copy."""
    assert len(model._get_collection().index_information()) == 1 + 7 + 2
