"""The primary of three members is killed or frozen under load: the others go on, and nothing acknowledged is lost."""

from collections.abc import Iterator

import pytest

from stripe_mongo_sync.demo.mongod import find_mongod
from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.book import settle, storm
from tests.chaos.failover import Trouble, frozen_primary, killed_primary
from tests.chaos.load import ALLOWED
from tests.chaos.replica_set import ReplicaSet

FAILOVER = 30.0  # seconds without an acknowledged write, at most: 2 to notice, 1 to elect, and what a busy machine adds

pytestmark = [
    pytest.mark.long,
    pytest.mark.fault("59"),
    pytest.mark.skipif(not find_mongod(), reason="this machine has no mongod of its own to kill"),
]


@pytest.fixture(scope="module")
def members() -> Iterator[ReplicaSet]:
    with ReplicaSet() as running:
        yield running


@pytest.fixture(scope="module")
def stack(members: ReplicaSet) -> Iterator[Stack]:
    with Stack(mongodb=members.uri("chaos")) as running:
        yield running


@pytest.mark.parametrize("trouble", [killed_primary, frozen_primary])
def test_another_primary_takes_over(stack: Stack, members: ReplicaSet, trouble: Trouble) -> None:
    with storm(stack, clients=6) as load:
        for _ in range(2):
            with trouble(members):
                load.goes_on()
            load.goes_on()

    figures = settle(stack, load)
    assert load.told <= ALLOWED
    assert figures.longest_gap < FAILOVER
