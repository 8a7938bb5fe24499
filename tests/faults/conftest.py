"""Fixtures of the fault matrix: a mongod that may be broken."""

from collections.abc import Iterator

import pytest

from stripe_mongo_sync.demo.mongod import Mongod, find_mongod
from tests.support.failpoints import FailPoints


@pytest.fixture(scope="session")
def _breakable() -> Iterator[str]:
    """A mongod of this worker: fail points are the server's, so the tests of another worker would meet them, too."""
    if find_mongod() is None:
        pytest.skip("this machine has no mongod of its own")
    with Mongod(fast=True, test_commands=True) as server:
        # A server that said that it shuts down is looked at again only with the next heartbeat: 10 s, unless told.
        yield f"{server.uri('faults')}&serverMonitoringMode=poll&heartbeatFrequencyMS=500"


@pytest.fixture
def points(_breakable: str) -> Iterator[FailPoints]:
    """What lets writes fail, in a database of its own."""
    made = FailPoints(_breakable)
    made.clean()
    yield made
    made.close()
