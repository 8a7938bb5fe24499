"""Who is meant by a text: a name is nobody's id, an id is nobody's name, and names that look the same are one."""

from collections.abc import Callable
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Status
from stripe_mongo_sync.models.state import ALIKE, State
from stripe_mongo_sync.models.username import fold, folded_before
from stripe_mongo_sync.sync.errors import NotPossible
from stripe_mongo_sync.sync.operator.findings import Level
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.shop.customers import customer_of
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import samples
from tests.support.answers import problem, untouched
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.world import World

ID = "Ann@Old.example"  # a customer's id could be chosen until 2018, and processors are left with their ids


def by_webhook(world: World) -> None:
    world.stripe.dashboard.update("customer", ID, description="seen")
    world.deliver()
    world.advance(minutes=20)
    world.reconcile()


def by_backfill(world: World) -> None:
    world.advance(hours=1)
    backfill(patience=Throttle(1000, pause=lambda seconds: None))


def by_comparison(world: World) -> None:
    world.advance(hours=1)
    world.reconcile(full=True)


ARRIVALS: dict[str, Callable[[World], None]] = {"webhook": by_webhook, "backfill": by_backfill, "full": by_comparison}


def arrives(world: World, way: str = "webhook") -> Customer:
    """Victoria, whose id was chosen by an earlier processor, is adopted."""
    world.stripe.insert("customer", id=ID, name="Victoria", email="victoria@here.com")
    ARRIVALS[way](world)
    found = Customer.by_stripe_id(ID)
    assert found is not None
    assert found.username is None
    return found


@pytest.mark.parametrize("way", ARRIVALS)
def test_a_name_that_is_a_known_id_is_refused(world: World, way: str) -> None:
    arrives(world, way)
    mallory = sync.create_customer("mallory@here.com")
    world.deliver()

    with untouched(world):
        for name in (ID, ID.lower(), "ＡＮＮ@old.example"):
            problem(world.http.post("/customers", json={"username": name}), 409, "already-exists")
            problem(world.http.patch(f"/customers/{mallory.id}", json={"username": name}), 409, "already-exists")
            with pytest.raises(sync.AlreadyExists):
                sync.create_customer(name)
    assert world.http.get(f"/customers/{ID}").json["name"] == "Victoria", "over HTTP she has no other name"
    problem(world.http.get(f"/customers/{ID.lower()}"), 404, "not-found")


def test_python_takes_no_chosen_id_for_a_username(world: World) -> None:
    victoria, items = arrives(world), samples.items("x")

    with untouched(world):
        for call in (lambda: customer_of(ID), lambda: sync.set_payment_method(ID, "pm_card_visa")):
            with pytest.raises(sync.NotFound):
                call()
        with pytest.raises(sync.Invalid, match="no such customer"):
            sync.create_order(ID, items, "payment_intent")
    assert customer_of(str(victoria.id)).id == victoria.id


def test_the_id_of_a_customer_may_be_their_own_name_and_is_free_when_they_are_gone(world: World) -> None:
    victoria = arrives(world)
    named = world.http.patch(f"/customers/{ID}", json={"username": ID})
    assert (named.status_code, named.json["id"]) == (200, str(victoria.id))
    assert customer_of(ID).id == victoria.id
    assert world.http.delete(f"/customers/{ID}").status_code == 200
    world.deliver()

    assert world.http.post("/customers", json={"username": ID}).status_code == 201


@pytest.mark.parametrize("way", ["webhook", "backfill"])
def test_an_id_that_is_a_known_name_is_reached_by_the_document_s_id(world: World, way: str) -> None:
    mallory = sync.create_customer(ID.lower(), idempotency_key="k", name="Mallory")
    world.deliver()
    victoria, items = arrives(world, way), samples.items("x")
    card = str(samples.create("payment_method").id)

    for name in (ID, ID.lower()):
        assert customer_of(name).id == mallory.id
        assert world.http.get(f"/customers/{name}").json["name"] == "Mallory"
        order = sync.create_order(name, items, "payment_intent")
        assert order.customer == mallory.stripe_id
        assert sync.set_payment_method(name, card).id == mallory.id
        bill = world.http.post("/invoices", json={"customer": name})
        assert bill.json["customer"] == mallory.stripe_id
        assert world.http.post(f"/customers/{name}/portal", json={}).status_code == 201
        asked = world.stripe.requests[-1]
        assert (asked.path, asked.params["customer"]) == ("/v1/billing_portal/sessions", mallory.stripe_id)
        assert erase(name, dry=True).would_delete == mallory.stripe_id
    assert world.http.get(f"/customers/{victoria.id}").json["name"] == "Victoria"
    assert customer_of(str(victoria.id)).id == victoria.id
    again, repeated = sync.create(Customer, {"username": ID.lower(), "name": "Mallory"}, idempotency_key="k")
    assert (again.id, repeated) == (mallory.id, True), "a repetition is answered as before"

    assert world.http.delete(f"/customers/{ID}").json["name"] == "Mallory"
    world.deliver()
    assert victoria.fetch_latest().status == Status.ACTIVE
    assert world.http.get(f"/customers/{ID}").json["name"] == "Victoria", "now it is nobody's name"
    with untouched(world), pytest.raises(NotPossible, match=str(victoria.id)):
        erase(ID)  # Mallory had that name, and nobody is forgotten by a guess
    assert erase(str(victoria.id)).id == victoria.id


