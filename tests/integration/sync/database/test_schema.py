"""The number of the schema: who starts on it asks nothing more, and nobody works on what a newer version made."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from mongoengine.connection import get_db
from pymongo.database import Database

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, State
from stripe_mongo_sync.models.state import INSTALLATION, MIGRATIONS, SCHEMA
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.connection import open_database
from stripe_mongo_sync.sync.database import schema
from stripe_mongo_sync.sync.database.indexes import gaps
from stripe_mongo_sync.sync.database.schema import MIGRATED, NUMBER
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.operator.doctor import examine
from tests.support.events import event
from tests.support.fuse import Fuse
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
    for name in get_db().list_collection_names():
        get_db()[name].delete_many({})


def test_a_database_that_this_version_made_has_its_number_and_nothing_to_migrate(shop: World) -> None:
    emptied()
    get_db().drop_collection("products")

    shop.start()

    assert stored()["number"] == NUMBER
    assert (State.read(MIGRATIONS) or {})["done"] == [*MIGRATED]
    assert not list(gaps(sync.current().settings))


def test_a_newer_database_is_refused_and_nothing_is_changed(
    shop: World,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    database: str,
    beside: Database[Any],
) -> None:
    State.write(SCHEMA, NEWER)
    get_db().drop_collection("products")
    before = list(beside.sync_state.find())

    with pytest.raises(BadSettings, match=f"schema {NUMBER + 1}.*up to {NUMBER}.*or a later one"):
        shop.start()
    for line in ("status", "reconcile", "indexes", "doctor", "new-installation"):
        assert command(line) == 2
        assert f"schema {NUMBER + 1}" in capsys.readouterr().err

    assert list(beside.sync_state.find()) == before
    assert "products" not in beside.list_collection_names()
    open_database(replace(shop.read, mongodb_uri=database.replace("/test_", "/another_")))  # nothing was left open


def test_a_version_that_ends_late_does_not_lower_the_number_of_a_newer_one(shop: World) -> None:
    State.write(SCHEMA, NEWER)

    with pytest.raises(BadSettings, match=f"schema {NUMBER + 1}"):
        schema.settle(sync.current().settings)

    assert stored()["number"] == NUMBER + 1


def test_a_database_of_before_the_number_gets_it_when_its_migrations_are_done(shop: World) -> None:
    sync.create_customer("user@here.com")
    State.clear(SCHEMA)
    State.clear(MIGRATIONS)

    shop.start()
    assert not stored()
    shop.deliver()
    shop.reconcile()

    assert stored()["number"] == NUMBER


def test_the_command_that_builds_the_last_index_stores_the_number(shop: World, command: Callable[..., int]) -> None:
    sync.create_customer("user@here.com")
    State.clear(SCHEMA)
    get_db().customers.drop_index("key_1")
    with pytest.raises(sync.SyncError, match=r"customers\.key_1"):
        shop.start()

    assert command("indexes", "--dry-run") == 1
    code = command("indexes")

    shop.start()
    assert (code, stored()["number"]) == (0, NUMBER)


def test_what_cannot_be_built_lets_no_start_believe_the_number(shop: World, command: Callable[..., int]) -> None:
    get_db().customers.drop_index("key_1")
    get_db().customers.insert_many([{"revision": 1, "key": "twice"} for _ in range(2)])

    assert command("indexes") == 1

    with pytest.raises(sync.SyncError, match=r"customers\.key_1"):
        shop.start()


@pytest.mark.parametrize("name", ["customers", "payouts"])
def test_a_start_sees_that_an_index_was_dropped_by_hand(shop: World, command: Callable[..., int], name: str) -> None:
    sync.create_customer("user@here.com")
    shop.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)])
    index = {"customers": "key_1", "payouts": "stripe_id_1"}[name]
    shop.start()
    get_db()[name].drop_index(index)

    with pytest.raises(sync.SyncError, match=rf"{name}\.{index}"):
        shop.start()

    assert command("indexes") == 0
    shop.start()
    assert not list(gaps(sync.current().settings))


def test_one_that_another_took_the_place_of_is_seen_by_the_doctor(shop: World) -> None:
    get_db().customers.drop_index("key_1")
    get_db().customers.create_index("harmless")

    shop.start()

    (found,) = [finding for finding in examine().findings if finding.check == "indexes"]
    assert (found.level, "customers.key_1" in found.told) == ("problem", True)


@pytest.mark.parametrize("name", ["customers", "payouts"])
def test_a_collection_that_was_restored_without_its_indexes_refuses_the_start(shop: World, name: str) -> None:
    get_db().drop_collection(name)
    get_db()[name].insert_one({"revision": 1})

    with pytest.raises(sync.SyncError, match=rf"{name}\.stripe_id_1"):
        shop.start()


def test_an_expiry_of_another_length_is_another_schema(shop: World) -> None:
    shop.settings["RETENTION_DAYS"] = "60"
    shop.start()
    assert Customer._get_collection().index_information()["settled_at_1"]["expireAfterSeconds"] == 60 * 86400
    del shop.settings["RETENTION_DAYS"]
    shop.start()
    assert Customer._get_collection().index_information()["settled_at_1"]["expireAfterSeconds"] != 60 * 86400


def test_a_start_that_dies_before_any_of_its_writes_is_begun_again(shop: World) -> None:
    assert isinstance(shop.fuse, Fuse)
    died, effects = "", []
    while died is not None:
        emptied()
        get_db().drop_collection("products")
        sync.disconnect()
        died = shop.fuse.kill(shop.start, len(effects) + 2)  # the first ends a session of before
        effects.append(died)

        shop.start()

        assert not list(gaps(sync.current().settings)), effects
        assert State.read(INSTALLATION) is not None
        shop.reconcile()
        assert stored()["number"] == NUMBER, effects
    assert effects[:4] == ["before createIndexes", *["before findAndModify"] * 3]
