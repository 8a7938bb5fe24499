"""A database that version 0.2 wrote becomes this version's: at once where it is used, all of it by `migrate`."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Customer, Erasure, Event, Status, kinds
from stripe_mongo_sync.models.rows import clock, formerly
from stripe_mongo_sync.models.rows.formerly import DELIVERIES, DOCUMENTS, ERASURES, EVENTS, Names
from stripe_mongo_sync.models.rows.own_rows import indexes_in_all
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER, MIGRATIONS, SCHEMA, State
from stripe_mongo_sync.sync.database.indexes import gaps
from stripe_mongo_sync.sync.database.schema import MIGRATED, NUMBER, OF_0_2
from stripe_mongo_sync.sync.engine.observations import existence_of
from stripe_mongo_sync.sync.engine.undo import CircuitBreaker
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs import migrations
from stripe_mongo_sync.sync.runs.progress import no_progress
from tests.support import older
from tests.support.answers import at_once
from tests.support.hooks import forgotten
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.mongo import our_database
from tests.support.run import Run
from tests.support.samples import create
from tests.support.world import World

Json = dict[str, Any]
SOME = ("sync_state", "customers", "coupons", "orders", "stripe_events", "hook_deliveries", "erasures")
FEW = ("sync_state", "customers", "erasures")
OTHERS = {"stripe_events": EVENTS, "hook_deliveries": DELIVERIES, "erasures": ERASURES}


def names_of(collection: str) -> Names:
    return OTHERS.get(collection, DOCUMENTS)


def rows(database: Database[Any]) -> dict[tuple[str, Any], Json]:
    found = (name for name in database.list_collection_names() if name != "sync_state")
    return {(name, row["_id"]): row for name in found for row in database[name].find()}


def paths(row: Json) -> set[str]:
    """Return the fields of a row, and those of its operation, its undo and its request."""
    parts = {name: row[name] for name in ("operation", "undoing", "request") if isinstance(row.get(name), dict)}
    return {*row} | {f"{name}.{inner}" for name, part in parts.items() for inner in part}


def of_older_version(database: Database[Any]) -> list[tuple[str, Any]]:
    return [key for key, row in rows(database).items() if not paths(row).isdisjoint(names_of(key[0]).gone)]


@pytest.fixture
def old(new_database: str) -> Iterator[Callable[[], World]]:
    """A shop of version 0.2, and what starts this version on it."""
    yield from starts(new_database, older.restore(new_database))


@pytest.fixture
def few(new_database: str) -> Iterator[Callable[[], World]]:
    """The customers of such a shop alone: a start builds the indexes of few collections."""
    yield from starts(new_database, older.restore(new_database, only=FEW))


def starts(database: str, stripe: Emulator) -> Iterator[Callable[[], World]]:
    started: list[World] = []

    def start() -> World:
        started.append(World(database, stripe=stripe))
        return started[-1]

    yield start
    for world in started:
        world.stop()


@pytest.fixture
def before(old: Callable[[], World], new_database: str) -> dict[tuple[str, Any], Json]:
    """The rows as that version left them."""
    with MongoClient[Any](new_database, tz_aware=True) as client:
        return rows(client.get_default_database())


def migrated(world: World, run: Run) -> Json:
    code, told = run("migrate")
    assert (code, told["failed"]) == (0, {})
    world.start()
    return dict(told)


# --- all of it ---

# Parameters that are no fields, and that an older version stored: they stay, and nothing reads them.
GONE = {"line_items", "payment_intent_data", "subscription_data", "pending_invoice_items_behavior", "confirm"}
GONE |= {"off_session", "return_url", "trial_period_days", "payment_behavior", "proration_behavior", "days_until_due"}


def test_every_row_is_as_this_version_would_have_stored_it(
    old: Callable[[], World], before: dict[tuple[str, Any], Json], run: Run, world: World
) -> None:
    """As far as names go, a shop that lived the same here says what that is; every value is kept."""
    with forgotten():
        older.arrange(world)
    ours = {name: set[str]() for name, _ in rows(our_database())}
    for (name, _), row in rows(our_database()).items():
        ours[name] |= paths(row)
    world.stop()
    shop = old()

    migrated(shop, run)

    after = rows(our_database())
    assert after.keys() == before.keys()
    for (name, id), row in after.items():
        assert paths(row) - GONE <= ours[name], (name, paths(row) - ours[name])
        was, new = before[name, id], {v: k for k, v in names_of(name).fields.items()}
        for field, value in row.items():
            if field in ("operation", "undoing", "request") and value is not None:
                inner = names_of(name).parts[field]
                assert value == {inner.get(part, part): told for part, told in was[field].items()}
            elif field not in ("leased_until", "due_reason", "owners", "creation_key") or name not in OTHERS:
                known = was.get(new.get(field, field))
                assert value == known or field in ("leased_until", "due_reason", "owners"), (name, id, field)
        assert (row["due_at"] is None) == (row["due_reason"] is None)
        assert "owners" in row or name == "erasures"
    keys = {id: row.get("creation_key") for (name, id), row in after.items() if name == "stripe_events"}
    assert [key for key in keys.values() if key], "events say which key made their object"


def test_afterwards_nothing_of_the_older_version_is_left(old: Callable[[], World], run: Run) -> None:
    shop = old()

    told = migrated(shop, run)

    assert of_older_version(our_database()) == []
    assert told["rewritten"]["names"] > 50
    assert not [gap for gap in gaps(sync.current().settings) if gap.lacking]
    for name in our_database().list_collection_names():
        fields = {field for index in our_database()[name].index_information().values() for field, _ in index["key"]}
        assert fields.isdisjoint(names_of(name).gone), name
    known = State.read(SCHEMA)
    assert (known["number"], known["indexes"]) == (NUMBER, indexes_in_all()), "the next start asks for no index"
    assert not formerly.UPGRADE
    assert run("migrate")[1]["rewritten"] == dict.fromkeys(MIGRATED, 0)


def test_a_full_comparison_finds_nothing_and_all_that_was_open_ends(old: Callable[[], World], run: Run) -> None:
    shop = old()
    migrated(shop, run)

    full = shop.reconcile(full=True)

    assert full.counts["drift"] == 0, full
    assert_all_ends(shop)


def assert_all_ends(shop: World) -> None:
    """Assert that what 0.2 had begun ends as it would have there; a person decides about what waits for one."""
    for coupon in shop.documents():
        if coupon.review_reason is not None:
            sync_decides(coupon)
    Event.objects(state="dead")
    shop.deliver()
    shop.converge()
    shop.advance(hours=3)
    shop.converge()
    assert_in_sync(shop, review=True)
    unheard = Customer.objects.get(username="unheard@here.com")
    assert (unheard.status, unheard.operation) == (Status.ACTIVE, None), "the key of the creation was sent again"
    late = Customer.objects.get(username="late@here.com")
    assert (late.orphans, len(late.undone_orphans)) == ([], 1)
    assert Event.objects.get(id="evt_received").state != "received"
    assert {erasure.due_at for erasure in Erasure.objects} == {None}, "checked once more, and complete"


def sync_decides(document: Any) -> None:
    assert document.requeue("operator") is not None


# --- where it is used, before ---


def test_before_that_every_door_works(old: Callable[[], World], run: Run) -> None:
    shop = old()
    assert formerly.UPGRADE

    listed = shop.http.get("/customers").json["data"]
    assert {"ada@here.com", "bob@here.com", "zed@here.com"} <= {each["username"] for each in listed}
    assert shop.http.post("/customers", json={"username": "ada@here.com"}).status_code == 409
    again = shop.http.post("/customers", json={"username": "bob@here.com"}, headers={"Idempotency-Key": "key of bob"})
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    ada = Customer.by_username("ada@here.com")
    assert ada is not None
    sync.update(ada, {"name": "Ada L."})
    shop.stripe.dashboard.update("customer", ada.stripe_id, phone="+44 7700 900777")
    shop.deliver()
    assert (ada.fetch_latest().name, ada.fetch_latest().phone) == ("Ada L.", "+44 7700 900777")
    assert any("`stripe-mongo-sync migrate`" in told for told in run("status")[1]["warnings"])
    shop.start()
    assert shop.reconcile().counts["failed"] == 0
    erase("zed@here.com")
    assert shop.reconcile(full=True).counts["drift"] == 0

    migrated(shop, run)
    assert_all_ends(shop)
    assert of_older_version(our_database()) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"is_current": True}, ["ada@here.com", "bob@here.com", "zed@here.com"]),
        ({"review_reason": None, "status": "active"}, ["ada@here.com"]),
        ({"due_at__ne": None}, ["unheard@here.com", "late@here.com"]),
        ({"operation__outcome_unknown": True}, ["unheard@here.com"]),
        ({"request__key": "key of bob"}, ["bob@here.com"]),
    ],
)
def test_a_query_finds_what_is_not_upgraded_yet(few: Callable[[], World], query: Json, named: list[str]) -> None:
    few()

    found = {customer.username for customer in Customer.objects(**query)}

    assert {*named} <= found
    assert Customer.objects(**query).count() == len(list(Customer.objects(**query)))


def test_a_page_upgrades_only_what_it_shows(few: Callable[[], World]) -> None:
    few()
    left = our_database().customers.count_documents({"live": {"$exists": True}})

    newest = list(Customer.objects.order_by("-is_current", "-created_at").limit(2))

    assert [customer.is_current for customer in newest] == [True, True]
    assert our_database().customers.count_documents({"live": {"$exists": True}}) == left - 2


def test_an_open_circuit_breaker_stays_open(few: Callable[[], World], new_database: str) -> None:
    with MongoClient[Any](new_database) as client:
        client.get_default_database().sync_state.insert_one({"_id": "latch", "value": {"cap": 20}})

    few()

    assert CircuitBreaker().is_open
    assert (State.read(CIRCUIT_BREAKER) or {})["cap"] == 20
    assert State.read("latch") is None


def test_who_was_erased_is_known_from_the_first_moment(few: Callable[[], World]) -> None:
    shop = few()
    (erasure,) = Erasure.objects
    erased = next(id for id in erasure.stripe_ids if id.startswith("cus_"))

    assert Erasure.concerns({erased})
    assert shop.reconcile().counts["failed"] == 0
    assert Customer.by_stripe_id(erased).name is None


@pytest.mark.parametrize("way", ["staged", "adopted", "adopted with others"])
def test_what_is_not_upgraded_yet_keeps_its_unique_values(few: Callable[[], World], way: str) -> None:
    few()
    ada = our_database().customers.find_one({"username": "ada@here.com"}) or {}
    assert "live" in ada, "nobody asked for her yet"
    seen = existence_of(ada["stripe_id"], "a test")

    match way:
        case "adopted with others":
            assert Customer.adopt_many([seen], clock.now()) == [seen]
        case "adopted":
            with pytest.raises(DuplicateKeyError):
                Customer.adopt(seen)
        case _:
            named = {"username": "ada@here.com", "username_key": ada["username_key"]}
            operation = {"verb": "create", "path": "", "params": {}, "key": "another"}
            with pytest.raises(DuplicateKeyError):
                Customer.stage(named, operation, id=ObjectId(), request=None)


def test_several_may_do_it_at_once_beside_a_service(old: Callable[[], World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "BATCH", 10)
    shop = old()

    def act(number: int) -> None:
        if number < 2:
            migrations.migrate(no_progress)
        else:
            sync.update(sync.create_customer(f"new{number}@here.com"), {"name": "Another"})

    at_once(6, act)

    assert of_older_version(our_database()) == []
    assert {*MIGRATED} <= {*State.read(MIGRATIONS)["done"]}
    assert Customer.objects(name="Another").count() == 4
    assert_all_ends(shop)


# --- who may, and when ---


def test_the_older_version_refuses_a_database_that_was_begun(few: Callable[[], World]) -> None:
    """It refuses every number of a schema above its own, which was 1."""
    few()

    assert State.read(SCHEMA)["number"] == NUMBER > 1


@pytest.mark.parametrize("schema", [None, {"of": "x", "whole": [], "indexes": 0}])
def test_a_database_that_0_2_has_not_migrated_is_refused_unchanged(
    few: Callable[[], World], new_database: str, schema: Json | None
) -> None:
    with MongoClient[Any](new_database, tz_aware=True) as client:
        states = client.get_default_database().sync_state
        states.update_one({"_id": MIGRATIONS}, {"$set": {"value.done": [*OF_0_2][:-1]}})
        states.delete_one({"_id": SCHEMA})
        if schema is not None:
            states.insert_one({"_id": SCHEMA, "value": schema})
        was = rows(client.get_default_database()), list(states.find())

        with pytest.raises(BadSettings, match=r"before 0\.2.*`reconcile` of version 0\.2"):
            few()

        assert (rows(client.get_default_database()), list(states.find())) == was


def test_a_process_that_began_before_the_end_hears_of_it(few: Callable[[], World]) -> None:
    shop = few()
    assert formerly.UPGRADE

    State.add(MIGRATIONS, "done", "names")
    shop.advance(minutes=2)

    assert not formerly.UPGRADE


def test_wherever_it_dies_it_goes_on(new_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies before each write from the start of this version on, and between the batches."""
    monkeypatch.setattr(migrations, "BATCH", 25)
    with MongoClient[Any](new_database) as client:
        database = client.get_default_database()
        lives = Lives(new_database, database)
        sync.disconnect()
        client.drop_database(database.name)
        lives.world.stripe.become(older.restore(new_database, only=SOME))
        lives.fuse.written |= {*database.list_collection_names()}

        def upgrade() -> None:
            lives.world.start()
            migrations.migrate(no_progress)

        whole: dict[tuple[str, Any], Json] | None = None
        for death in lives.deaths(upgrade, least=30):
            lives.world.start()
            if death.effect % 10 == 0:
                assert lives.world.reconcile(dry=True).counts["failed"] == 0
            upgrade()
            assert of_older_version(our_database()) == [], death
            whole = whole or rows(our_database())
            assert rows(our_database()) == whole, death
            assert {*MIGRATED} <= {*State.read(MIGRATIONS)["done"]}
        lives.world.stop()


@pytest.mark.parametrize("kind", ["subscription_schedule", "coupon"])
def test_a_document_gets_the_fields_that_its_type_has_got_since(world: World, run: Run, kind: str) -> None:
    """Of a type that was only mirrored before: all of them."""
    document, model = create(kind), kinds()[kind]
    collection = our_database()[model._get_collection_name()]
    complete = collection.find_one({"_id": document.id})
    new = [*model.own_fields()] if kind == "subscription_schedule" else ["name"]
    collection.update_one({"_id": document.id}, {"$unset": dict.fromkeys(new, 1)})
    State.write(MIGRATIONS, {"done": [name for name in MIGRATED if name != "fields"], "place": None})

    assert run("migrate")[1]["rewritten"]["fields"] == 1

    assert collection.find_one({"_id": document.id}) == complete
