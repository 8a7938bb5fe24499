"""The connection of this process to MongoDB and Stripe. `connect` makes it once, and all of `sync` uses it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mongoengine.connection import ConnectionFailure
from pymongo import monitoring
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener

from stripe_mongo_sync.models.rows import database
from stripe_mongo_sync.models.rows.database import OURS as ALIAS
from stripe_mongo_sync.models.state import State
from stripe_mongo_sync.sync.database.in_force import OURS, deviations
from stripe_mongo_sync.sync.database.outage import outage
from stripe_mongo_sync.sync.database.schema import Found, look, prepare
from stripe_mongo_sync.sync.errors import AlreadyConnected, BadSettings, NotConnected, SyncError, Unavailable
from stripe_mongo_sync.sync.handmade import objections_to_settings
from stripe_mongo_sync.sync.logs import redact
from stripe_mongo_sync.sync.presence import Presence
from stripe_mongo_sync.sync.process.fork import in_every_child, renew_in_child
from stripe_mongo_sync.sync.process.mongodb_address import objections, read_address
from stripe_mongo_sync.sync.settings import Settings, objections_to_prefix

if TYPE_CHECKING:
    import stripe

    from stripe_mongo_sync.sync.stripe.gateway import Gateway

WIRE_OF_6_0 = 17  # the wire protocol of MongoDB 6.0; `hello` returns that of the server
LISTENERS = (
    CommandListener,
    monitoring.ServerListener,
    monitoring.ServerHeartbeatListener,
    monitoring.TopologyListener,
    monitoring.ConnectionPoolListener,
)


@dataclass(frozen=True)
class Connection:
    """One process's settings, its installation's id and its gateway to Stripe."""

    settings: Settings
    installation: str
    http_client: "stripe.HTTPClient | None" = None
    listeners: tuple[CommandListener, ...] = ()
    _made: "list[Gateway]" = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def gateway(self) -> "Gateway":
        """The gateway to Stripe. Its first use makes it: a process that only reads MongoDB loads no stripe-python."""
        if not self._made:
            with _connecting:  # one for all threads
                if not self._made:
                    from stripe_mongo_sync.sync.stripe.gateway import Gateway

                    self._made.append(Gateway(self.settings, self.http_client))
        return self._made[0]


_connection: Connection | None = None
_presence: Presence | None = None  # while there is a connection
_failure: str | None = None  # why the last attempt to connect failed
_connecting = threading.Lock()


def connect(
    settings: Settings | None = None,
    *,
    http_client: "stripe.HTTPClient | None" = None,
    listeners: tuple[CommandListener, ...] = (),
    first: Callable[[Settings], None],
) -> Connection:
    """Connect as `sync.connect` promises. Unless this process is connected, call `first` before MongoDB is opened."""
    global _connection, _failure, _presence
    refuse_wrong(settings, http_client, listeners)
    if _connection is not None:
        return _unchanged(_connection, settings, http_client, listeners)
    with _our_errors_only():
        settings = settings or Settings.from_environment()
        first(settings)  # before the lock, because application code may call `connect` while it is imported
    with _connecting:
        if _connection is not None:
            return _unchanged(_connection, settings, http_client, listeners)
        try:
            with _our_errors_only(settings.mongodb_uri):
                installation = _opened(settings, listeners)
        except SyncError as error:
            _failure = str(error)
            raise
        _connection, _failure = Connection(settings, installation, http_client, listeners), None
        _presence = Presence(settings, installation)
        _presence.begin()
        return _connection


def _opened(settings: Settings, listeners: tuple[CommandListener, ...]) -> str:
    """Open and prepare MongoDB, and return the installation's id; whatever fails, nothing stays open."""
    found = open_database(settings, listeners)
    try:
        prepare(settings, found)
        return found.installation or State.installation()
    except BaseException:
        database.close_database()
        raise


def refuse_wrong(settings: Any, http_client: Any, listeners: Any) -> None:
    """Raise BadSettings for arguments that can never be right."""
    problems = [] if settings is None else objections_to_settings(settings)
    if http_client is not None:
        from stripe import HTTPClient  # which the caller has loaded, to make one

        problems += [] if isinstance(http_client, HTTPClient) else ["http_client must be a stripe.HTTPClient"]
    if not (isinstance(listeners, tuple) and all(isinstance(each, LISTENERS) for each in listeners)):
        problems.append("listeners must be a tuple of pymongo's listeners")
    if problems:
        raise BadSettings(problems)


