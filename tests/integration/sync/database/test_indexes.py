"""Indexes are part of the algorithm: a start insists on the unique ones, and a command builds what is missing."""

import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient, timeout
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.demo.mongod import find_mongod, free_port
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, created_kinds, kinds
from stripe_mongo_sync.models.rows.indexes import gap
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.database.indexes import gaps
from stripe_mongo_sync.sync.operator.doctor import examine
from tests.support.events import event
from tests.support.heard import Listener
from tests.support.mongo import our_database
from tests.support.world import KEY, World

CHANGES = ("createIndexes", "dropIndexes", "collMod")
ALL = {**created_kinds(), "event": Event}
Command = Callable[..., tuple[int, dict[str, Any]]]


class Overheard(Listener):
    """Notes the commands that change indexes."""

    def __init__(self) -> None:
        self.changes: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in CHANGES:
            self.changes.append(dict(event.command))


@pytest.fixture
def heard() -> Overheard:
    return Overheard()


@pytest.fixture
def shop(new_database: str, heard: Overheard) -> Iterator[World]:
    """A shop on a database of its own, with the collections that a used one has, whose indexes a test may break."""
    world = World(new_database, listeners=(heard,))
    for model in (*ALL.values(), Delivery, Erasure):
        model.insert_collection()
    yield world
    world.stop()


