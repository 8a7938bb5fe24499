"""The connection of this process: MongoDB and Stripe, made once by `connect` and used by everything in `sync`."""

import logging
import threading
from dataclasses import dataclass

import mongoengine
import stripe
from mongoengine.connection import get_db
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener

from models.decoding import AS_WRITTEN
from models.state import State
from sync.errors import NotConnected, SyncError, Unavailable
from sync.gateway import Gateway
from sync.hooks import load
from sync.indexes import prepare
from sync.logs import redact
from sync.settings import Settings

log = logging.getLogger("sync")

MONGO_TIMEOUT = 5000  # ms for a whole operation, its retries included; without it pymongo waits for ever
MONGO_PULSE = 1000  # ms until a server that said it shuts down is asked again; by default 10 s, longer than the above


@dataclass(frozen=True)
class Connection:
    """What a process needs to work."""

    settings: Settings
    gateway: Gateway
    installation: str


_connection: Connection | None = None
_connecting = threading.Lock()


def connect(
    settings: Settings | None = None,
    *,
    http_client: stripe.HTTPClient | None = None,
    listeners: tuple[CommandListener, ...] = (),
) -> Connection:
    """Connect this process, once, after it forked; `settings` default to the environment.

    `http_client` replaces stripe-python's own, for an emulator in process; `listeners` watch MongoDB's commands.
    Raises BadSettings; Unavailable when MongoDB cannot be reached; SyncError when it cannot be trusted, as a unique
    index is missing.
    """
    global _connection
    if _connection is not None:
        return _connection
    settings = settings or Settings.from_environment()
    load(settings.hooks)  # before the lock: application code may well connect when it is imported
    with _connecting:
        if _connection is None:
            try:
                open_database(settings, listeners)
                prepare(settings)
                installation = State.installation()
            except PyMongoError as error:
                mongoengine.disconnect()
                raise Unavailable(f"MongoDB cannot be reached or prepared: {redact(str(error))}") from error
            except SyncError:
                mongoengine.disconnect()
                raise
            _connection = Connection(settings, Gateway(settings, http_client), installation)
        return _connection


def reach() -> Settings:
    """Open MongoDB, whatever indexes it lacks, for who is to build them; return the settings."""
    if _connection is not None:
        return _connection.settings
    settings = Settings.from_environment()
    open_database(settings)
    return settings


def current() -> Connection:
    """Return the connection of this process, or raise NotConnected."""
    if _connection is None:
        raise NotConnected
    return _connection


def disconnect() -> None:
    """Close the connection; `connect` may be called again."""
    global _connection
    with _connecting:
        mongoengine.disconnect()
        _connection = None


def open_database(settings: Settings, listeners: tuple[CommandListener, ...] = ()) -> None:
    """Open MongoDB, and nothing else: whoever needs more calls `connect`. Raises SyncError, PyMongoError."""
    mongoengine.connect(
        host=settings.mongodb_uri,
        w="majority",
        readPreference="primary",  # what decides is read where it is written
        retryWrites=True,
        timeoutMS=MONGO_TIMEOUT,
        serverSelectionTimeoutMS=MONGO_TIMEOUT,
        connectTimeoutMS=MONGO_TIMEOUT,
        heartbeatFrequencyMS=MONGO_PULSE,
        tz_aware=True,
        type_registry=AS_WRITTEN,
        uuidRepresentation="standard",
        event_listeners=list(listeners),
        appname="stripe-mongo-sync",
    )
    database = get_db()
    if database.write_concern.document.get("w") != "majority":
        raise SyncError("MongoDB must be used with w=majority: anything less lets two writers win the same revision.")
    version = tuple(database.client.server_info()["versionArray"][:2])
    if version < (6, 0):
        raise SyncError(f"MongoDB 6.0 or newer is needed; this is {version[0]}.{version[1]}.")
