"""The public library. `connect` lives here, because importing this module loads the orders and all dependents."""

from typing import TYPE_CHECKING

from pymongo.monitoring import CommandListener

from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.rows.own_rows import ReadOnly
from stripe_mongo_sync.sync import connection
from stripe_mongo_sync.sync.connection import Connection, current, disconnect
from stripe_mongo_sync.sync.entitlements import changes as changes  # follows what gives access once it is imported
from stripe_mongo_sync.sync.entitlements.question import access
from stripe_mongo_sync.sync.errors import (
    AlreadyConnected,
    AlreadyExists,
    BadSettings,
    CannotReadStripe,
    Deleted,
    InProgress,
    KeyReused,
    NotConnected,
    NotDeletable,
    NotFound,
    NotPossible,
    Refused,
    RolledBack,
    SyncError,
    Unavailable,
)
from stripe_mongo_sync.sync.inbox import quotes as quotes  # adopts what they made once it is imported
from stripe_mongo_sync.sync.inbox import untold as untold  # follows invoices, notes and disputes once it is imported
from stripe_mongo_sync.sync.notices import hooks
from stripe_mongo_sync.sync.notices.hooks import Notice, on
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.shop.customers import create_customer, create_preview, open_portal, set_payment_method
from stripe_mongo_sync.sync.shop.documents import act, create, delete, find, get, quote_pdf, update
from stripe_mongo_sync.sync.shop.evidence import attach_evidence
from stripe_mongo_sync.sync.shop.orders import create_order
from stripe_mongo_sync.sync.shop.refunds import refund_order
from stripe_mongo_sync.sync.shop.usage import record_usage

if TYPE_CHECKING:
    from stripe import HTTPClient  # by name: `sync.stripe` is a room

__all__ = [
    "AlreadyConnected",
    "AlreadyExists",
    "BadSettings",
    "CannotReadStripe",
    "Deleted",
    "InProgress",
    "Invalid",
    "KeyReused",
    "NotConnected",
    "NotDeletable",
    "NotFound",
    "NotPossible",
    "Notice",
    "ReadOnly",
    "Refused",
    "RolledBack",
    "SyncError",
    "Unavailable",
    "access",
    "act",
    "attach_evidence",
    "connect",
    "create",
    "create_customer",
    "create_order",
    "create_preview",
    "current",
    "delete",
    "disconnect",
    "find",
    "get",
    "on",
    "open_portal",
    "quote_pdf",
    "record_usage",
    "refund_order",
    "set_payment_method",
    "update",
]


def connect(
    settings: Settings | None = None,
    *,
    http_client: "HTTPClient | None" = None,
    listeners: tuple[CommandListener, ...] = (),
) -> Connection:
    """Connect this process, once, and each child that it forks; return the connection.

    `settings` default to the environment; the modules that they name as hooks are imported. `http_client` replaces
    stripe-python's own, for an emulator in process; `listeners` watch MongoDB's commands. A second call returns the
    same connection; with other arguments it raises AlreadyConnected. Raises BadSettings; Unavailable when MongoDB
    cannot be reached; SyncError when MongoDB cannot be trusted, because a unique index is missing, for example.

    Example:

        connect()
    """
    return connection.connect(settings, http_client=http_client, listeners=listeners, first=_load_hooks)


def _load_hooks(settings: Settings) -> None:
    hooks.load(settings.hooks)
