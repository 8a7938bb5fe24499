"""The operator's functions for the deliveries to hooks: list, replay or drop them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from stripe_mongo_sync.models import Delivery, DeliveryState
from stripe_mongo_sync.models.lists.moments import page
from stripe_mongo_sync.models.rows.clock import stopwatch
from stripe_mongo_sync.sync.errors import NotFound, NotPossible
from stripe_mongo_sync.sync.operator.link import act, decision_of
from stripe_mongo_sync.sync.process.screen import quoted, when, word

UNFINISHED = (DeliveryState.PENDING, DeliveryState.DEAD)
CHANGED = "The delivery has just changed: see it in `hooks list`, and try again."
GIVEN_UP = "given up by an operator"


def search() -> list[Delivery]:
    """Return the deliveries that are pending or dead, the oldest first."""
    return list(Delivery.objects(state__in=[*UNFINISHED]).order_by("occurred_at"))


def listed(states: Sequence[str], *, newest: bool, last: Mapping[str, Any] | None, limit: int) -> list[Delivery]:
    """Return at most `limit` deliveries in these states, the oldest or the newest first, after the row `last`."""
    order, hint = ("occurred_at", -1 if newest else 1), [("state", 1), ("occurred_at", 1)]
    where = {"state": {"$in": [*states]}}
    rows = page(Delivery.own_rows(), where, order, last, limit, hint=hint, without=("event_body",))
    return [Delivery.of_row(row) for row in rows]


def delivery_of(id: str) -> Delivery:
    """Return the delivery with that id. Raises NotFound."""
    row: Delivery | None = Delivery.objects(id=id).first()
    if row is None:
        raise NotFound("There is no such delivery: see `hooks list`.")
    return row


def dead_since(since: datetime | None) -> Iterator[Delivery]:
    """Yield the deliveries that died since then; all that are dead, if no time is given."""
    died = {"dead_at__gte": since} if since else {}
    yield from Delivery.objects(state=DeliveryState.DEAD, **died).order_by("occurred_at").no_cache()


def replay(row: Delivery) -> Delivery:
    """Make a delivery due again, with all of its attempts. Raises NotPossible."""
    again = _replayed(row)
    if again is None:
        raise NotPossible(CHANGED)
    return again


@act("replay")
def _replayed(row: Delivery) -> Delivery | None:
    return row.replay()


def replay_all(rows: Iterable[Delivery], *, seconds: float = math.inf) -> Iterator[Delivery]:
    """Replay these deliveries for so long, and yield each that no other process has changed meanwhile."""
    ends = stopwatch() + seconds
    for row in rows:
        if (again := _replayed(row)) is not None:
            yield again
        if stopwatch() > ends:
            return


@act("drop")
def drop(row: Delivery) -> Delivery:
    """Mark a dead delivery as done, because nobody needs it any more. Raises NotPossible."""
    if row.state != DeliveryState.DEAD:
        raise NotPossible(f"Delivery {row.id} is {row.state}, and only dead deliveries can be dropped.")
    dropped = row.succeed(f"{GIVEN_UP}; {row.reason}", bare=GIVEN_UP)
    if dropped is None:
        raise NotPossible(CHANGED)
    return dropped


def summary(row: Delivery) -> dict[str, Any]:
    """Return what an operator needs to know about a delivery."""
    return {
        "id": row.id,
        "hook": row.hook,
        "notice": row.notice,
        "name": row.name,
        "at": row.occurred_at,
        "occurred_at": row.occurred_at,
        "state": row.state,
        "attempts": row.attempts,
        "due": row.due_at,
        "due_reason": row.due_reason,
        "dead_at": row.dead_at,
        "replays": row.replays,
        "error": row.reason,
        "reason": row.reason,
        **decision_of(row),
    }


def summary_line(one: dict[str, Any]) -> str:
    """Return one entry as a line."""
    return f"{word(one['id'])} {one['state']}: {note(one)}"


def note(one: dict[str, Any]) -> str:
    """Return what is to be known of an entry beside its id and its state."""
    told = [f"attempts {one['attempts']}"] if one["attempts"] else []
    told += [f"due {when(one['due'])}"] if one["due"] else []
    told += [f"replays {one['replays']}"] if one["replays"] else []
    told += [f"error {quoted(one['error'])}"] if one["error"] else []
    return ", ".join(told) or "due"
