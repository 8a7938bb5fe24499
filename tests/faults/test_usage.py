"""Usage, with each write of MongoDB failing in turn: neither lost nor counted twice."""

from collections.abc import Callable
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.sync.shop.usage import send_usage
from tests.faults.test_work import UNSURE, every_write
from tests.support.failpoints import FailPoints
from tests.support.metered import assert_counted, counted, open_shop, send_all, use
from tests.support.world import World

CONFLICT, AWAY = "meets a write conflict", "is applied, its reply lost, and MongoDB away"


@pytest.mark.parametrize("failure", [UNSURE, *(pytest.param(f, marks=pytest.mark.long) for f in (CONFLICT, AWAY))])
@pytest.mark.fault("161")
def test_usage_is_counted_once_whatever_becomes_of_a_write(points: FailPoints, failure: str) -> None:
    def one(world: World, failing: Callable[[Callable[[], Any]], None]) -> None:
        open_shop()
        world.deliver()
        acknowledged: list[int] = []

        def act() -> None:
            for value in (1, 2):
                try:
                    use(value)
                except sync.Unavailable:
                    continue
                acknowledged.append(value)
            send_usage()

        failing(act)
        assert_counted(world, *acknowledged)
        for value in (1, 2):  # who was told nothing repeats the call
            use(value)
        world.advance(minutes=5)
        send_all(world)
        assert_counted(world, 1, 2)
        assert counted(world) == {"1": 1, "2": 1}

    every_write(points, failure, one)
