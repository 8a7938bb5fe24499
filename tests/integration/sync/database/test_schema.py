"""The number of the schema: who starts on it asks nothing more, and nobody works on what a newer version made."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, Product, State, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import INSTALLATION, MIGRATIONS, SCHEMA
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.connection import open_database
from stripe_mongo_sync.sync.database import schema
from stripe_mongo_sync.sync.database.indexes import gaps
from stripe_mongo_sync.sync.database.schema import MIGRATED, NUMBER, OF_0_2
from stripe_mongo_sync.sync.engine.observations import existence_of
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.operator.doctor import examine
from stripe_mongo_sync.sync.settings import Settings
from tests.support.events import event
from tests.support.fuse import Fuse
from tests.support.heard import Listener
from tests.support.mongo import our_database
from tests.support.world import KEY, World

NEWER = {"number": NUMBER + 1, "of": "what we cannot know", "whole": []}


@pytest.fixture
def beside(_worker_database: Database[Any]) -> Database[Any]:
    """The database, by a connection that is not ours."""
    return _worker_database


@pytest.fixture
def shop(database: str, beside: Database[Any]) -> Iterator[World]:
    """A shop of which the collections that a test breaks are made anew after it, as the tests after it share them."""
    world = World(database, fuse=Fuse())
    yield world
    beside.sync_state.delete_many({})
    for name in ("customers", "payouts", "products"):
        beside.drop_collection(name)
    world.settings.clear()
    world.start()
    for kind in ("customer", "product"):
        kinds()[kind].insert_collection()
    world.stop()


@pytest.fixture
def command(shop: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command as a process of its own would: with nothing but the settings."""

    def run(*line: str) -> int:
        sync.disconnect()
        monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
        monkeypatch.setenv("MONGODB_URI", shop.database)
        return main([*line])

    return run


def stored() -> dict[str, Any]:
    return State.read(SCHEMA) or {}


def emptied() -> None:
    """Leave the collections and their indexes, and no row."""
    for name in our_database().list_collection_names():
        our_database()[name].delete_many({})


def test_a_database_that_this_version_made_has_its_number_and_nothing_to_migrate(shop: World) -> None:
    emptied()
    our_database().products.drop_index("creation_key_1")

    shop.start()

    assert stored()["number"] == NUMBER
    assert (State.read(MIGRATIONS) or {})["done"] == [*OF_0_2, *MIGRATED]
    assert not list(gaps(sync.current().settings))


def test_a_newer_database_is_refused_and_nothing_is_changed(
    shop: World,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    database: str,
    beside: Database[Any],
) -> None:
    State.write(SCHEMA, NEWER)
    our_database().drop_collection("products")
    before = list(beside.sync_state.find())

    with pytest.raises(BadSettings, match=f"schema {NUMBER + 1}.*up to {NUMBER}.*or a later one"):
        shop.start()
    for line in ("status", "reconcile", "indexes", "doctor", "new-installation"):
        assert command(line) == 2
        assert f"schema {NUMBER + 1}" in capsys.readouterr().err

    assert list(beside.sync_state.find()) == before
    assert "products" not in beside.list_collection_names()
    open_database(replace(shop.read, mongodb_uri=database.replace("/test_", "/another_")))  # nothing was left open


def test_a_number_that_this_version_cannot_read_is_a_newer_one(shop: World, beside: Database[Any]) -> None:
    State.write(SCHEMA, NEWER)
    for number in (str(NUMBER), None, [NUMBER], float("nan"), {"major": NUMBER}):
        beside.sync_state.update_one({"_id": SCHEMA}, {"$set": {"value.number": number}})
        with pytest.raises(BadSettings, match=f"names a database of schema .*up to {NUMBER}"):
            shop.start()


def test_a_version_that_ends_late_does_not_lower_the_number_of_a_newer_one(shop: World) -> None:
    State.write(SCHEMA, NEWER)

    with pytest.raises(BadSettings, match=f"schema {NUMBER + 1}"):
        schema.settle(sync.current().settings)

    assert stored()["number"] == NUMBER + 1


