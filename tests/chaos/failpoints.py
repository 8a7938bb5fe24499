"""MongoDB's own fail points: commands of the service that fail, break off or hang, by the server itself."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from pymongo import MongoClient

SERVICE = "stripe-mongo-sync"  # the name that the service gives to MongoDB: nobody else is to be disturbed
WRITES = ["findAndModify", "insert", "update"]


def failing(uri: str, commands: list[str], often: float | int, **how: Any) -> AbstractContextManager[None]:
    """Let commands of the service fail while the block lasts: `often` is a probability, or how many times.

    `how` is errorCode, closeConnection, writeConcernError, blockConnection with blockTimeMS.
    """
    return _point(uri, "failCommand", often, {"failCommands": commands, "appName": SERVICE, **how})


def cut_after_writes(uri: str, often: float | int) -> AbstractContextManager[None]:
    """Let MongoDB do a write and close the connection in place of an answer, so that the driver repeats it."""
    return _point(uri, "onPrimaryTransactionalWrite", often, {})


@contextmanager
def _point(uri: str, name: str, often: float | int, data: dict[str, Any]) -> Iterator[None]:
    mode = {"times": often} if isinstance(often, int) else {"activationProbability": often}
    with MongoClient[dict[str, Any]](uri, timeoutMS=10_000) as client:
        client.admin.command({"configureFailPoint": name, "mode": mode, "data": data})
        try:
            yield
        finally:
            client.admin.command({"configureFailPoint": name, "mode": "off"})