@pytest.fixture
def indexes(shop: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command as a process of its own would: with nothing but the settings."""

    def command(*more: str) -> tuple[int, dict[str, Any]]:
        sync.disconnect()
        monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
        monkeypatch.setenv("MONGODB_URI", shop.database)
        for name, value in shop.settings.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(["indexes", "--json", *more])
        told = json.loads(capsys.readouterr().out)
        sync.disconnect()
        return code, told

    return command


def unique(model: Any) -> list[str]:
    return [
        f"{model._get_collection_name()}.{index.document['name']}"
        for index in model.indexes
        if index.document.get("unique")
    ]


def broken(shop: World, *names: str) -> None:
    """Put a document into every collection that is always there, and drop these indexes of it, or all."""
    with MongoClient[Any](shop.database) as client:
        for model in ALL.values():
            rows = client.get_default_database()[model._get_collection_name()]
            rows.insert_one({model.mark: 1})
            for name in names or ("*",):
                rows.drop_indexes() if name == "*" else rows.drop_index(name)
    sync.disconnect()


def test_a_start_without_the_unique_indexes_is_refused_and_the_command_builds_them(
    shop: World, indexes: Command, heard: Overheard
) -> None:
    broken(shop)
    heard.changes.clear()

    with pytest.raises(sync.SyncError, match="stripe-mongo-sync indexes") as refused:
        shop.start()

    for model in ALL.values():
        assert all(name in str(refused.value) for name in unique(model))
    assert not heard.changes, "a start builds nothing where documents are"
    with pytest.raises(sync.NotConnected):
        sync.current()

    code, told = indexes("--dry-run")
    assert (code, told["built"]) == (1, [])
    assert {*told["missing"]} >= {name for model in ALL.values() for name in unique(model)}
    code, told = indexes()
    assert (code, told["failed"], told["missing"]) == (0, {}, [])
    assert indexes()[1]["built"] == []
    shop.start()
    assert list(gaps(sync.current().settings)) == []


def test_without_any_other_index_a_start_only_warns(
    shop: World, caplog: pytest.LogCaptureFixture, heard: Overheard
) -> None:
    broken(shop, "due_at_1")
    heard.changes.clear()

    with caplog.at_level(logging.WARNING):
        shop.start()

    assert not heard.changes
    for model in ALL.values():
        assert f"{model._get_collection_name()}.due_at_1" in caplog.text
    assert "stripe-mongo-sync indexes" in caplog.text
    (found,) = [finding for finding in examine().findings if finding.check == "indexes"]
    assert (found.level, "customers.due_at_1" in found.message, "stripe-mongo-sync indexes" in found.advice) == (
        "problem",
        True,
        True,
    )


def test_another_retention_starts_and_the_command_changes_the_expiry(
    shop: World, indexes: Command, caplog: pytest.LogCaptureFixture, heard: Overheard
) -> None:
    broken(shop, "due_at_1")
    shop.settings["RETENTION_DAYS"] = "60"
    heard.changes.clear()

    with caplog.at_level(logging.WARNING):
        shop.start()

    assert {each["collMod"] for each in heard.changes} == {"hook_deliveries", "erasures"}, "these are empty"
    assert "stripe_events.finished_at_1" in caplog.text

    assert indexes()[0] == 0
    shop.start()
    for model in ALL.values():
        expiry = model._get_collection().index_information()["finished_at_1"]
        assert (expiry["expireAfterSeconds"], expiry["partialFilterExpression"]) == (60 * 86400, {"notices": None})


def test_where_nothing_is_stored_a_start_builds_and_changes_them_itself(shop: World, heard: Overheard) -> None:
    our_database().customers.drop_indexes()
    our_database().drop_collection("products")
    shop.settings["RETENTION_DAYS"] = "60"

    shop.start()

    assert list(gaps(sync.current().settings)) == []


def test_no_build_is_under_the_time_limit_of_other_commands(shop: World, indexes: Command, heard: Overheard) -> None:
    shop.settings["RETENTION_DAYS"] = "60"
    with MongoClient[Any](shop.database) as client:
        client.get_default_database().customers.drop_indexes()
        client.get_default_database().products.drop_index("finished_at_1")
        client.get_default_database().products.create_index("finished_at", expireAfterSeconds=45 * 86400)
    shop.start()
    shop.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)])
    with timeout(5):
        sync.create_customer("user@here.com")

    assert {name for each in heard.changes for name in CHANGES if name in each} == {*CHANGES}
    assert not [each for each in heard.changes if "maxTimeMS" in each]


def test_a_webhook_builds_no_index_but_those_of_a_collection_that_it_makes(shop: World, heard: Overheard) -> None:
    payout = kinds()["payout"]
    told = event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)
    heard.changes.clear()
    assert shop.deliver([told]) == ["applied"]
    assert [each["createIndexes"] for each in heard.changes] == ["payouts"]
    assert not gap(payout._get_collection(), payout.wanted(shop.read.retention)).missing

    our_database().payouts.drop_index("due_at_1")
    shop.start()
    heard.changes.clear()
    assert shop.deliver([event("payout.created", {"id": "po_2", "object": "payout", "created": 1}, 1)]) == ["applied"]

    assert not heard.changes


def test_duplicates_are_named_by_their_ids_and_the_other_indexes_are_built(
    shop: World, indexes: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "augusta ada king"
    rows = our_database().customers
    rows.drop_indexes()
    ids = rows.insert_many([{"revision": 1, "is_current": True, "username_key": name} for _ in range(2)]).inserted_ids

    code, told = indexes()

    assert (code, list(told["failed"])) == (1, ["customers.username_key_1_is_current"])
    assert all(str(id) in told["failed"]["customers.username_key_1_is_current"] for id in ids)
    assert name not in json.dumps(told)
    with pytest.raises(sync.SyncError, match=r"customers\.username_key_1_is_current") as refused:
        shop.start()
    assert "customers.creation_key_1" not in str(refused.value)


def test_an_index_of_an_older_version_gives_way_to_the_one_of_its_name(shop: World, indexes: Command) -> None:
    customers = our_database().customers
    customers.insert_one({"revision": 1})
    customers.drop_index("creation_key_1")
    customers.create_index("creation_key")
    customers.drop_index("finished_at_1")
    customers.create_index("finished_at", expireAfterSeconds=45 * 86400)

    code, told = indexes()

    assert (code, sorted(told["built"])) == (0, ["customers.creation_key_1", "customers.finished_at_1"])
    shop.start()
    assert not list(gaps(sync.current().settings))


def test_an_index_counts_by_what_it_means_and_not_by_its_name(shop: World) -> None:
    customers = our_database().customers
    (index,) = [each for each in Customer.indexes if each.document["name"] == "creation_key_1"]
    customers.insert_one({"revision": 1})
    customers.drop_index("creation_key_1")
    wish = {name: value for name, value in index.document.items() if name not in ("key", "name")}
    customers.create_index("creation_key", name="by_hand", **wish)

    shop.start()

    assert not list(gaps(sync.current().settings))


def test_every_collection_with_documents_of_ours_has_its_indexes_named(shop: World) -> None:
    shop.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)])
    our_database().payouts.drop_indexes()

    with pytest.raises(sync.SyncError, match=r"payouts\.stripe_id_1"):
        shop.start()


@pytest.fixture
def guarded(tmp_path: Any) -> Iterator[str]:
    """The address of a MongoDB with authorization, by a user with `readWrite` on one database and nothing else."""
    binary = find_mongod()
    if binary is None:
        pytest.skip("this machine has no mongod of its own")
    port = free_port()
    command = [
        str(binary),
        "--auth",
        "--dbpath",
        str(tmp_path),
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
        "--quiet",
    ]
    with subprocess.Popen([*command, "--nounixsocket"], stdout=subprocess.DEVNULL) as server:
        try:
            with MongoClient[Any]("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=60_000) as admin:
                admin.admin.command("createUser", "root", pwd="root", roles=["root"])
            with MongoClient[Any]("127.0.0.1", port, username="root", password="root", directConnection=True) as root:
                root.shop.command("createUser", "shop", pwd="shop", roles=[{"role": "readWrite", "db": "shop"}])
            yield f"mongodb://shop:shop@127.0.0.1:{port}/shop"
        finally:
            sync.disconnect()
            server.kill()


def test_a_user_who_may_only_read_and_write_starts_runs_and_changes_the_retention(
    guarded: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(guarded)
    try:
        sync.create_customer("user@here.com")
        world.deliver()
        world.settings["RETENTION_DAYS"] = "60"

        world.start()

        assert world.reconcile(full=True).exit_code == 0
        world.deliver([event("payout.created", {"id": "po_1", "object": "payout", "created": 1}, 1)])
        assert examine().exit_code is not None
        assert main(["indexes"]) == 0
        assert not list(gaps(sync.current().settings))
        assert our_database().customers.index_information()["finished_at_1"]["expireAfterSeconds"] == 60 * 86400
    finally:
        world.stop()
