"""Stripe and MongoDB kept as one: `connect()` once, then `create_customer("user@here.com")`."""

from sync import starting as starting  # first: the others take a second

# isort: split
from models.input import Invalid
from sync import touch as touch
from sync.connection import connect, current, disconnect
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
