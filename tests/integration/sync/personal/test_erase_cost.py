"""What an erasure costs: every row names whose it is, so that only what the person has is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Event, PaymentIntent, State, present_kinds
from stripe_mongo_sync.models.base.whose import NOBODY
from stripe_mongo_sync.models.erasure import rows_of
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import MIGRATIONS
from stripe_mongo_sync.sync.notices.deliver import deliver
from stripe_mongo_sync.sync.personal import persons
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.personal.persons import Model, owners_of, personal_rows, right_owners
from stripe_mongo_sync.sync.runs.migrations import migrate
from stripe_mongo_sync.sync.runs.progress import no_progress
from tests.support import person
from tests.support.answers import untouched
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.mongo import our_database
from tests.support.person import traces
from tests.support.run import Run
from tests.support.scenes import begin
from tests.support.world import World

Json = dict[str, Any]
COPIES = 200


def stored() -> Iterator[tuple[Model, Json]]:
    """Every row that an erasure searches."""
    models: list[Model] = [*having(present_kinds().values(), {}), Event, Delivery]
    return ((model, row) for model in models for row in rows_of(model))


def heard(world: World) -> Customer:
    """A person who has something of every kind, beside somebody else; a hook heard of all of it."""
    with listening("customer.*", "order.*", "stripe:*"):
        paid = {"id": "ch_1OtherA7", "object": "charge", "customer": sync.create_customer("other@here.com").stripe_id}
        customer = person.live(world)
        world.deliver([event("charge.succeeded", paid, 1), event("balance.available", {"object": "balance"}, 1)])
        deliver()
    return customer


def as_an_older_version_wrote_them() -> None:
    for model, _ in list(stored()):
        model._get_collection().update_many({}, {"$unset": {"owners": ""}})
    done = State.read(MIGRATIONS) or {}
    State.write(MIGRATIONS, {"done": [name for name in done["done"] if name != "owners"], "place": None})


def multiply(times: int) -> int:
    """Copy each row of others this many times, with owners that are nobody's else; return how many copies there are."""
    theirs, count = erased_by_now(), 0
    for model, row in list(stored()):
        if row["_id"] not in theirs:
            own = {"creation_key": None, "username_key": None, "id_key": None, "request": None, "due_at": None}
            copies = [
                {**row, **own, "_id": type(row["_id"])(f"{ObjectId()}"), "stripe_id": f"{row.get('stripe_id')}{n}"}
                for n in range(times)
            ]
            model._get_collection().insert_many(copies)
            count += times
    return count


def erased_by_now() -> set[Any]:
    found = personal_rows({Customer.by_username(person.USERNAME).id}, set())
    return {*found.events, *found.deliveries, *(id for ids in found.documents.values() for id in ids)}


@contextmanager
def profiled() -> Iterator[list[Json]]:
    """What MongoDB did for the block: one entry for each command."""
    database, told = our_database(), list[Json]()
    database.create_collection("system.profile", capped=True, size=2**25)
    database.command("profile", 2)
    try:
        yield told
    finally:
        database.command("profile", 0)
    told += database["system.profile"].find({"ns": {"$not": {"$regex": "system"}}})
    database.drop_collection("system.profile")


def test_a_run_after_an_erasure_examines_what_the_person_has_whatever_else_there_is(world: World) -> None:
    begin(world, heard)
    world.advance(hours=1)
    world.converge()
    theirs, others = len(erased_by_now()), multiply(COPIES)
    assert others > 40 * theirs

    with profiled() as told:
        erase(person.USERNAME)
        world.deliver()
        world.advance(minutes=16)
        assert world.reconcile().counts["failed"] == 0
        world.advance(minutes=16)
        world.reconcile()

    searched = {model._get_collection().full_name for model, _ in stored()}
    asked = [each for each in told if each["ns"] in searched]
    assert sum("owners" in str(each["command"]) for each in asked) > 20, "it searched"
    assert [each for each in asked if each["op"] != "command" and "COLLSCAN" in each.get("planSummary", "")] == []
    examined = sum(each.get("docsExamined", 0) for each in told)
    assert examined < 15 * theirs, f"{examined} of {others} for a person who has {theirs}"
    assert traces(our_database()) == {}


def test_rows_of_an_older_version_are_found_before_any_run_has_migrated_them(world: World, run: Run) -> None:
    begin(world, heard)
    assert len({model for model, _ in stored()}) > 10
    found = run("erase --dry-run", person.USERNAME)[1]["counts"]
    as_an_older_version_wrote_them()

    with untouched(world):
        assert run("erase --dry-run", person.USERNAME)[1]["counts"] == found
    erase(person.USERNAME)
    world.deliver()

    assert traces(our_database()) == {}
    assert [(model, row) for model, row in stored() if right_owners(model, row)] == [], (
        "the next one need not read them"
    )


