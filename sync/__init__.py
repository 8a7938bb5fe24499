"""Stripe and MongoDB kept as one: `connect()` once, then `create_customer("user@here.com")`."""

from sync import starting as starting  # first: the others take a second

# isort: split
from pymongo.monitoring import CommandListener
from stripe import HTTPClient  # by name: `sync.stripe` is a room

from models.input import Invalid
from sync import connection, hooks
from sync import touch as touch
from sync.connection import Connection, current, disconnect
from sync.customers import create_customer, open_portal, set_payment_method
from sync.errors import (
    AlreadyConnected,
    AlreadyExists,
    CannotLook,
    InProgress,
    KeyReused,
    NotConnected,
    NotFound,
    Refused,
    SyncError,
    Unavailable,
)
from sync.hooks import Notice, on
from sync.orders import create_order
from sync.saga import act, create, delete, update
from sync.settings import Settings

__all__ = [
    "AlreadyConnected",
    "AlreadyExists",
    "CannotLook",
    "InProgress",
    "Invalid",
    "KeyReused",
    "NotConnected",
    "NotFound",
    "Notice",
    "Refused",
    "SyncError",
    "Unavailable",
    "act",
    "connect",
    "create",
    "create_customer",
    "create_order",
    "current",
    "delete",
    "disconnect",
    "on",
    "open_portal",
    "set_payment_method",
    "update",
]


def connect(
    settings: Settings | None = None,
    *,
    http_client: HTTPClient | None = None,
    listeners: tuple[CommandListener, ...] = (),
) -> Connection:
    """Connect this process, once, and each child that it forks; `settings` default to the environment.

    The modules that they name as hooks are imported. `http_client` replaces stripe-python's own, for an emulator in
    process; `listeners` watch MongoDB's commands. Asked again, it returns the same connection, or raises
    AlreadyConnected if anything else is meant. Raises BadSettings; Unavailable when MongoDB cannot be reached;
    SyncError when it cannot be trusted, as a unique index is missing.
    """
    return connection.connect(settings, http_client=http_client, listeners=listeners, first=_load_hooks)


def _load_hooks(settings: Settings) -> None:
    hooks.load(settings.hooks)
