"""Whose an object is, when a person is forgotten: by the places where Stripe says so, never by the look of an id."""

import json
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, PaymentIntent, Product, State, kinds
from stripe_mongo_sync.models.base.whose import (
    CUSTOMERS,
    ONE_PERSONS,
    PART_OF,
    USED,
    owners,
    owners_of_document,
    owners_of_event,
    uses,
)
from stripe_mongo_sync.sync.notices.deliver import deliver, relay_notices
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.mongo import our_database
from tests.support.person import traces
from tests.support.world import World

Json = dict[str, Any]
A_MINUTE = timedelta(minutes=1)
ID = "cus_1ForgottenA7"
WORDS = {"name": "Zenobia Quux", "description": "for zenobia@quux.example"}


def at(path: tuple[str, ...], value: Any) -> Json:
    """An object that has a value at a place."""
    *above, last = ("anything" if name == "*" else name for name in path)
    found: Json = {last: value}
    for name in reversed(above):
        found = {name: found}
    return found


FORMS: dict[str, Any] = {
    "an id": lambda id: id,
    "an object": lambda id: {"id": id, "object": "anything", "metadata": {"customer": "cus_other"}},
    "a list": lambda id: [{"x": 1}, id, None, 7],
    "a list of objects": lambda id: [{"id": id, "object": "anything"}],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("id", [ID, "42", "ann@example.com", "prod_1A", "a b/c"])
def test_every_place_that_names_somebody_does(id: str, form: str) -> None:
    for place in CUSTOMERS:
        remote = {"id": "xx_1", "object": "new.kind", **at(place, FORMS[form](id))}
        assert owners(remote) == {id}, place
        assert owners({**remote, "charge": "ch_1"}) == {id}, "who is named decides"
        assert owners_of_document("charge", {"stripe_id": "ch_2", "stripe": remote, "operation": None}) == {id}
        assert owners_of_event({"data": {"object": remote}}) == {id}
        staged = {"verb": "create", "params": at(place, id), "prerequisites": [{"params": {}}]}
        assert owners_of_document("charge", {"stripe_id": None, "stripe": None, "operation": staged}) == {id}
        assert owners_of_event(
            {"data": {"object": {"id": "pm_1", "customer": None}, "previous_attributes": at(place, id)}}
        ) >= {id}
    for place in PART_OF:
        remote = {"id": "xx_1", "object": "new.kind", **at(place, FORMS[form](id))}
        assert owners(remote) == {"xx_1", id}, place
        expanded = {"id": "xx_1", "object": "new.kind", **at(place, {"id": "yy_1", "customer": id})}
        assert id in owners(expanded), "an object that is shown in place of its id says whose it is"


def test_what_only_mentions_somebody_is_not_theirs() -> None:
    said = {
        "metadata": {"customer": ID, ID: ID},
        "description": ID,
        "name": ID,
        "transferred_to": ID,
        "note": {"customer": ID},
    }
    for kind, model in kinds().items():
        remote = {"id": "xx_1", "object": kind, **said, "custom_fields": [{"key": "customer", "text": {"value": ID}}]}
        assert ID not in owners(remote) | uses(remote), kind
        row = {
            "stripe_id": "xx_1",
            "stripe": remote,
            "username": ID,
            "operation": {"params": remote},
            "review_reason": ID,
        }
        assert ID not in owners_of_document(kind, row), kind
        assert ID not in owners_of_event({"data": {"object": remote, "previous_attributes": said}}), kind
        assert ID not in owners({**remote, "customer": "cus_other", "charge": ID}), "who is named decides"
        chosen = model.resource.accepts_custom_id and kind != "customer"
        assert (ID in owners({"id": ID, "object": kind})) is not chosen, "a coupon may have a customer's id"
    bob = {"id": "cus_bob", "object": "customer", **said, "default_source": ID}
    assert owners(bob) == {"cus_bob"}


def test_only_cards_accounts_and_files_are_used_by_one_alone() -> None:
    for place in USED:
        assert uses(at(place, "file_1QuittungA7")) == {"file_1QuittungA7"}, place
        assert uses(at(place, "a text")) == uses(at(place, "price_1Preis0A7")) == set()
    assert uses({"object": "customer", "customer_account": "acct_1HersA7"}) == {"acct_1HersA7"}
    assert uses({"metadata": {"payment_method": "pm_1FremdesA7"}, "description": "pm_1FremdesA7"}) == set()


@pytest.mark.parametrize("id", ["42", "zenobia@quux.example", "ch_1LooksLikeACharge", "cus_1AsAnyOtherA7"])
def test_a_person_with_a_chosen_id_is_forgotten_and_nobody_else(world: World, id: str) -> None:
    insert = world.stripe.insert
    insert("customer", id=id, name="Zenobia Quux", email="zenobia@quux.example")
    insert("customer", id=f"{id}1", name="Bob", metadata={"merged_from": id, "customer": id}, description=id)
    insert("product", id=id, name="Lamp", description=f"as {id} likes it")
    insert("coupon", id=id, name="Quarter", percent_off=25)
    world.advance(hours=1)
    backfill(["customers", "products", "coupons"], patience=Throttle(1000, pause=lambda seconds: None))
    world.stripe.dashboard.update("customer", id, phone="+44 7700 900777")
    pay = {
        "amount": 500,
        "currency": "eur",
        "receipt_email": "zenobia@quux.example",
        "description": WORDS["description"],
    }
    theirs = world.stripe.dashboard.create("payment_intent", customer=id, **pay)
    others = world.stripe.dashboard.create(
        "payment_intent",
        customer=f"{id}1",
        amount=4200,
        currency="eur",
        description=f"Hat, not of {id}",
        metadata={"of": id},
    )
    world.deliver()
    late = event("charge.succeeded", {"id": "ch_1LateA7", "object": "charge", "customer": id, **WORDS}, 1)

    done = erase(id)
    world.deliver()
    world.deliver([late])
    assert erase(id).counts == {}, "it is kept as what is erased is"
    world.advance(hours=1)
    world.reconcile(full=True)

    assert done.exit_code == 0
    left = {trace for found in traces(our_database()).values() for trace in found} - {"_secret_"}  # the other's
    assert left <= ({"zenobia", "quux"} if "zenobia" in id else set())
    assert (
        PaymentIntent.by_stripe_id(theirs["id"]).receipt_email,
        PaymentIntent.by_stripe_id(theirs["id"]).description,
    ) == (None, None)
    assert not [row.id for row in Event.objects if b"Zenobia" in row.raw or b"for zenobia" in row.raw]
    erased = [row for row in Event.objects if row.erased_at]
    assert len(erased) > 3
    assert [row.id for row in erased if "zenobia" in f"{row.object_id} {row.raw}"] == []
    assert kinds()["charge"].by_stripe_id("ch_1LateA7").stripe["description"] is None
    assert (Customer.by_stripe_id(f"{id}1").name, Customer.by_stripe_id(f"{id}1").erased_at) == ("Bob", None)
    assert PaymentIntent.by_stripe_id(others["id"]).description == f"Hat, not of {id}"
    assert (Product.by_stripe_id(id).description, kinds()["coupon"].by_stripe_id(id).name) == (
        f"as {id} likes it",
        "Quarter",
    )
    world.stripe.dashboard.update("product", id, name="Lamp 2")
    world.deliver()
    assert (Product.by_stripe_id(id).name, Product.by_stripe_id(id).erased_at) == ("Lamp 2", None)


def test_what_comes_later_of_any_kind_is_theirs_by_its_places_and_nobodys_by_a_mention(world: World) -> None:
    ann = sync.create_customer("ann@example.com")
    world.deliver()
    erase("ann@example.com")
    world.deliver()
    world.advance(minutes=1)
    at_ = int(world.stripe.clock.now())
    mention = {"metadata": {"merged_from": ann.stripe_id}, "transferred_to": ann.stripe_id}
    for number, (kind, model) in enumerate(kinds().items()):
        if not model.resource.mirrored or kind == "account":
            continue
        base = {"object": kind, "created": at_, **WORDS}
        theirs = {**base, "id": f"xx_{number}TheirsA7", **at(CUSTOMERS[number % len(CUSTOMERS)], ann.stripe_id)}
        others = {**base, "id": f"xx_{number}OthersA7", **mention, "customer": (None, "cus_1BobA7")[number % 2]}
        stem = model.resource.event_prefixes[0]
        world.deliver([event(f"{stem}.updated", remote, at_) for remote in (theirs, others)])

        assert model.by_stripe_id(theirs["id"]).erased_at is not None, kind
        assert traces_of(model.by_stripe_id(theirs["id"])) == [], kind
        kept = model.by_stripe_id(others["id"])
        assert (kept.erased_at, kept.stripe) == (None, others), kind
    rows = [row for row in Event.objects(created=at_) if b"Zenobia" in row.raw]
    assert {row.object_id[-8:] for row in rows} == {"OthersA7"}
    assert not [id for id in Erasure.objects.get().stripe_ids if "Others" in id or "Bob" in id]
    assert erase(str(ann.id)).counts == {}, "nor are they found by a search"


def traces_of(document: Any) -> list[str]:
    text = json.dumps(document.stripe).lower()
    return [trace for trace in ("zenobia", "quux") if trace in text]


def test_who_had_a_card_before_is_not_kept_in_the_event_that_says_so(world: World) -> None:
    ann = sync.create_customer("ann@example.com", name="Zenobia Quux")
    world.deliver()
    card = {"id": "pm_1GeteiltA7", "object": "payment_method", "customer": None, "type": "card", "created": 1}
    let_go = event("payment_method.detached", card, int(world.stripe.clock.now()))
    told = json.loads(let_go)
    told["data"]["previous_attributes"] = {"customer": ann.stripe_id, "billing_details": WORDS}
    raw = json.dumps(told).encode()
    for erased in (False, True):
        if erased:
            erase("ann@example.com")
            Event._get_collection().delete_one({"_id": told["id"]})
        world.deliver([raw])
        assert (b"Zenobia" in Event.objects(id=told["id"]).get().raw) is not erased
    Event._get_collection().update_one({"_id": told["id"]}, {"$set": {"raw": raw}, "$unset": {"erased_at": 1}})
    erase(str(ann.id))
    assert b"Zenobia" not in Event.objects(id=told["id"]).get().raw


@pytest.mark.parametrize("late", [False, True])
def test_what_was_let_go_by_a_person_is_theirs_whenever_that_is_told(world: World, late: bool) -> None:
    """To delete a customer detaches their cards, so that events which tell of it come after the erasure."""
    for id in ("42", "421"):
        world.stripe.insert("customer", id=id, name="Zenobia Quux")
    world.advance(hours=1)
    backfill(["customers"], patience=Throttle(1000, pause=lambda seconds: None))
    at_ = int(world.stripe.clock.now())
    shown = {"object": "payment_method", "type": "card", "created": at_, "billing_details": {"name": "Zenobia Quux"}}
    whose = {"theirs": ("42", None), "another's": ("421", None), "given on": ("42", "421")}
    ids = {f"{prefix}1Let{number}GoA7": name for prefix in ONE_PERSONS for number, name in enumerate(whose)}
    raws = []
    for id, name in ids.items():
        before, now = whose[name]
        told = json.loads(event("payment_method.detached", {**shown, "id": id, "customer": now}, at_))
        told["data"]["previous_attributes"] = {"customer": before}
        raws.append(json.dumps(told).encode())

    if late:
        erase("42")
    world.deliver(raws)
    if not late:
        erase("42")

    for id, name in ids.items():
        kept = kinds()["payment_method"].by_stripe_id(id)
        assert (kept.erased_at is not None) is (name == "theirs"), (id, name)
        assert ("Zenobia" in str(kept.stripe)) is (name != "theirs"), (id, name)


def test_no_reading_of_lists_keeps_its_place_by_a_chosen_id_of_who_was_forgotten(world: World) -> None:
    for number, id in enumerate(("aaa", "zenobia@quux.example", "cus_1GivenByStripeA7")):
        world.stripe.insert("customer", id=id, created=1_700_000_000 + number)
    world.advance(hours=1)
    patience = Throttle(1000, pause=lambda seconds: None)
    backfill(["customer"], patience=patience)

    for id, stays in (("zenobia@quux.example", False), ("cus_1GivenByStripeA7", True)):
        walks = [{"owner": "customer", "mark": {"id": id, "born": 1, "asked": 0}, "asked": 2, "done": False}]
        places = {"walks": walks, "parts": walks, "began_at": 1, "events_from": 1}
        names = ("owners", "backfill", "backfill customer", "backfill since 7")
        for name in names:
            State.write(name, places)
        State.write("installation", {"id": id})  # what is no place is no matter of it

        erase(id)

        assert [State.read(name) is not None for name in (*names, "installation")] == [stays] * 4 + [True]


# --- what hooks say ---


def quoting(notice: sync.Notice) -> None:
    raise ValueError("550 no such user zenobia@quux.example")


def test_what_a_hook_says_after_the_erasure_is_of_which_class_it_is_and_where_it_was(world: World) -> None:
    """It knows the person by itself: by the id of a document that shows nothing any more."""
    with listening("customer.*", "stripe:*", then=quoting):
        sync.create_customer("zenobia@quux.example")
        world.deliver()
        deliver()
        assert any("550" in (row.reason or "") for row in Delivery.objects)

        erase("zenobia@quux.example")
        world.deliver()
        for _ in range(4):
            world.advance(hours=6)
            deliver()

    rows = list(Delivery.objects)
    assert {row.name for row in rows} >= {"customer.active", "customer.deleted", "stripe:customer.deleted"}
    assert traces(our_database(), "no such user") == {}
    assert all("ValueError at test_erase_whose.py:" in row.reason for row in rows)


@pytest.mark.parametrize("ending", ["fail", "die", "succeed"])
def test_an_attempt_that_ends_after_the_erasure_writes_nothing_of_them(world: World, ending: str) -> None:
    with listening("stripe:customer.created"):
        customer = sync.create_customer("zenobia@quux.example")
        world.deliver()
        relay_notices()
    running = Delivery.objects.get().claim_attempt(A_MINUTE)
    erase(str(customer.id))

    match ending:
        case "fail":
            running.fail("550 zenobia", A_MINUTE, bare="ValueError")
        case "die":
            running.mark_dead("550 zenobia", bare="ValueError")
        case "succeed":
            running.succeed("given up; 550 zenobia", bare="ValueError")

    assert Delivery.objects.get().reason == "ValueError"
    assert traces(our_database()) == {}


def test_a_refusal_that_comes_after_the_erasure_is_kept_without_its_words(world: World) -> None:
    customer = sync.create_customer("zenobia@quux.example")
    intent, _ = sync.create(PaymentIntent, {"amount": 500, "currency": "eur", "customer": str(customer.id)})
    world.deliver()
    erase(str(customer.id))

    problem = {"type": "card_error", "code": "card_declined", "message": "no card of zenobia@quux.example", "key": None}
    moved = intent.fetch_latest().update_if_unchanged(error=problem)

    assert (moved.error.code, moved.error.message) == ("card_declined", "erased")
    assert traces(our_database()) == {}


def test_an_unknown_row_is_not_named(world: World) -> None:
    """What has no id at all is nobody's."""
    assert owners({}) == owners_of_event({}) == owners_of_event({"data": {"object": "x"}}) == set()
    assert owners_of_document("order", {"_id": ObjectId(), "operation": None, "stripe": None}) == set()