def test_an_id_as_stripe_gives_it_names_an_adopted_customer_at_every_door(world: World) -> None:
    id = world.stripe.dashboard.create("customer", name="Ada")["id"]
    world.deliver()
    adopted, items = Customer.by_stripe_id(id), samples.items("x")
    assert adopted is not None

    for name in (id, str(adopted.id)):
        assert customer_of(name).name == "Ada"
        assert world.http.get(f"/customers/{name}").json["name"] == "Ada"
        assert sync.create_order(name, items, "payment_intent").customer == id
    with untouched(world):
        for name in (id, id.upper(), f"{id}\u200b", f" {id}"):
            problem(world.http.post("/customers", json={"username": name}), 422, "invalid")


UNSEEN = ["\u200b", "\u00ad", "\ufeff", "\u3164", "\u202e", "\u2060", "\ufe0f", "\U000e0041", "\u2800", " ", "\u00a0"]


def test_what_looks_the_same_is_no_second_customer(world: World) -> None:
    ann = sync.create_customer("ann@here.com")
    world.deliver()
    with untouched(world):
        for unseen in UNSEEN:
            for odd in (f"ann@here.com{unseen}", f"{unseen}ann@here.com"):
                told = problem(world.http.post("/customers", json={"username": odd}), 422, "invalid")
                assert "leave it out" in told["errors"]["username"]
                assert customer_of(odd).id == ann.id, "who is looked for is found"
        told = problem(
            world.http.post("/customers", json={"username": "b", "email": "b\u200bob@x.com"}), 422, "invalid"
        )
        assert list(told["errors"]) == ["email"]


# --- what an older version stored ---


def as_stored_before(world: World, *names: str) -> list[Customer]:
    """Customers as the upgrade to 0.2 left them: before, what cannot be seen had made a difference."""
    made = [sync.create_customer(f"user{number}@here.com") for number, _ in enumerate(names)]
    world.deliver()
    taken = set[str]()
    for customer, name in zip(made, names, strict=True):
        key = fold(name) or folded_before(name)
        if key in taken:
            key = folded_before(name)
            State.add(ALIKE, "ids", customer.id)
        taken.add(key)
        stored = {"username": name, "username_key": key}
        our_database().customers.update_one({"_id": customer.id}, {"$set": stored})
    return [customer.fetch_latest() for customer in made]


def usernames() -> list[str]:
    return [found.message for found in status().findings if found.check == "usernames" and found.level == Level.WARNING]


def test_old_names_that_look_the_same_stay_two_customers_who_are_both_found_and_told_of(world: World) -> None:
    old = as_stored_before(world, "ann@here.com", "Ann@here.com\u200b", "\u00adbob", "b\u200bob", "eve ", "\u200b")
    ann, other, bob, second, eve, blank = old

    def found() -> list[Any]:
        return [customer_of(str(each.username)).id for each in old]

    everybody = [each.id for each in old]
    assert found() == everybody
    assert customer_of("ann@here.com").id == ann.id
    assert customer_of("bob").id in (bob.id, second.id)
    assert customer_of("EVE").id == eve.id
    assert eve.fetch_latest().username_key == "eve"
    (told,) = usernames()
    assert str(other.id) in told
    assert (str(bob.id) in told) != (str(second.id) in told)
    assert not any(str(each.id) in told for each in (ann, eve, blank))
    for name in ("ann@here.com", "bob", "eve"):
        with pytest.raises(sync.AlreadyExists):
            sync.create_customer(name)
    assert [each.fetch_latest().username for each in old] == [each.username for each in old], "nothing is lost"

    apart = second if str(second.id) in told else bob
    for customer, name in ((other, "other@here.com"), (apart, "bob2")):
        sync.update(customer.fetch_latest(), {"username": name})
    assert usernames() == []
    assert_in_sync(world)


def test_an_erasure_takes_no_earlier_life_of_a_name_that_only_looks_the_same(world: World) -> None:
    ann, other = as_stored_before(world, "ann@here.com", "ann@here.com\u200b")
    sync.delete(ann)
    world.deliver()
    world.reconcile()

    erase(str(other.id))

    assert ann.fetch_latest().erased_at is None
    assert other.fetch_latest().erased_at is not None
