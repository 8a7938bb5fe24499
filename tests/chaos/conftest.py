"""Fixtures: `stack` is the whole service as processes, which the tests of a file break one after another."""

from collections.abc import Iterator

import pytest

from stripe_mongo_sync.demo.mongod import Mongod, find_mongod
from stripe_mongo_sync.demo.stack import Stack


@pytest.fixture(scope="module")
def mongod() -> Iterator[Mongod]:
    """A MongoDB that may be broken; it takes fail points."""
    if not find_mongod():
        pytest.skip("this machine has no mongod of its own to kill")
    with Mongod(fast=True, test_commands=True) as server:
        yield server


@pytest.fixture(scope="module")
def stack(mongod: Mongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service on it. Stripe's state survives a restart of the emulator."""
    state = tmp_path_factory.mktemp("stripe") / "state"
    with Stack(mongodb=mongod.uri("chaos"), state=state) as running:
        yield running
