"""Fixtures: `mongo_server` is shared by the whole run, `database` is a test's own."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pymongo import MongoClient, WriteConcern
from pymongo.database import Database

from stripe_mongo_sync.demo.mongod import Mongod, NoMongod
from stripe_mongo_sync.models import Erasure, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import MIGRATIONS, SCHEMA
from stripe_mongo_sync.sync.database.schema import MIGRATED, OF_0_2
from tests.support import ROOT
from tests.support.lives import Lives
from tests.support.mongo import MongoServer, make_collections
from tests.support.world import World

pytest_plugins = ["tests.faults.report"]

MIRRORED = {model.plural() for model in kinds().values() if model.resource.mirrored}
MONGOD = pytest.StashKey[Mongod]()

# A change is judged by what it changes, and on a shared machine nobody's speed is: new examples are drawn at home.
settings.register_profile(
    "ours", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ours")


def pytest_configure() -> None:
    """Take what a shell lets its background ignore: commands leave it ignored, and are tested with it."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With xdist, the controller starts the one mongod, and tells each worker where it is."""
    with suppress(NoMongod):  # tests that need none still run; `mongo_server` tries again, and then says why
        node.workerinput["mongo"] = _address(node.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whoever started the mongod stops it."""
    if MONGOD in config.stash:
        config.stash[MONGOD].stop()


def _address(config: pytest.Config) -> str:
    if uri := os.environ.get("MONGODB_URI"):
        return uri
    if MONGOD not in config.stash:
        mongod = Mongod(fast=True, test_commands=True)
        mongod.start()
        config.stash[MONGOD] = mongod
    return config.stash[MONGOD].uri("test")


@pytest.fixture(scope="session", autouse=True)
def _processes_are_as_a_users() -> Iterator[None]:
    """Processes that tests start have the packages that a user has: see `tests/support/bare`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests/support/bare"), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def mongo_server(request: pytest.FixtureRequest) -> MongoServer:
    """The MongoDB server of this run. Tests that break a server start a `Mongod` of their own (0.6 s)."""
    told = getattr(request.config, "workerinput", {}).get("mongo")
    return MongoServer(told or _address(request.config))


@pytest.fixture(scope="session")
def _worker_database(mongo_server: MongoServer) -> Iterator[Database[Any]]:
    """The database that the tests of a process share: its collections are there, so that no test is the first."""
    name = f"test_{uuid.uuid4().hex}"
    with MongoClient[Any](mongo_server.uri(name), serverSelectionTimeoutMS=5_000) as client:
        database = client.get_database(name, write_concern=WriteConcern(w=1))
        make_collections(database)
        yield database
        client.drop_database(name)


@pytest.fixture
def database(mongo_server: MongoServer, _worker_database: Database[Any]) -> str:
    """The URI of a database without documents; its collections and indexes stay from test to test.

    Measured with 9 collections of 6 indexes: emptying them takes 4 ms, building and dropping them 181 ms.
    """
    empty(_worker_database)
    return mongo_server.uri(_worker_database.name)


def empty(database: Database[Any]) -> None:
    """Remove every document and the collections of mirrored types, and leave the others with their indexes.

    Most collections have none: one question tells which have. A collection more makes each question to all of them
    slower, of which a run asks some, so that a hundred would take half the time of the tests.
    """
    names = {*database.list_collection_names()}
    for name in (mirrored := MIRRORED & names):
        database.drop_collection(name)
    if mirrored:  # a start would check all indexes if their number was another one
        indexes = database.command("dbStats")["indexes"]
        database["sync_state"].update_one({"_id": SCHEMA}, {"$set": {"value.indexes": indexes}})
    first = [
        {"$unionWith": {"coll": name, "pipeline": [{"$limit": 1}, {"$project": {"_id": 0, "of": {"$literal": name}}}]}}
        for name in names - mirrored
    ]
    whole = {"_id": MIGRATIONS, "value.done": {"$all": [*OF_0_2, *MIGRATED]}}  # else a start must be the first again
    kept = [SCHEMA, MIGRATIONS] if database["sync_state"].find_one(whole) else []
    for found in database.aggregate([{"$documents": []}, *first]):
        database[found["of"]].delete_many({"_id": {"$nin": kept}})


@pytest.fixture
def clean(_worker_database: Database[Any]) -> Callable[[], None]:
    """What empties the database of the test again."""
    return lambda: empty(_worker_database)


@pytest.fixture
def lives(database: str, _worker_database: Database[Any]) -> Iterator[Lives]:
    """A world that dies before each effect of something: see `Lives.deaths`."""
    made = Lives(database, _worker_database)
    yield made
    made.world.stop()


@pytest.fixture
def new_database(mongo_server: MongoServer) -> Iterator[str]:
    """The URI of a database that does not exist yet: for tests about indexes, and about the first start."""
    name = f"test_{uuid.uuid4().hex}"
    yield mongo_server.uri(name)
    with MongoClient[Any](mongo_server.uri(name), serverSelectionTimeoutMS=5_000) as client:
        client.drop_database(name)


@pytest.fixture(autouse=True)
def _nobody_writes_meanwhile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure waits for what other processes may be writing; only tests about that have any."""
    if not request.node.get_closest_marker("erasure_waits"):
        monkeypatch.setattr(Erasure, "wait", lambda erasure, erased: None)


@pytest.fixture(autouse=True)
def _time_is_what_it_is() -> Iterator[None]:
    """A test begins at the real time, whatever the one before it did with its world: the offset is this process's."""
    yield
    clock.TEST_OFFSET = timedelta()


@pytest.fixture
def page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk stores each page by itself, so that a small account has several places where it may be killed."""
    monkeypatch.setattr("stripe_mongo_sync.sync.runs.walk.TOGETHER", 1)


@pytest.fixture
def world(database: str) -> Iterator[World]:
    """A fresh shop and a fresh Stripe."""
    made = World(database)
    yield made
    made.stop()
