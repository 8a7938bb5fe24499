"""Status: what an operator wants to know at a glance, and whether anything needs them. Asks MongoDB only."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from models import Delivery, DeliveryState, Event, Status, clock, kinds
from models.event import OPEN, EventState
from models.state import CHECKPOINT, HEARTBEAT, LATCH, OTHER_VERSION, State
from sync.gateway import API_VERSION

SILENCE = timedelta(hours=1)  # reconcile every five minutes is the rule
UNHEARD = timedelta(hours=1)  # `hooks run --every 5` is the rule
UNCONFIRMED = timedelta(hours=1)  # a webhook comes within seconds
MANY = 10  # documents that nobody confirmed: then it is no accident


@dataclass
class Health:
    """What was found; `problems` need an operator, `warnings` only their attention."""

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 needs an operator."""
        return 1 if self.problems else 0

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {**self.facts, "problems": self.problems, "warnings": self.warnings, "exit_code": self.exit_code}

    def __str__(self) -> str:
        lines = [f"{name}: {_spoken(value)}" for name, value in self.facts.items()]
        lines += [f"✘ {problem}" for problem in self.problems] + [f"! {warning}" for warning in self.warnings]
        return "\n".join(lines if self.problems else [*lines, "✔ healthy"])


def _spoken(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_spoken(inner)}" for name, inner in value.items() if inner) or "none"
    return "never" if value is None else str(value)


def status() -> Health:
    """Look at the database and say how things stand."""
    health, now = Health(), clock.now()
    _documents(health, now)
    _inbox(health, now)
    _hooks(health, now)
    heartbeat, checkpoint, latch = State.read(HEARTBEAT), State.read(CHECKPOINT), State.read(LATCH)
    health.facts["last_reconcile"] = heartbeat and heartbeat["at"]
    health.facts["checkpoint"] = checkpoint and checkpoint["at"]
    if heartbeat is None or now - heartbeat["at"] > SILENCE:
        health.warnings.append("reconcile has not run for an hour: run `python -m sync reconcile --every 300`")
    elif heartbeat["exit_code"] == 2:
        health.problems.append(f"the last reconcile could not look: {'; '.join(heartbeat['unseen'])}")
    if latch is not None:
        health.problems.append("the cap of undos and deletions was met: check them, then `operations confirm`")
    version = State.read(OTHER_VERSION)
    if version is not None and now - version["at"] < timedelta(days=1):
        health.warnings.append(
            f"events come in API version {version['version']}, not {API_VERSION}: each costs a GET; "
            "pin the webhook endpoint to our version"
        )
    return health


def _documents(health: Health, now: datetime) -> None:
    counts: dict[str, dict[str, int]] = {}
    review = overdue = unconfirmed = 0
    for model in kinds().values():
        grouped = model.objects.aggregate([{"$group": {"_id": "$status", "n": {"$sum": 1}}}])
        counts[model._get_collection_name()] = {row["_id"]: row["n"] for row in grouped}
        review += model.objects(review__type="string").count()
        overdue += model.objects(__raw__=clock.overdue(now)).count()
        unconfirmed += model.objects(status=Status.ACTIVE, confirmed_at=None, created_at__lt=now - UNCONFIRMED).count()
    health.facts.update(documents=counts, overdue=overdue, review=review, unconfirmed=unconfirmed)
    if review:
        health.problems.append(f"{review} in review: see `operations list`")
    if unconfirmed >= MANY:
        health.problems.append(f"{unconfirmed} documents were never confirmed: webhooks do not arrive")


def _inbox(health: Health, now: datetime) -> None:
    counts = {
        row["_id"]: row["n"] for row in Event.objects.aggregate([{"$group": {"_id": "$state", "n": {"$sum": 1}}}])
    }
    oldest = Event.objects(state__in=OPEN).order_by("received_at").first()
    health.facts["events"] = counts
    health.facts["oldest_open_event"] = oldest and now - oldest.received_at
    if counts.get(EventState.DEAD):
        health.problems.append(f"{counts[EventState.DEAD]} events are dead: see `events list --state dead`")


def _hooks(health: Health, now: datetime) -> None:
    counted = {"$group": {"_id": "$state", "n": {"$sum": 1}, "oldest": {"$min": "$at"}}}
    found = {row["_id"]: (row["n"], row["oldest"]) for row in Delivery.objects.aggregate([counted])}
    waiting = {"$group": {"_id": None, "n": {"$sum": 1}, "oldest": {"$min": {"$min": "$notices.at"}}}}
    sources: list[Any] = [*kinds().values(), Event]
    unmoved = [row for source in sources for row in source.objects.aggregate([{"$match": source.noticed}, waiting])]
    pending, oldest_pending = found.get(DeliveryState.PENDING, (0, None))
    dead, oldest_dead = found.get(DeliveryState.DEAD, (0, None))
    told_since = [at for at in (oldest_pending, *(row["oldest"] for row in unmoved)) if at]
    oldest = min(told_since) if told_since else None
    health.facts["hooks"] = {"pending": pending + sum(row["n"] for row in unmoved), "dead": dead}
    health.facts["oldest_notice"] = oldest and now - oldest
    if dead:
        health.problems.append(
            f"{dead} deliveries to hooks are dead, the oldest of {oldest_dead:%F %R}: see `hooks list`"
        )
    late = now - UNHEARD
    if any(row["oldest"] < late for row in unmoved) or Delivery.objects(__raw__=clock.overdue(late)).first():
        health.warnings.append("hooks were not run for an hour: run `python -m sync hooks run --every 5`")
