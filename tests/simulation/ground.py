"""Ground: where histories are run. A MongoDB for all of them, and a database of its own for each process."""

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient, WriteConcern

from stripe_mongo_sync.demo.mongod import Mongod
from tests.conftest import empty
from tests.simulation.history import Outcome, run
from tests.simulation.shrink import shrink
from tests.support.mongo import MongoServer, make_collections

GROUND: "Ground | None" = None


@contextmanager
def mongodb() -> Iterator[str]:
    """Yield the address of a database name that others may begin with: on $MONGODB_URI, or on a server of our own."""
    name = f"simulation_{uuid.uuid4().hex[:12]}"
    if (address := os.environ.get("MONGODB_URI")) is None:
        with Mongod(fast=True) as mongod:
            yield mongod.uri(name)
        return
    try:
        yield MongoServer(address).uri(name)
    finally:
        with MongoClient[Any](address) as client:
            for each in client.list_database_names():
                if each.startswith(name):
                    client.drop_database(each)


class Ground:
    """A database in which one process runs histories: one of its own, or `name`, which it empties."""

    def __init__(self, address: str, name: str | None = None) -> None:
        logging.getLogger().setLevel(logging.INFO)  # each history listens to what is told
        logging.getLogger().addHandler(logging.NullHandler())
        self.client = MongoClient[Any](address)
        self.name = name or f"{self.client.get_default_database().name}_{os.getpid()}"
        self.uri = MongoServer(address).uri(self.name)
        make_collections(self.client.get_database(self.name, write_concern=WriteConcern(w=1)))

    def run(self, seed: int, steps: list[int] | None = None) -> Outcome:
        """Run a history."""
        database = self.client.get_database(self.name, write_concern=WriteConcern(w=1))
        return run(seed, self.uri, lambda: empty(database), steps)


def begin(address: str) -> None:
    """Prepare a worker process."""
    global GROUND
    GROUND = Ground(address)


def work(seed: int) -> Outcome:
    """Run a history in a worker process; one that fails is made short."""
    ground = GROUND
    assert ground is not None
    outcome = ground.run(seed)
    if outcome.violation:
        outcome = shrink(outcome, lambda steps: ground.run(seed, steps))
    outcome.trace = []  # long, and had again by its command
    return outcome
