"""The embedded MongoDB keeps its promises: writable at once, breakable on purpose, gone afterwards."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, timeout
from pymongo.errors import NetworkTimeout, PyMongoError

from stripe_mongo_sync.demo import mongod as module
from stripe_mongo_sync.demo.mongod import Mongod, NoMongod, find_mongod
from tests.support import eventually
from tests.support.mongo import MongoServer

pytestmark = pytest.mark.skipif(find_mongod() is None, reason="this machine has no mongod of its own")


@pytest.fixture(scope="module")
def mongod() -> Iterator[Mongod]:
    with Mongod(fast=True, test_commands=True) as server:
        yield server


@pytest.fixture
def client(mongod: Mongod) -> Iterator[MongoClient[Any]]:
    with MongoClient[Any](mongod.uri("here"), timeoutMS=5_000) as connected:
        yield connected


def listens(port: int) -> bool:
    """Say whether anybody answers on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_started_mongod_takes_a_majority_write_at_once(client: MongoClient[Any]) -> None:
    assert client.get_default_database().write_concern.document == {"w": "majority"}
    assert client.here.things.insert_one({}).acknowledged


def test_no_row_expires_in_a_test(client: MongoClient[Any]) -> None:
    assert client.admin.command({"getParameter": 1, "ttlMonitorEnabled": 1})["ttlMonitorEnabled"] is False


def test_what_was_acknowledged_survives_a_kill(mongod: Mongod, client: MongoClient[Any]) -> None:
    kept = client.here.things.insert_one({}).inserted_id
    address = mongod.uri("here")

    mongod.kill()
    mongod.restart()

    assert mongod.uri("here") == address
    assert client.here.things.find_one(kept)


def test_a_paused_mongod_answers_nothing_and_then_goes_on(mongod: Mongod, client: MongoClient[Any]) -> None:
    client.here.things.insert_one({})
    mongod.pause()
    try:
        with MongoClient[Any](mongod.uri("here"), timeoutMS=200) as hasty, pytest.raises(PyMongoError):
            hasty.here.things.insert_one({})
    finally:
        mongod.resume()

    assert client.here.things.insert_one({}).acknowledged


def test_fail_points_can_be_set(client: MongoClient[Any]) -> None:
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
    client.admin.command(point | {"data": {"failCommands": ["ping"], "blockConnection": True, "blockTimeMS": 2_000}})

    with pytest.raises(NetworkTimeout), timeout(0.2):
        client.admin.command("ping")


def test_private_data_are_gone_after_a_stop_even_of_a_paused_server() -> None:
    with Mongod(fast=True) as server:
        assert server.dbpath.exists()
        server.pause()
    server.stop()  # twice is harmless

    assert not server.dbpath.exists()


def test_given_data_stay_and_come_back_on_another_port(tmp_path: Path) -> None:
    for earlier in range(2):
        with Mongod(tmp_path) as server, MongoClient[Any](server.uri("here"), timeoutMS=5_000) as connected:
            assert connected.here.things.count_documents({}) == earlier
            connected.here.things.insert_one({})

    assert (tmp_path / "mongod.lock").read_text() == "", "that is how MongoDB marks a clean shutdown"


def test_nothing_is_left_when_the_owner_is_killed() -> None:
    program = (
        "import time; from stripe_mongo_sync.demo.mongod import Mongod\n"
        "with Mongod(fast=True) as server:\n"
        "    print(server.port, server.dbpath, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout
        port, dbpath = owner.stdout.readline().split()
        assert listens(int(port))

        os.kill(owner.pid, signal.SIGKILL)

    eventually(lambda: not listens(int(port)) and not Path(dbpath).exists())


def test_without_a_mongod_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHEEL", "no_such_package")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(NoMongod, match=r"requirements-demo\.txt. .* on PATH, or set MONGODB_URI"):
        Mongod().start()


def test_a_mongod_that_cannot_run_is_quoted(tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho libcurl.so.4: cannot open shared object file >&2\nexit 127\n")
    broken.chmod(0o755)

    with pytest.raises(NoMongod, match=r"libcurl\.so\.4"):
        Mongod(binary=broken).start()


def test_a_small_memory_disk_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_DISK_FREE", float("inf"))

    assert module.memory_disk() is None


def test_a_server_of_yours_is_used_with_your_options_and_our_write_concern() -> None:
    yours = MongoServer("mongodb://user:word@one,two:27018/theirs?tls=true")

    assert yours.uri("ours") == "mongodb://user:word@one,two:27018/ours?tls=true&w=majority"


def test_each_test_finds_its_database_empty(database: str) -> None:
    with MongoClient[Any](database, timeoutMS=5_000) as connected:
        things = connected.get_default_database().things
        assert things.count_documents({}) == 0
        things.insert_one({})


test_each_test_finds_its_database_empty_again = test_each_test_finds_its_database_empty
