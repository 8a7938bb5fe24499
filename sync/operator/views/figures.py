"""Figures of the last hour: how many events came in each minute, how late, and how old what is due is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from mongoengine import Document

from stripe_mongo_sync.models import Event, present_kinds
from stripe_mongo_sync.models.event import EventState, Via
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.tally import count, counts, having

MINUTES = 60
SAMPLE = 500  # events whose rows are read for the latency: the newest ones
MINUTE = timedelta(minutes=1)
# Since how long something is due, with the names of the bars.
AGES = (
    ("up to 1 min", timedelta(), MINUTE),
    ("1 to 5 min", MINUTE, 5 * MINUTE),
    ("5 to 20 min", 5 * MINUTE, 20 * MINUTE),
    ("20 min to 1 h", 20 * MINUTE, 60 * MINUTE),
    ("over 1 h", 60 * MINUTE, None),
)


@dataclass(frozen=True)
class Figures:
    """The figures; each list of minutes begins with the oldest."""

    events: list[int]  # that webhooks brought in each minute
    latency: list[float | None]  # s, the median from Stripe's second to the row here, in each minute of the sample
    backlog: list[tuple[str, int]]  # how much is due, by its age


def figures() -> Figures:
    """Read the figures of the last hour."""
    now = clock.now()
    first = now.replace(second=0, microsecond=0) - (MINUTES - 1) * MINUTE
    minutes = [first + number * MINUTE for number in range(MINUTES)]
    brought = {str(minute): {**_received(minute, minute + MINUTE), "via": Via.WEBHOOK} for minute in minutes}
    _, came = counts(Event, "state", (), brought)
    late = _latency(first)
    return Figures(
        [came[str(minute)] for minute in minutes],
        [round(median(late[minute]), 3) if minute in late else None for minute in minutes],
        _backlog(now),
    )


def _received(first: datetime, end: datetime | None = None) -> dict[str, Any]:
    """Return the query of the events that came since then, and before the end. By every state, an index answers it."""
    return {"state": {"$in": [*EventState]}, "received_at": {"$gte": first, **({"$lt": end} if end else {})}}


def _latency(first: datetime) -> dict[datetime, list[float]]:
    """Return by minute how many seconds after Stripe's each webhook was stored. Stripe's seconds are whole."""
    rows = Event.own_rows().find(_received(first), {"received_at": 1, "created": 1, "via": 1}).sort("received_at", -1)
    found: dict[datetime, list[float]] = {}
    for row in rows.limit(SAMPLE):
        if row.get("via") == Via.WEBHOOK and isinstance(row.get("created"), int):
            at = row["received_at"]
            late = max(at.timestamp() - row["created"], 0.0)
            found.setdefault(at.replace(second=0, microsecond=0), []).append(late)
    return found


def _backlog(now: datetime) -> list[tuple[str, int]]:
    sources: list[type[Document]] = [*present_kinds().values(), Event]
    waiting = having(sources, clock.overdue(now))
    return [(name, sum(count(source, _due(now, least, most)) for source in waiting)) for name, least, most in AGES]


def _due(now: datetime, least: timedelta, most: timedelta | None) -> dict[str, Any]:
    since = {} if most is None else {"$gt": now - most}
    return {"due_at": {"$type": "date", "$lte": now - least, **since}}
