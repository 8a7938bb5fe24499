"""MongoDB's own fail points: commands of the service that fail, break off or hang, by the server itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient

SERVICE = "stripe-mongo-sync"  # the name that the service gives to MongoDB: nobody else is to be disturbed
WRITES = ["findAndModify", "insert", "update"]


@contextmanager
def failing(uri: str, commands: list[str], often: float | int, **how: Any) -> Iterator[None]:
    """Let commands of the service fail while the block lasts: `often` is a probability, or how many times.

    `how` is errorCode, closeConnection, writeConcernError, blockConnection with blockTimeMS.
    """
    point = {"configureFailPoint": "failCommand"}
    mode = {"times": often} if isinstance(often, int) else {"activationProbability": often}
    with MongoClient[dict[str, Any]](uri, timeoutMS=10_000) as client:
        client.admin.command(point | {"mode": mode, "data": {"failCommands": commands, "appName": SERVICE, **how}})
        try:
            yield
        finally:
            client.admin.command(point | {"mode": "off"})
