"""Beside a host: MongoEngine's registry and connections, a database, the loggers: what is a host's stays its own."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mongoengine
import pytest
from mongoengine.base.common import _document_registry
from pymongo import MongoClient
from pymongo.database import Database

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Product, kinds, stored_things
from stripe_mongo_sync.models.rows.database import OURS
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.logs import NAMES, REDACTION
from stripe_mongo_sync.sync.operator import doctor
from stripe_mongo_sync.sync.operator.status import status
from tests.support import samples
from tests.support.fuse import Fuse
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.world import World

ROOT = Path(__file__).resolve().parents[3]


def of_ours() -> list[type[Any]]:
    """Every class of ours that MongoEngine knows."""
    return [model for model in _document_registry.values() if model.__module__.startswith("stripe_mongo_sync.")]


# --- the registry ---


def test_every_class_of_ours_is_registered_by_a_name_that_nobody_else_gives() -> None:
    ours = of_ours()

    assert {*stored_things()} <= {*ours}
    assert all(model._class_name.startswith(f"{OURS}:") and "." not in model._class_name for model in ours)
    assert len({model._class_name for model in ours}) == len(ours)
    assert Customer.__name__ == Customer.__qualname__ == "Customer"
    for model in ours:
        module = sys.modules[model.__module__]
        assert getattr(module, model.__name__, model) is model, "another of its file has its name"


def test_no_class_of_ours_gave_way_to_another_of_ours() -> None:
    """Every class that a file of ours makes is the one that is registered: none overwrote it."""
    made = {
        each
        for name, module in sys.modules.items()
        if name.startswith("stripe_mongo_sync.models")
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, mongoengine.Document | mongoengine.EmbeddedDocument)
        if each.__module__.startswith("stripe_mongo_sync.")
    }

    assert made <= {*of_ours()}


@pytest.mark.parametrize("when", ["first", "last"])
def test_a_host_has_documents_of_all_our_names_and_both_sides_work(when: str, new_database: str) -> None:
    ours = of_ours()
    whole = sorted({model.__name__ for model in ours if issubclass(model, mongoengine.Document)} - {"Source"})
    parts = sorted({model.__name__ for model in ours} - {*whole, "Source"})

    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.host", when],
        cwd=ROOT,
        env={**os.environ, "MONGODB_URI": new_database},
        input=json.dumps({"documents": whole, "parts": parts}),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "host": [],
        "parts": True,
        "heir": True,
        "ours": [True, True],
        "of ours": True,
        "after": ["active", 2],
        "aliases": ["default"],
    }


# --- connections ---


@pytest.fixture
def host(database: str) -> Iterator[None]:
    """A host that is connected."""
    mongoengine.connect(host=database, uuidRepresentation="standard")
    yield
    mongoengine.disconnect_all()


def test_what_a_host_closes_is_opened_again(world: World) -> None:
    sync.create_customer("a@here.com")
    for close in (mongoengine.disconnect_all, lambda: mongoengine.disconnect(OURS)):
        close()

        assert world.http.get("/readyz").status_code == 200
        assert world.http.post("/customers", json={"username": f"{id(close)}@here.com"}).status_code == 201
        assert Customer.objects.first() is not None
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_what_we_close_is_ours_alone(host: None, world: World) -> None:
    sync.disconnect()

    assert mongoengine.connection.get_db().client.admin.command("ping")["ok"] == 1
    with pytest.raises(mongoengine.ConnectionFailure, match=r"connect\(\) before anything else"):
        Customer.objects.first()


def test_a_connection_that_fails_leaves_a_host_its_own(host: None, world: World) -> None:
    sync.disconnect()
    with pytest.raises(sync.SyncError):
        sync.connect(replace(world.read, mongodb_uri="mongodb://127.0.0.1:9/shop?minPoolSize=5&maxPoolSize=2"))

    assert mongoengine.connection.get_db().client.admin.command("ping")["ok"] == 1
    assert sorted(mongoengine.connection._connections) == ["default"]


# --- loggers ---


def test_every_logger_of_ours_has_our_name_and_leaves_out_what_is_secret() -> None:
    named = [
        name
        for folder in ("models", "sync", "webhooks", "api")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'getLogger\("([^"]+)"\)', path.read_text())
        if not name.startswith("gunicorn")
    ]

    assert {*named} == {*NAMES}
    for name in NAMES:
        assert name.split(".")[0] == OURS
        assert REDACTION in logging.getLogger(name).filters
    assert not logging.getLogger("sync").filters + logging.getLogger("api").filters


# --- two installations in one database ---


@pytest.fixture
def two(new_database: str) -> Iterator[tuple[World, World]]:
    """The shop, and another installation in its database; one of them is connected at a time."""
    one, other = World(new_database), World(new_database, settings={"COLLECTION_PREFIX": "billing_"})
    yield one, other
    other.stop()


def rows(database: Database[Any], prefix: str) -> dict[str, list[Any]]:
    """Every row of one of the two."""
    names = [f"{prefix}{model.plural()}" for model in stored_things()]
    return {name: list(database[name].find()) for name in names}


def sell(name: str) -> None:
    """Sell something to a customer, so that there are charges, which are mirrored."""
    body = {key: value for key, value in samples.body("order", name).items() if key != "success_url"}
    sync.create_order(**{**body, "payment": "payment_intent", "payment_method": "pm_card_visa"})


def test_two_installations_with_other_prefixes_live_side_by_side(two: tuple[World, World]) -> None:
    for at, shop in enumerate(two):
        shop.start()
        sell(f"of-{at}")
        shop.deliver()
        shop.converge()
    for at, shop in enumerate(two):
        shop.start()
        others = "" if at else "billing_"
        before = rows(our_database(), others)

        customer = Customer.objects.get()
        assert customer.username == f"of-{at}@here.com"
        shop.reconcile(full=True)
        assert_in_sync(shop)
        told = shop.http.get("/charges?expand=stripe").json["data"]
        assert [each["stripe"]["customer"] for each in told] == [customer.stripe_id]
        assert rows(our_database(), others) == before
        assert sum(map(len, before.values())) > 10


def test_a_prefix_is_of_collections_alone(two: tuple[World, World]) -> None:
    """What people and stored rows call a type is the same with any."""
    _, shop = two
    shop.start()
    sell("theirs")

    there = {name for name in our_database().list_collection_names() if our_database()[name].find_one()}
    assert {"billing_customers", "billing_orders", "billing_sync_state"} <= there
    assert {model.objects.first().request.route for model in (Customer, Product)} == {"customers", "products"}
    assert shop.http.get("/customers").status_code == 200
    assert status().facts["documents"]["customers"] == {"active": 1}
    assert not [path for path in shop.http.get("/openapi.json").json["paths"] if "billing_" in path]


def test_collections_that_are_renamed_are_the_installation_under_its_new_prefix(new_database: str) -> None:
    """As docs/operations.md says how to: nothing is built or made anew."""
    shop = World(new_database)
    try:
        sell("theirs")
        before, installation = rows(our_database(), ""), current().installation
        for name in our_database().list_collection_names():
            our_database()[name].rename(f"billing_{name}")
        shop.settings["COLLECTION_PREFIX"] = "billing_"
        shop.fuse, effects = Fuse(), []
        with shop.fuse.watched(effects.append):
            shop.start()

        assert current().installation == installation
        assert "before createIndexes" not in effects
        before.pop("sync_state")  # which knows now that the collections of the rows are whole
        assert rows(our_database(), "billing_").items() >= {f"billing_{name}": before[name] for name in before}.items()
        shop.deliver()
        shop.converge()
        assert_in_sync(shop)
    finally:
        shop.stop()


def test_another_prefix_begins_an_installation_and_says_so(new_database: str, caplog: pytest.LogCaptureFixture) -> None:
    one, other = World(new_database), World(new_database, settings={"COLLECTION_PREFIX": "billing_"})
    try:
        assert "has another, whose COLLECTION_PREFIX is ''" in caplog.text
        assert "COLLECTION_PREFIX is 'billing_'; this database has other installations: ''" in [
            finding.message for finding in doctor._mongodb()
        ]
        installation = current().installation
        sync.create_customer("user@here.com")

        one.start()

        assert current().installation != installation
        assert Customer.objects.first() is None
    finally:
        other.stop()


# --- strangers ---


@pytest.mark.parametrize("model", [Customer, kinds()["charge"]], ids=lambda m: m.__name__)
def test_rows_of_strangers_are_refused_and_a_prefix_is_the_way_out(model: Any, new_database: str) -> None:
    with MongoClient[Any](new_database) as client:
        whole = client.get_default_database()
        whole[model.plural()].insert_one({"_id": 1, "of": "a shop"})
        with pytest.raises(BadSettings, match=f"has rows in, or made, {model.plural()}.*COLLECTION_PREFIX="):
            World(new_database)
        shop = World(new_database, settings={"COLLECTION_PREFIX": "billing_"})
        try:
            sell("theirs")
            shop.deliver()
            shop.converge()
            assert_in_sync(shop)
        finally:
            shop.stop()
        assert [name for name in whole.list_collection_names() if not name.startswith("billing_")] == [model.plural()]
        assert list(whole[model.plural()].find()) == [{"_id": 1, "of": "a shop"}]
        assert [*whole[model.plural()].index_information()] == ["_id_"]
