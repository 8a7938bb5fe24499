"""The one clock that decides about leases and ages: MongoDB's, never this machine's.

Writes stamp dates with the server's `$$NOW`; reads ask the server once and compare stored dates with that. Nothing
that matters is read from an ObjectId or from `datetime.now()`, so a host with a wrong clock cannot take a lease early.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from stripe_mongo_sync.models.rows.database import database

LEASE = timedelta(seconds=120)  # longer than any request may take (45 s), so a live worker never loses its document
TEST_OFFSET = timedelta()  # zero in service; tests move time by it, and by nothing else


class Expression(dict[str, Any]):
    """An aggregation expression, as opposed to a value: `literal` leaves it as it is."""


def literal(value: Any) -> Any:
    """Return `value` so that MongoDB cannot read it as an expression.

    In a pipeline update the string "$token" is a field path: unwrapped, a username of that form would copy a field.
    """
    return value if isinstance(value, Expression) else {"$literal": value}


def from_now(delta: timedelta = timedelta()) -> Expression:
    """Return the expression for the server's time, `delta` from now."""
    milliseconds = int((delta + TEST_OFFSET).total_seconds() * 1000)
    return Expression({"$add": ["$$NOW", milliseconds]})


def overdue(at: datetime) -> dict[str, Any]:
    """Return the query of what was leased until before `at`. It names the type, or the partial index is not used."""
    return {"lease": {"$type": "date", "$lte": at}}


def now() -> datetime:
    """Ask the server what time it is. One round trip; used where many documents are compared with one moment."""
    told: datetime = database().command("hello")["localTime"]
    return told.replace(tzinfo=UTC) + TEST_OFFSET


def local_now() -> datetime:
    """Return what time this machine thinks it is: it decides nothing, and may be compared with what does."""
    return datetime.now(UTC) + TEST_OFFSET


def stopwatch() -> float:
    """Return seconds that only ever grow, also while this machine is suspended (where the system can tell): to measure
    how long something has taken.
    """
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return seconds + TEST_OFFSET.total_seconds()
