"""Fail points: a write of a journey fails in a real mongod, in every way in which a write can fail there.

The fail point is set the moment before the driver sends the write, and lifted when the driver has heard of its end. So
the n-th write fails and no other, whatever a journey writes: no write is named anywhere. The driver repeats a write for
as long as its time lasts, so a failure says what each attempt meets.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient, timeout
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from tests.support.fuse import READS
from tests.support.mongo import make_collections

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
    """What the attempts of a write meet, one after the other."""

    attempts: tuple[Point, ...]
    ever: bool = False  # whether all later writes meet the last of them: MongoDB stays away
    told: bool = True  # whether the service hears of it, or the driver gets over it


FAILURES: dict[str, Failure] = {
    "is cut before it is applied": Failure((CLOSED,), told=False),
    "is applied, and its reply lost": Failure((LOST,), told=False),
    "meets a primary that steps down": Failure((code(10107),), told=False),
    "meets a write conflict": Failure((code(112),)),
    "meets a full disk": Failure((code(14031),)),
    "is applied, but not confirmed by the majority": Failure((UNSURE,)),
    "is cut four times": Failure((CLOSED,) * 4, told=False),
    "is cut until its time is up": Failure((CLOSED,), ever=True),
    "is applied, its reply lost, and MongoDB away": Failure((LOST, CLOSED), ever=True),
    "meets a server that shuts down": Failure((code(11600),), ever=True),
    "finds no primary any more": Failure((code(10107),), ever=True),
}
PATIENCE = 0.7  # s: instead of the service's 5, so that a MongoDB that stays away does not take a test as long


class FailPoints(CommandListener):
    """Listens to the driver of the service, and sets fail points through a connection of its own."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._client = MongoClient[Any](uri, timeoutMS=5_000)
        self._left: int | None = None
        self._attempts: list[Point] = []
        self._ever = False
        self._set: str | None = None
        self.met: list[str] = []  # the commands that failed

    @contextmanager
    def failing(self, write: int, failure: Failure) -> Iterator[None]:
        """Let the write of that number (from 1) fail in that way, unless there are fewer; `met` tells."""
        self._left, self._attempts, self._ever, self.met = write, list(failure.attempts), failure.ever, []
        try:
            with timeout(PATIENCE) if failure.ever else nullcontext():
                yield
        finally:
            self._left = None
            self._lift()

    def started(self, event: CommandStartedEvent) -> None:
        if self._left is None or event.command_name in READS:
            return
        self._left -= 1
        if self._left <= 0 and self._attempts:
            point, data = self._attempts[0]
            if len(self._attempts) > 1 or not self._ever:
                self._attempts.pop(0)
            if point == "failCommand":
                data = {**data, "failCommands": [event.command_name]}
            self._configure(point, {"times": 1}, data=data)
            self._set = point
            self.met.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._lift()

    def failed(self, event: CommandFailedEvent) -> None:
        self._lift()

    def _lift(self) -> None:
        if self._set is not None:
            self._configure(self._set, "off")
            self._set = None

    def _configure(self, point: str, mode: Any, **more: Any) -> None:
        command = {"configureFailPoint": point, "mode": mode, **more}
        Context().run(self._client.admin.command, command)  # outside of the time that the journey has

    def clean(self) -> None:
        """Leave no document, but the collections with their indexes: a journey counts its own writes only."""
        database = self._client.get_default_database()
        make_collections(database)
        for collection in database.list_collection_names():
            database[collection].delete_many({})

    def close(self) -> None:
        """Close its connection."""
        self._client.close()
