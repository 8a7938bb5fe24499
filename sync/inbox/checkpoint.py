"""The checkpoint: how far Stripe's event list was read completely, and the events that no webhook delivered."""

import random
from datetime import datetime, timedelta
from typing import Any

from stripe_mongo_sync.models import Event, present_kinds
from stripe_mongo_sync.models.event import EventState, Via
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.tally import having, oldest
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.resolve import Run
from stripe_mongo_sync.sync.errors import WrongAccount
from stripe_mongo_sync.sync.inbox.arrival import Arrival, listed
from stripe_mongo_sync.sync.inbox.batch import commit
from stripe_mongo_sync.sync.inbox.inbox import DUPLICATE, attempt, record
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.isolation import isolated
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, LAG, has_id

WEBHOOK_DELAY = timedelta(minutes=5)  # by then a webhook has arrived, or was refused and will be repeated
BROUGHT = [str(state) for state in EventState if state != EventState.IGNORED]  # an endpoint need not send the others
NEWEST, FEWEST = 20, 5  # events by which it is judged whether webhooks arrive
YOUNG = 3600  # s; of an older one, this service was away, or is new
FIRST = timedelta(minutes=20)  # the first comparison leaves what is younger than 15 minutes to its events


def since(checkpoint: dict[str, Any] | None) -> int:
    """Return the Stripe second from which to read events: two minutes before the newest that was read."""
    if checkpoint is not None:
        newest = checkpoint.get("newest")
        return int(newest["created"] if newest else checkpoint["read_at"]) - LAG
    first = oldest(having(present_kinds().values(), {}))  # no event from before our first document is ours
    return int(min(filter(None, (clock.now() - FIRST, first))).timestamp()) - LAG


def share_without_webhook(now: datetime) -> float:
    """Return which share of the newest events of the last day no webhook has brought, only Stripe's list.

    Only those count that were young when they were read, and came longer ago than `WEBHOOK_DELAY`. 0 if they are few.
    """
    asked = {"state": {"$in": BROUGHT}, "received_at": {"$gt": now - timedelta(days=1), "$lt": now - WEBHOOK_DELAY}}
    rows = Event.own_rows().find(asked, {"via": 1, "created": 1, "received_at": 1}).sort("received_at", -1)
    dated = [row for row in rows.limit(NEWEST) if isinstance(row.get("created"), int)]
    ways = [row.get("via") for row in dated if row["received_at"].timestamp() - YOUNG < row["created"]]
    return ways.count(Via.LIST) / len(ways) if len(ways) >= FEWEST else 0.0


def require_continuity(checkpoint: dict[str, Any], page: Reply, now: int) -> None:
    """Raise WrongStripe unless Stripe still has the newest event that was read: else it is not the Stripe we knew."""
    newest = checkpoint.get("newest")
    if newest is None or now - newest["created"] > EVENT_RETENTION.total_seconds():
        return
    if any(event["id"] == newest["id"] for event in filter(has_id, page.remote["data"])):
        return
    if page.remote.get("has_more") and current().gateway.get(f"/v1/events/{newest['id']}") is not None:
        return
    raise WrongAccount(
        f"Stripe no longer has the event {newest['id']}, which was read there: this is another Stripe, or a sandbox "
        "that was wiped. Nothing was touched. Correct STRIPE_SECRET_KEY or MONGODB_URI; after a wipe, begin with an "
        "empty database, or keep this one with `new-installation` and then `reconcile --full`"
    )


def move_checkpoint(checkpoint: dict[str, Any] | None, newest: Reply) -> None:
    """Save how far the list was read. Call it only after a run that read everything."""
    event = next(filter(has_id, newest.remote["data"]), None)
    mark = {"id": event["id"], "created": event["created"]} if event else checkpoint and checkpoint.get("newest")
    State.write(CHECKPOINT, {"read_at": newest.earliest, "newest": mark})


def apply_missed_events(page: Reply, run: Run) -> bool:
    """Apply the events of a page that never reached the inbox, in any order; return whether all are in it now.

    Most are committed together. Runs that read the same page share the others: each takes them in an order of its own.
    """
    events = [event for event in page.remote["data"] if has_id(event)]
    unreadable = len(page.remote["data"]) - len(events)
    if unreadable:
        log.error("%s entries of Stripe's list of events have no id", unreadable)
        run.counts["failed"] += unreadable
    known = Event.known([event["id"] for event in events])
    missed = [listed(event) for event in reversed(events) if event["id"] not in known]
    if run.dry:
        run.counts["event_missed"] += len(missed)
        return True
    failed = run.counts["failed"]
    alone = []
    for arrival, answer in zip(missed, commit(missed), strict=True):
        if answer is None:
            alone.append(arrival)
        else:
            _count(run, arrival, answer, page)
    while alone:
        arrival = alone.pop()
        with isolated(run.counts, f"event {arrival.id}"):
            if not Event.known([arrival.id]):
                verdict = attempt(arrival, quick=False)
                if record(arrival, verdict):
                    _count(run, arrival, verdict.state, page)
                    continue
        random.shuffle(alone)
    return not unreadable and run.counts["failed"] == failed


def _count(run: Run, arrival: Arrival, state: str, page: Reply) -> None:
    """Count a missed event by what became of it, and as missed if a webhook had had the time to bring it."""
    if state not in (EventState.IGNORED, DUPLICATE):
        run.counts[f"event_{state}"] += 1
        run.missed += arrival.event["created"] <= page.earliest - WEBHOOK_DELAY.total_seconds()