def test_a_database_of_which_all_that_was_known_is_lost_is_migrated_again(
    shop: World, command: Callable[..., int]
) -> None:
    sync.create_customer("user@here.com")
    State.clear(SCHEMA)
    State.clear(MIGRATIONS)

    shop.start()
    assert not stored()["whole"]
    assert command("migrate") == 0

    assert (stored()["number"], bool(stored()["whole"])) == (NUMBER, True)


def test_the_command_that_builds_the_last_index_stores_the_number(shop: World, command: Callable[..., int]) -> None:
    sync.create_customer("user@here.com")
    State.clear(SCHEMA)
    our_database().customers.drop_index("creation_key_1")
    with pytest.raises(sync.SyncError, match=r"customers\.creation_key_1"):
        shop.start()

    assert command("indexes", "--dry-run") == 1
    code = command("indexes")

    shop.start()
    assert (code, stored()["number"]) == (0, NUMBER)


def test_what_cannot_be_built_lets_no_start_believe_the_number(shop: World, command: Callable[..., int]) -> None:
    our_database().customers.drop_index("creation_key_1")
    our_database().customers.insert_many([{"revision": 1, "creation_key": "twice"} for _ in range(2)])

    assert command("indexes") == 1

    with pytest.raises(sync.SyncError, match=r"customers\.creation_key_1"):
        shop.start()


@pytest.mark.parametrize("name", ["customers", "payouts"])
def test_a_start_sees_that_an_index_was_dropped_by_hand(shop: World, command: Callable[..., int], name: str) -> None:
    sync.create_customer("user@here.com")
    shop.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)])
    index = {"customers": "creation_key_1", "payouts": "stripe_id_1"}[name]
    shop.start()
    our_database()[name].drop_index(index)

    with pytest.raises(sync.SyncError, match=rf"{name}\.{index}"):
        shop.start()

    assert command("indexes") == 0
    shop.start()
    assert not list(gaps(sync.current().settings))


def test_one_that_another_took_the_place_of_is_seen_by_the_doctor(shop: World) -> None:
    our_database().customers.drop_index("creation_key_1")
    our_database().customers.create_index("harmless")

    shop.start()

    (found,) = [finding for finding in examine().findings if finding.check == "indexes"]
    assert (found.level, "customers.creation_key_1" in found.message) == ("problem", True)


@pytest.mark.parametrize("name", ["customers", "payouts"])
def test_a_collection_that_was_restored_without_its_indexes_refuses_the_start(shop: World, name: str) -> None:
    our_database().drop_collection(name)
    our_database()[name].insert_one({"revision": 1})

    with pytest.raises(sync.SyncError, match=rf"{name}\.stripe_id_1"):
        shop.start()


def test_an_expiry_of_another_length_is_another_schema(shop: World) -> None:
    shop.settings["RETENTION_DAYS"] = "60"
    shop.start()
    assert Customer._get_collection().index_information()["finished_at_1"]["expireAfterSeconds"] == 60 * 86400
    del shop.settings["RETENTION_DAYS"]
    shop.start()
    assert Customer._get_collection().index_information()["finished_at_1"]["expireAfterSeconds"] != 60 * 86400


def test_a_start_that_dies_before_any_of_its_writes_is_begun_again(shop: World) -> None:
    assert isinstance(shop.fuse, Fuse)
    died, effects = "", []
    while died is not None:
        emptied()
        our_database().products.drop_index("creation_key_1")
        sync.disconnect()
        died = shop.fuse.kill(shop.start, len(effects) + 1)
        effects.append(died)

        shop.start()

        assert not list(gaps(sync.current().settings)), effects
        assert State.read(INSTALLATION) is not None
        shop.reconcile()
        assert stored()["number"] == NUMBER, effects
    assert effects[:4] == ["before createIndexes", *["before findAndModify"] * 3]


# --- a collection comes with its first row ---


@pytest.fixture
def new(new_database: str) -> Iterator[World]:
    """A shop on a database that does not exist yet."""
    world = World(new_database, fuse=Fuse())
    yield world
    world.stop()


def whole(name: str) -> bool:
    """Whether a collection is there with all indexes of its own."""
    return name in our_database().list_collection_names() and name not in {
        each.collection.name for each in gaps(sync.current().settings)
    }


