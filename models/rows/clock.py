"""MongoDB's clock, the only one that decides about leases and ages, and when a row of work is due.

Writes stamp dates with the server's `$$NOW`; reads ask the server once and compare stored dates with that. Nothing
that matters is read from an ObjectId or from `datetime.now()`, so a host with a wrong clock cannot take a lease early.
"""

import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from stripe_mongo_sync.models.rows.database import database

LEASE = timedelta(seconds=120)  # longer than any request may take (45 s), so a live worker never loses its document
TEST_OFFSET = timedelta()  # zero in service; only tests change it


class Expression(dict[str, Any]):
    """An aggregation expression, as opposed to a value: `literal` leaves it as it is."""


class FromNow(Expression):
    """The expression of MongoDB's time, a delay from now. `evaluated` gives its value at a time that is known."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__({"$add": ["$$NOW", int((delay + TEST_OFFSET).total_seconds() * 1000)]})
        self.delay = delay


def evaluated(value: Any, now: datetime) -> Any:
    """Return what a new value of a field is, if the update is made at `now`."""
    return now + value.delay if isinstance(value, FromNow) else value


def literal(value: Any) -> Any:
    """Return `value` so that MongoDB cannot read it as an expression.

    In a pipeline update the string "$token" is a field path: unwrapped, a username of that form would copy a field.
    """
    return value if isinstance(value, Expression) else {"$literal": value}


def from_now(delay: timedelta = timedelta()) -> FromNow:
    """Return the expression for the server's time, `delay` from now."""
    return FromNow(delay)


# --- when a row is due and why, and until when somebody works on it: these fields change together ---


class DueReason(StrEnum):
    """Why a row is due, in a word for an operator."""

    UNFINISHED = "unfinished"  # somebody works on it until `leased_until`, and if that one dies, it is due
    RETRY = "retry"  # an attempt failed, or its outcome is unknown
    REFRESH = "refresh"  # its object is to be read
    ORPHAN = "orphan"  # an orphan is to be undone
    MISSING = "missing"  # its object was not found: it is searched once more
    PAYMENT = "payment"  # an order waits for its payment or its refund
    OPERATOR = "operator"  # an operator decided, or asked for it
    EDITED = "edited"  # it was edited by hand, and is compared with Stripe
    ERASED = "erased"  # it is checked once more for personal data
    WAITING = "waiting"  # an event waits for the document of its object
    NEW = "new"  # nobody has worked on it yet


IDLE: dict[str, Any] = {"leased_until": None, "due_at": None, "due_reason": None}


def leased(lease: timedelta = LEASE) -> dict[str, Any]:
    """Return the changes of a claim. Its holder sends nothing after `leased_until`, and the row is due from then on."""
    return {"leased_until": from_now(lease), "due_at": from_now(lease), "due_reason": DueReason.UNFINISHED}


def due(reason: DueReason, delay: timedelta = timedelta()) -> dict[str, Any]:
    """Return the changes that make a row due after `delay`. Nobody holds it any more."""
    return {"leased_until": None, "due_at": from_now(delay), "due_reason": reason}


def overdue(at: datetime) -> dict[str, Any]:
    """Return the query of rows that are due at `at`. It names the type, because the partial index needs that."""
    return {"due_at": {"$type": "date", "$lte": at}}


def now() -> datetime:
    """Return MongoDB's time. It takes one round trip, and serves to compare many documents with one moment."""
    told: datetime = database().command("hello")["localTime"]
    return told.replace(tzinfo=UTC) + TEST_OFFSET


def local_now() -> datetime:
    """Return this machine's time. It decides nothing, and serves only to measure its difference from other clocks."""
    return datetime.now(UTC) + TEST_OFFSET


def stopwatch() -> float:
    """Return seconds to measure a duration with: they never go back, and also count while this machine is suspended,
    where the system can tell.
    """
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return seconds + TEST_OFFSET.total_seconds()