@contextmanager
def _our_errors_only(address: str | None = None) -> Iterator[None]:
    """Raise a SyncError in place of any error of MongoDB, its driver, stripe-python or this machine.

    The messages of those are not passed on, because they may quote an address or a row.
    """
    try:
        yield
    except SyncError:
        raise
    except PyMongoError as error:
        raise Unavailable(outage(error, address)) from error
    except Exception as error:
        raise SyncError(f"This process cannot connect: {type(error).__qualname__}.") from error


def _unchanged(
    there: Connection,
    settings: Settings | None,
    http_client: "stripe.HTTPClient | None",
    listeners: tuple[CommandListener, ...],
) -> Connection:
    """Return the connection if it has these arguments; an omitted one matches. Raises AlreadyConnected otherwise."""
    others = [] if settings is None else there.settings.differ(settings)
    others += ["http_client"] if http_client not in (None, there.http_client) else []
    others += ["listeners"] if listeners not in ((), there.listeners) else []
    if others:
        message = f"This process is already connected, with another {', '.join(others)}"
        raise AlreadyConnected(f"{message}: call stripe_mongo_sync.disconnect() first.")
    return there


def reach() -> Settings:
    """Open MongoDB even if indexes are missing, for the command that builds them; return the settings."""
    if _connection is not None:
        return _connection.settings
    settings = Settings.from_environment()
    with _our_errors_only(settings.mongodb_uri):
        open_database(settings)
    return settings


def current() -> Connection:
    """Return the connection of this process: its settings, and the id of the installation. Raises NotConnected.

    Example:

        print(current().settings.livemode)
    """
    renew_in_child()
    if _connection is None:
        raise NotConnected(f"This process is not connected, as connecting failed: {_failure}" if _failure else None)
    if _presence is not None:
        _presence.begin()  # in a child that was forked; here it has begun
    return _connection


def disconnect() -> None:
    """Close the connection of this process, if there is one; `connect` may be called again. Returns and raises nothing.

    Example:

        disconnect()
    """
    global _connection, _failure, _presence
    with _connecting:
        if _presence is not None:
            _presence.end()
        database.close_database()
        _connection = _failure = _presence = None


def open_database(settings: Settings, listeners: tuple[CommandListener, ...] = ()) -> Found:
    """Open MongoDB and read what `connect` must know, but change nothing. Raises SyncError, PyMongoError."""
    problems = [f"MONGODB_URI {why}" for why in objections(settings.mongodb_uri, live=settings.livemode)]
    problems += [f"COLLECTION_PREFIX {why}" for why in objections_to_prefix(settings.collection_prefix)]
    if problems:  # settings that were not read from the environment were not checked yet
        raise BadSettings(problems)
    options = {"host": settings.mongodb_uri, "event_listeners": list(listeners), **OURS}
    try:
        opened = database.open_database(settings.collection_prefix, **options)
    except database.Taken:
        message = f"This process has opened another database, or the application uses MongoEngine's alias `{ALIAS}`."
        raise AlreadyConnected(message) from None  # a connection of the application stays open
    except ConnectionFailure as error:
        why = _reason(settings.mongodb_uri, error.__context__ or error)
        raise SyncError(f"MONGODB_URI cannot be used: {why}") from None
    try:
        return _looked_at(opened)
    except BaseException:
        database.close_database()
        raise


def _looked_at(opened: Database[Any]) -> Found:
    hello = opened.client.admin.command("hello")
    if hello["maxWireVersion"] < WIRE_OF_6_0:
        raise SyncError(f"MongoDB 6.0 or newer is needed; this is {opened.client.server_info()['version']}.")
    if wrong := deviations(opened, State._get_collection(), hello):
        raise SyncError(f"MongoDB must be {'; '.join(wrong)}.")
    return look()


def _reason(address: str, error: BaseException) -> str:
    """Return an error's message, or its type if the message quotes a user, a password or another secret."""
    message = redact(str(error))
    return type(error).__name__ if any(secret in message for secret in read_address(address).secrets) else message


def _renew() -> None:
    """Replace, in a child process, the lock that a thread of the parent may hold, and open MongoDB again."""
    global _connecting
    _connecting = threading.Lock()
    database.renew(keep=_connection is not None)  # without one, a thread of the parent was about to connect


in_every_child(_renew)
