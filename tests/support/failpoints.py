"""Fail points: a write of a journey fails in a real mongod, in every way in which a write can fail there.

The fail point is set the moment before the driver sends the write, and lifted when the driver has heard of its end. So
the n-th write fails and no other, whatever a journey writes: no write is named anywhere. The driver repeats a write
once, so a failure says what each attempt meets.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from tests.support.fuse import READS

Point = tuple[str, dict[str, Any]]  # its name, and its data

CLOSED: Point = ("failCommand", {"closeConnection": True})  # before anything was done
LOST: Point = ("onPrimaryTransactionalWrite", {"closeConnection": True})  # applied, and then its reply is lost


def code(number: int) -> Point:
    """It is refused with that error, and not applied."""
    return ("failCommand", {"errorCode": number})


UNSURE: Point = (  # applied, and an error all the same: the majority did not confirm it in time
    "failCommand",
    {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out", "errInfo": {"wtimeout": True}}},
)


@dataclass(frozen=True)
class Failure:
    """What the first attempts of a write meet, one after the other."""

    attempts: tuple[Point, ...]
    raises: bool  # whether the driver gives up, and the service hears of it
    applied: bool = True  # whether the write was done in the end


FAILURES: dict[str, Failure] = {
    "cut before it was applied": Failure((CLOSED,), raises=False),
    "cut before it was applied, twice": Failure((CLOSED, CLOSED), raises=True, applied=False),
    "applied, its reply lost": Failure((LOST,), raises=False),
    "applied, its reply lost, its repetition cut": Failure((LOST, CLOSED), raises=True),
    "the primary steps down": Failure((code(10107),), raises=False),
    "the primary steps down, twice": Failure((code(10107), code(10107)), raises=True, applied=False),
    "the server shuts down, twice": Failure((code(11600), code(11600)), raises=True, applied=False),
    "a write conflict": Failure((code(112),), raises=True, applied=False),
    "applied, but not confirmed by the majority": Failure((UNSURE,), raises=True),
    "the disk is full": Failure((code(14031),), raises=True, applied=False),
}


class FailPoints(CommandListener):
    """Listens to the driver of the service, and sets fail points through a connection of its own."""

    def __init__(self, uri: str) -> None:
        self._client = MongoClient[Any](uri, timeoutMS=5_000)
        self._left: int | None = None
        self._attempts: list[Point] = []
        self._set: str | None = None
        self.met: list[str] = []  # the commands that failed

    @contextmanager
    def failing(self, write: int, failure: Failure) -> Iterator[None]:
        """Let the write of that number (from 1) fail in that way, unless there are fewer; `met` tells."""
        self._left, self._attempts, self.met = write, list(failure.attempts), []
        try:
            yield
        finally:
            self._left = None
            self._lift()

    def during(self, act: Callable[[], Any], write: int, failure: Failure) -> tuple[Any, BaseException | None]:
        """Let `act` meet it; return what it returned, or raised of MongoDB's errors and the service's."""
        try:
            with self.failing(write, failure):
                return act(), None
        except Exception as error:
            return None, error

    def started(self, event: CommandStartedEvent) -> None:
        if self._left is None or event.command_name in READS:
            return
        self._left -= 1
        if self._left <= 0 and self._attempts:
            self._set, data = self._attempts.pop(0)
            if self._set == "failCommand":
                data = {**data, "failCommands": [event.command_name]}
            self._client.admin.command({"configureFailPoint": self._set, "mode": {"times": 1}, "data": data})
            self.met.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._lift()

    def failed(self, event: CommandFailedEvent) -> None:
        self._lift()

    def _lift(self) -> None:
        if self._set is not None:
            self._client.admin.command({"configureFailPoint": self._set, "mode": "off"})
            self._set = None

    def close(self) -> None:
        """Close its connection."""
        self._client.close()
