"""Operator commands for the inbox: list, show, replay or ignore events.

The body of an event contains personal data, so it is shown only on request. A replay applies the bytes that Stripe
sent. It has all attempts again, and the row counts it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from stripe_mongo_sync.models import Event
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.lists.moments import page
from stripe_mongo_sync.models.rows.clock import stopwatch
from stripe_mongo_sync.sync.errors import NotFound, NotPossible
from stripe_mongo_sync.sync.inbox.arrival import EVENT_ID
from stripe_mongo_sync.sync.inbox.inbox import drain_one
from stripe_mongo_sync.sync.operator.link import act, decision_of
from stripe_mongo_sync.sync.process.screen import quoted, when, word
from stripe_mongo_sync.sync.process.stop import STOP

SUCCEEDED = (EventState.APPLIED, EventState.STALE, EventState.IGNORED, EventState.WAITING)
SEARCHED = 5_000  # events among which `recent` searches for a type: the newest ones
TYPE, MOST_STARS = re.compile(r"[a-z0-9_.*]{1,100}"), 3
MAX_FAILURES_IN_A_ROW = 10  # replays; more, and the fault is not in the events


def search(*, state: str | None = None, type: str | None = None, object: str | None = None, limit: int) -> list[Event]:
    """Return events, the newest first. In `type`, `*` stands for any text."""
    # Naming every state lets the index on it give the order.
    where: dict[str, Any] = {"state": {"$in": [state] if state else [str(each) for each in EventState]}}
    if type is not None:
        where["type"] = {"$regex": _pattern(type)}
    if object is not None:
        where["object_id"] = object
    return list(Event.objects(__raw__=where).order_by("-received_at").limit(limit))


def recent(
    *,
    state: str | None = None,
    type: str | None = None,
    object: str | None = None,
    last: Mapping[str, Any] | None = None,
    limit: int,
) -> list[Event]:
    """Return events without their bodies, the newest first, as `search` does, but after the row `last`, and in bounds.

    A `type`, which no index has, is searched for among the newest `SEARCHED` events only.
    """
    rows, order = Event.own_rows(), ("received_at", -1)
    where: dict[str, Any] = {"state": {"$in": [state] if state else [str(each) for each in EventState]}}
    where |= {"object_id": object} if object else {}
    hint = [("object_id", 1), ("creation_key", 1)] if object else [("state", 1), order]
    if type is not None:
        pattern = {"$regex": _pattern(type)}
        found = rows.find(where, {"received_at": 1}).sort([order]).skip(SEARCHED - 1).limit(1).hint(hint)
        oldest = next(found, None)
        where |= {"type": pattern, **({"received_at": {"$gte": oldest["received_at"]}} if oldest else {})}
    return [Event.of_row(row) for row in page(rows, where, order, last, limit, hint=hint, without=("raw",))]


def _pattern(type: str) -> str:
    """Return the expression for a type. Raises Invalid for one that no type fits, or that takes long to compare."""
    if not TYPE.fullmatch(type := re.sub(r"\*+", "*", type)) or type.count("*") > MOST_STARS:
        what = f"may have small letters, digits, `_`, `.` and at most {MOST_STARS} times `*`: invoice.*"
        raise Invalid({"type": what})
    return "^" + ".*".join(map(re.escape, type.split("*"))) + "$"


def event_of(id: str) -> Event:
    """Return the event with that id. Raises NotFound."""
    row: Event | None = Event.objects(id=id).first() if EVENT_ID.fullmatch(id) else None
    if row is None:
        raise NotFound("There is no such event: see `events list`, and `operations list` for documents.")
    return row


def summary(row: Event, *, raw: bool = False) -> dict[str, Any]:
    """Return what an operator needs to know about an event; its body only with `raw`."""
    told: dict[str, Any] = {
        "id": row.id,
        "type": row.type,
        "object": row.object_id,
        "created": row.created,
        "state": row.state,
        "error": row.reason,
        "reason": row.reason,
        "attempts": row.attempts,
        "due": row.due_at,
        "due_reason": row.due_reason,
        "via": row.via,
        "received_at": row.received_at,
        "settled_at": row.finished_at,
        "finished_at": row.finished_at,
        "replays": row.replays or 0,
        "replayed_at": row.replayed_at,
        **decision_of(row),
    }
    return {**told, "raw": _body(row)} if raw else told


def _body(row: Event) -> Any:
    try:
        return json.loads(row.raw, parse_constant=str)  # NaN is not valid JSON, so it is printed as text
    except (ValueError, RecursionError):
        return row.raw.decode(errors="replace")


def summary_line(one: dict[str, Any]) -> str:
    """Return one entry as a line."""
    id, type, object = (word(one[name] or "-") for name in ("id", "type", "object"))
    return f"{when(one['received_at'])} {id} {type} {object} {one['state']}: {_told(one)}"


def note(one: dict[str, Any]) -> str:
    """Return what a table says of an entry below its row."""
    told = _told(one)
    return f"{word(one['object'] or '-')}{f': {told}' if told else ''}"


def _told(one: dict[str, Any]) -> str:
    told = [f"attempts {one['attempts']}"] if one["attempts"] else []
    told += [f"due {when(one['due'])}"] if one["due"] else []
    told += [f"replays {one['replays']}"] if one["replays"] else []
    told += [f"error {quoted(one['error'])}"] if one["error"] else []
    return ", ".join(told)


@act("replay")
def replay(row: Event) -> Event:
    """Apply an event again immediately, and return its row afterwards. Raises NotPossible."""
    claimed = row.replay()
    if claimed is None:
        raise NotPossible("Another process changed this event at the same time: see `events show`, and try again.")
    drain_one(claimed)
    return event_of(row.id)


def replay_dead(since: datetime | None, counts: Counter[str], *, seconds: float | None = None) -> Iterator[Event]:
    """Replay every dead event received since then, oldest first. Count their new states, and yield those that fail.

    End early when too many fail in a row, because then the fault is not in the events, or after so many seconds; the
    rest are counted as `dead`.
    Raises Stopped.
    """
    came = {"received_at__gte": since} if since else {}
    ids = [row.id for row in Event.objects(state=EventState.DEAD, **came).order_by("received_at").only("id")]
    failed, ends = 0, None if seconds is None else stopwatch() + seconds
    for done, id in enumerate(ids):
        if failed == MAX_FAILURES_IN_A_ROW or (ends is not None and stopwatch() > ends):
            counts[EventState.DEAD] += len(ids) - done
            return
        STOP.here()
        row = event_of(id)
        if row.state != EventState.DEAD:
            continue  # another process replayed it
        row = replay(row)
        counts[row.state] += 1
        failed = 0 if row.state in SUCCEEDED else failed + 1
        if failed:
            yield row


@act("ignore")
def ignore(row: Event) -> Event:
    """Mark a dead event as ignored. Raises NotPossible."""
    if row.state != EventState.DEAD:
        raise NotPossible(f"Event {row.id} is {row.state}, and only dead events can be ignored.")
    ignored = row.finish(EventState.IGNORED, f"given up by an operator; {row.reason}")
    if ignored is None:
        raise NotPossible("Another process changed this event at the same time: see `events show`, and try again.")
    return ignored
