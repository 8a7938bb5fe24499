"""MongoDB's disk fills up under load: it stops, all are told so, and with room again all that was told is there."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from stripe_mongo_sync.demo.mongod import Mongod, find_mongod
from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.book import settle, storm
from tests.chaos.load import ALLOWED
from tests.support import eventually

SIZE = 400  # MB: a journal file is 100, and it makes the next ones in advance

pytestmark = [
    pytest.mark.long,
    pytest.mark.fault("108"),
    pytest.mark.skipif(not find_mongod(), reason="this machine has no mongod of its own to kill"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "none", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: that takes root")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill(file: Path) -> None:
    """Take all the room that is left on its disk."""
    with suppress(OSError), file.open("ab", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def ended(mongod: Mongod, ballast: Path) -> bool:
    """Whether it has stopped by itself; what it freed meanwhile is taken, and it is told to write its files out."""
    fill(ballast)
    with suppress(PyMongoError), MongoClient("127.0.0.1", mongod.port, directConnection=True, timeoutMS=500) as client:
        client.admin.command("fsync")
    return not Path(f"/proc/{mongod.pid}/exe").exists()  # a zombie runs nothing


def test_a_full_disk_stops_mongodb_and_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with Mongod(small_disk / "db", fast=True) as mongod, Stack(mongodb=mongod.uri("chaos")) as stack:
        with storm(stack, clients=6, seed=108) as load:
            eventually(lambda: ended(mongod, ballast), 60)
            load.asks(12)
            ballast.unlink()
            mongod.kill()  # what is left of it
            mongod.restart()

        settle(stack, load)
    assert load.told <= ALLOWED
    assert any(answer.status == 503 for answer in load.answers)
