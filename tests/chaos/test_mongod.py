"""MongoDB dies, freezes, fails and fills up under load: nothing acknowledged is lost, and one reconcile is enough."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.book import settle, storm
from tests.chaos.failpoints import WRITES, cut_after_writes, failing
from tests.chaos.load import ALLOWED

ANSWERED = 7.0  # seconds within which anybody is told that MongoDB cannot be asked; its own limit is 5
WTIMEOUT = {"code": 64, "errmsg": "waiting for replication timed out", "errInfo": {"wtimeout": True}}

SHUTDOWN = {"code": 91, "errmsg": "the primary steps down"}


@pytest.mark.fault("57")
def test_a_killed_mongod_comes_back_with_all_that_was_acknowledged(stack: Stack, mongod: Mongod) -> None:
    with storm(stack, clients=6) as load:
        mongod.kill()
        mongod.restart()

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.long
@pytest.mark.fault("57")
def test_a_mongod_that_is_killed_again_and_again(stack: Stack, mongod: Mongod) -> None:
    with storm(stack, clients=6, seed=1) as load:
        for _ in range(6):
            mongod.kill()
            mongod.restart()
            load.goes_on()

    settle(stack, load)


@pytest.mark.long
@pytest.mark.fault("58")
def test_while_mongod_is_frozen_everybody_is_told_so_and_nobody_waits(stack: Stack, mongod: Mongod) -> None:
    over = threading.Event()
    with storm(stack, clients=6, seed=2) as load:
        mongod.pause()
        try:
            froze = time.monotonic()
            over.wait(20)
            thawed = time.monotonic()
        finally:
            mongod.resume()
        assert load.goes_on() < 3, "no worker is stuck"

    settle(stack, load)
    meanwhile = [answer for answer in load.answers if froze < answer.sent and answer.at < thawed]
    assert {answer.status for answer in meanwhile} == {503}
    assert len(meanwhile) > 10
    slow = [answer for answer in load.answers if answer.took > ANSWERED]
    assert not slow


@pytest.mark.fault("105")
@pytest.mark.parametrize(
    "code", [11600, *(pytest.param(code, marks=pytest.mark.long) for code in (91, 10107, 189, 112))]
)
def test_commands_that_mongodb_fails(stack: Stack, mongod: Mongod, code: int) -> None:
    with storm(stack, clients=6, seed=code) as load, failing(mongod.uri("admin"), WRITES, 0.1, errorCode=code):
        load.goes_on()

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.long
@pytest.mark.fault("106")
def test_connections_that_mongodb_closes(stack: Stack, mongod: Mongod) -> None:
    with storm(stack, clients=6, seed=106) as load, failing(mongod.uri("admin"), WRITES, 0.2, closeConnection=True):
        load.goes_on(60)

    settle(stack, load)
    assert load.told <= ALLOWED


def called_failed(uri: str) -> AbstractContextManager[None]:
    return failing(uri, WRITES, 0.1, writeConcernError=SHUTDOWN, errorLabels=["RetryableWriteError"])


def unanswered(uri: str) -> AbstractContextManager[None]:
    return cut_after_writes(uri, 0.1)


@pytest.mark.fault("105")
@pytest.mark.parametrize("fail", [called_failed, unanswered])
def test_commands_that_mongodb_did_and_the_driver_repeats(
    stack: Stack, mongod: Mongod, fail: Callable[[str], AbstractContextManager[None]]
) -> None:
    with storm(stack, clients=6, seed=106) as load, fail(mongod.uri("admin")):
        load.goes_on(30)

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.long
@pytest.mark.fault("107")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"writeConcernError": WTIMEOUT}, id="applied, and not yet on the majority"),
        pytest.param({"blockConnection": True, "blockTimeMS": 1_000}, id="slow"),
        pytest.param({"blockConnection": True, "blockTimeMS": 7_000}, id="too slow"),
        pytest.param({"blockConnection": True, "blockTimeMS": 500, "closeConnection": True}, id="slow, then closed"),
    ],
)
def test_writes_that_come_late_or_are_applied_and_called_failed(
    stack: Stack, mongod: Mongod, how: dict[str, Any]
) -> None:
    with storm(stack, clients=6, seed=107) as load, failing(mongod.uri("admin"), WRITES, 0.1, **how):
        load.goes_on(60)

    settle(stack, load)
    assert load.told <= ALLOWED