def test_migrate_gives_old_rows_their_owners_wherever_it_dies(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    world = lives.world
    with listening("stripe:customer.*"):
        person.buys(world)
        deliver()
    world.converge()
    before = {(model, row["_id"]): row["owners"] for model, row in stored()}
    as_an_older_version_wrote_them()

    for death in lives.deaths(partial(migrate, no_progress), least=len(before), at=lambda effect: effect % 7 == 0):
        migrate(no_progress)

        assert {(model, row["_id"]): row["owners"] for model, row in stored()} == before, death
        assert "owners" in State.read(MIGRATIONS)["done"]
    assert_in_sync(world)


def test_what_is_staged_for_a_person_is_theirs_before_stripe_has_it(world: World, run: Run) -> None:
    """An update gives a payment to them; until its outcome is known, nothing but its parameters says so."""
    customer = sync.create_customer(person.USERNAME)
    nobodys, _ = sync.create(PaymentIntent, {"amount": 500, "currency": "eur"})
    world.deliver()
    assert nobodys.fetch_latest().owners == [nobodys.stripe_id]
    world.stripe.fault("cut_before", method="POST", times=4)

    sync.update(nobodys, {"customer": str(customer.id)})
    assert nobodys.fetch_latest().owners == [customer.stripe_id]
    world.stripe.dashboard.update("payment_intent", nobodys.stripe_id, description="of nobody")
    world.deliver()  # content that does not name them yet
    born, _ = sync.create(PaymentIntent, {"amount": 700, "currency": "eur", "customer": str(customer.id)})

    assert [each.fetch_latest().owners for each in (nobodys, born)] == [[customer.stripe_id]] * 2
    waiting = run("erase", person.USERNAME)[1]["waiting_for"]
    assert len([told for told in waiting if "payment_intent" in told]) == 2
    world.converge()
    assert_in_sync(world)


def test_no_owner_who_chose_their_id_is_named_by_any_row_afterwards(world: World) -> None:
    """Their id is an address: it stays on their own document and erasure, by which they are recognized."""
    id = "zenobia@quux.example"
    world.stripe.insert("customer", id=id)
    world.advance(hours=1)
    world.reconcile(full=True)
    key = {"id": "bps_1A7", "object": "billing_portal.session", "customer": id, "url": "https://x.example/_secret_"}
    theirs = {"id": "pm_1DetachedA7", "object": "payment_method", "customer": None, "created": 1}
    told = json.loads(event("payment_method.detached", theirs, 1))
    told["data"]["previous_attributes"] = {"customer": id}
    charge = {"id": "ch_1LateA7", "object": "charge", "customer": id}
    bodies = [event("billing_portal.session.created", key, 1), event("charge.succeeded", charge, 1), json.dumps(told)]
    with listening("stripe:*"):
        world.deliver([raw if isinstance(raw, bytes) else raw.encode() for raw in bodies])
        deliver()
    assert len([row for _, row in stored() if id in row["owners"]]) > 5

    erase(id)
    world.deliver()

    named = [(model, row["_id"]) for model, row in stored() if id in row["owners"]]
    assert named == [(Customer, Customer.by_stripe_id(id).id)]


def test_a_body_that_is_no_json_is_theirs_whom_it_quotes_and_read_once(world: World) -> None:
    customer = sync.create_customer(person.USERNAME, name=person.NAME)
    world.deliver()
    known = f'{{"customer":"{customer.stripe_id}"}}Zenobia Quux, "ü", "not\n", "{{'.encode()
    rows = {"evt_theirs": known, "evt_others": b'"cus_1Other" Bob', "evt_much": b'"a","b"' * 1 + many()}
    at = {"type": "customer.updated", "state": "dead", "attempts": 1, "due_at": None}
    Event._get_collection().insert_many([{"_id": id, "raw": raw, **at} for id, raw in rows.items()])

    erase(person.USERNAME)

    kept = {row.id: row.raw for row in Event.objects if row.id in rows}
    assert [id for id in rows if kept[id] != rows[id]] == ["evt_theirs"]
    assert Event.objects(id="evt_others").get().owners == ["cus_1Other"]
    assert Event.objects(id="evt_much").get().owners == [], "it would name too many: it is read each time"
    assert traces(our_database()) == {}


def many() -> bytes:
    return b" ".join(b'"cus_%d"' % number for number in range(persons.MOST))


def test_who_has_no_owner_says_so(world: World) -> None:
    """An index has an empty list among the rows that lack it, which every search reads."""
    world.stripe.dashboard.create("product", name="Lamp")
    world.deliver()
    world.deliver([event("balance.available", {"object": "balance"}, 1)])

    told = {row["_id"]: row["owners"] for model, row in stored() if not owners_of(model, row)}

    assert len(told) > 2
    assert [*told.values()] == [[NOBODY]] * len(told)