def test_a_start_on_a_new_database_makes_no_collection_but_the_one_that_says_so(new: World) -> None:
    assert our_database().list_collection_names() == ["sync_state"]
    assert stored()["number"] == NUMBER


def test_every_collection_is_made_with_its_indexes_by_who_has_its_first_row(new: World) -> None:
    customer = sync.create_customer("user@here.com")
    new.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)])
    Delivery.enqueue({"id": "n", "name": "customer.active", "at": None}, "hook", "customer", document=customer.id)
    Erasure.begin(ObjectId(), ())
    Product.adopt_many([existence_of("prod_1", "test", deleted=True)], clock.now())

    assert all(map(whole, ("customers", "payouts", "stripe_events", "hook_deliveries", "erasures", "products")))
    assert len(our_database().list_collection_names()) == 7


def test_who_dies_while_a_collection_is_made_leaves_it_whole_or_leaves_none(new: World) -> None:
    assert isinstance(new.fuse, Fuse)
    assert new.fuse.kill(lambda: sync.create_customer("user@here.com"), "before createIndexes")
    assert "customers" not in our_database().list_collection_names()
    new.start()
    assert new.fuse.kill(lambda: sync.create_customer("user@here.com"), 2) == "before findAndModify"
    assert whole("customers")
    assert Customer.objects.count() == 0


@pytest.mark.parametrize("days", [None, "60"])
def test_a_process_that_made_it_meanwhile_was_as_good_whatever_its_retention(
    new: World, new_database: str, days: str | None
) -> None:
    """Another process has seen no collection either, and was faster with it."""
    lasts = Settings(KEY).retention if days is None else timedelta(days=int(days))
    with MongoClient[Any](new_database) as other:
        made = other.get_default_database().customers
        made.create_indexes(Customer.wanted(lasts))
        before = made.index_information()

        sync.create_customer("user@here.com")

        assert made.index_information() == before
        assert made.count_documents({}) == 1


def test_many_threads_that_have_the_first_row_at_once_make_one_collection(new: World) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: sync.create_customer(f"user{number}@here.com"), range(8)))

    assert whole("customers")
    assert Customer.objects.count() == len({customer.stripe_id for customer in made}) == 8


@pytest.mark.parametrize("rows", [0, 1])
def test_on_what_others_made_since_the_start_nothing_is_built_and_no_row_is_written(
    new: World, new_database: str, rows: int
) -> None:
    told = [event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)]
    with MongoClient[Any](new_database) as other:
        for name in ("customers", "payouts"):
            made = other.get_default_database().create_collection(name)
            made.insert_many([{"theirs": 1} for _ in range(rows)] or [{}])
            made.delete_many({"theirs": None})

        with pytest.raises(sync.Unavailable):
            sync.create_customer("user@here.com")
        assert new.deliver(told) == ["received"]

        assert "unique indexes are missing: payouts.stripe_id_1" in (Event.objects.get().reason or "")
        assert not new.stripe.objects("customer")
        for name in ("customers", "payouts"):
            made = other.get_default_database()[name]
            assert (made.count_documents({}), [*made.index_information()]) == (rows, ["_id_"])
            made.delete_many({})

    new.start()
    new.advance(hours=1)
    new.reconcile()
    assert Event.objects.get().state == "applied"
    assert sync.create_customer("user@here.com").status == "active"


def test_a_start_asks_only_those_that_were_made_since_and_the_next_asks_none(new_database: str) -> None:
    heard = Heard()
    world = World(new_database, listeners=(heard,))
    try:
        sync.create_customer("user@here.com")
        world.start()
        assert world.http.post("/products", json={"name": "A thing"}).status_code == 201
        for asked in (["products"], []):
            heard.asked.clear()
            world.start()
            assert heard.asked == asked
            sync.create_customer(f"user@{len(asked)}.com")
            assert heard.asked == asked, "what a start has seen, no row asks for"
    finally:
        world.stop()


class Heard(Listener):
    """Notes whose indexes are asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "listIndexes":
            self.asked.append(event.command["listIndexes"])
