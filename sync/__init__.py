"""Stripe and MongoDB kept as one: `connect()` once, then `create_customer("user@here.com")`."""

from typing import Any

from models import Customer
from models.input import Invalid
from sync.connection import connect, current, disconnect
from sync.errors import (
    AlreadyExists,
    InProgress,
    KeyReused,
    NotConnected,
    NotFound,
    Refused,
    SyncError,
    Unavailable,
)
from sync.saga import act, create, delete, update

__all__ = [
    "AlreadyExists",
    "InProgress",
    "Invalid",
    "KeyReused",
    "NotConnected",
    "NotFound",
    "Refused",
    "SyncError",
    "Unavailable",
    "act",
    "connect",
    "create",
    "create_customer",
    "current",
    "delete",
    "disconnect",
    "update",
]


def create_customer(username: str, *, idempotency_key: str | None = None, **fields: Any) -> Customer:
    """Create a customer here and at Stripe, linked to each other, or neither. Return it, active or still pending.

    `fields` are Stripe's (email, name, phone, address, …); the e-mail is filled from a username that is one. With
    `idempotency_key`, a repetition returns the same customer or raises the same refusal.

    Raises NotConnected, Invalid, AlreadyExists, KeyReused, Refused (`.code`, `.decline_code`) or Unavailable (which
    carries the key to repeat with). A pending customer is settled by its webhook or by reconcile.
    """
    current()
    customer, _ = create(Customer, {"username": username, **fields}, idempotency_key=idempotency_key)
    assert isinstance(customer, Customer)
    return customer
