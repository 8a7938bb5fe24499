"""Status: what an operator wants to know at a glance, and whether anything needs them. Asks MongoDB only."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mongoengine import Document

from models import Delivery, DeliveryState, Erasure, Event, Status, SyncedDocument, clock, created_kinds, present_kinds
from models.event import OPEN, EventState
from models.state import CHECKPOINT, HEARTBEAT, LATCH, OTHER_VERSION, State
from sync.findings import MARKS, Finding, Level, exit_code
from sync.gateway import API_VERSION

SILENCE = timedelta(hours=1)  # reconcile every five minutes is the rule
ABANDONED = timedelta(days=3)  # Stripe, too, gives a webhook up by then: what was lost stays lost until a run reads it
UNHEARD = timedelta(hours=1)  # `hooks run --every 5` is the rule
BEHIND = timedelta(minutes=20)  # a run each five minutes is far sooner done with what is due
SLOW = timedelta(hours=1)  # operations and events that are tried for so long have a reason
UNCONFIRMED = timedelta(hours=1)  # a webhook comes within seconds
UNFINISHED = {
    "lease": {"$type": "date"},
    "status": {"$in": ["pending", "active"]},
    "operation.since": {"$type": "date"},
}
MANY = 10  # documents that nobody confirmed: then it is no accident


@dataclass
class Health:
    """What was found; problems need an operator, warnings only their attention."""

    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, check: str, told: str, do: str) -> None:
        """Note what needs an operator, and what they can do."""
        self.findings.append(Finding(check, Level.PROBLEM, told, do))

    def warning(self, check: str, told: str, do: str) -> None:
        """Note what deserves attention, and what can be done."""
        self.findings.append(Finding(check, Level.WARNING, told, do))

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 needs an operator."""
        return exit_code(self.findings)

    def _texts(self, level: Level) -> list[str]:
        return [str(finding) for finding in self.findings if finding.level == level]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        told = {"problems": self._texts(Level.PROBLEM), "warnings": self._texts(Level.WARNING)}
        return {**self.facts, **told, "exit_code": self.exit_code}

    def __str__(self) -> str:
        lines = [f"{name}: {_spoken(value)}" for name, value in self.facts.items()]
        lines += [f"{MARKS[level]} {text}" for level in (Level.PROBLEM, Level.WARNING) for text in self._texts(level)]
        return "\n".join(lines if self.exit_code else [*lines, "✔ healthy"])


def _age(age: timedelta) -> str:
    return str(age - timedelta(microseconds=age.microseconds))


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
    _backlog(health, now)
    heartbeat, checkpoint, latch = State.read(HEARTBEAT), State.read(CHECKPOINT), State.read(LATCH)
    health.facts["last_reconcile"] = heartbeat and heartbeat["at"]
    health.facts["checkpoint"] = checkpoint and checkpoint["at"]
    _reconcile(health, now, heartbeat)
    if latch is not None:
        told = "the cap of undos and deletions was met"
        health.problem("brakes", told, "see `reconcile --full --dry-run`; if it is right, `operations confirm`")
    version = State.read(OTHER_VERSION)
    if version is not None and now - version["at"] < timedelta(days=1):
        told = f"events come in API version {version['version']}, not {API_VERSION}, and each costs a GET"
        health.warning("version", told, "`endpoint roll` makes an endpoint in our version")
    unfinished = Erasure.objects(lease__ne=None, scrubbed_at=None, at__lt=now - SLOW).first()
    if unfinished is not None:
        told = f"the erasure of customer {unfinished.id} is not finished"
        health.warning("erasure", told, f"`erase {unfinished.id}` says what it waits for")
    return health


def _reconcile(health: Health, now: datetime, heartbeat: dict[str, Any] | None) -> None:
    """Where it never ran, its silence is as old as the oldest document."""
    since = heartbeat["at"] if heartbeat else min(filter(None, map(_born, created_kinds().values())), default=now)
    silence, do = now - since, "run `python -m sync reconcile --every 300`"
    if silence > ABANDONED:
        health.problem("reconcile", f"reconcile has not run for {silence.days} days", do)
    elif heartbeat is None or silence > SILENCE:
        health.warning("reconcile", "reconcile has not run for an hour", do)
    elif heartbeat["exit_code"] == 2:
        told = f"the last reconcile could not look ({'; '.join(heartbeat['unseen'])})"
        health.problem("reconcile", told, "see what `doctor` says of the key")


def _born(model: type[SyncedDocument]) -> datetime | None:
    """Return when the oldest document of a type was made."""
    return min(filter(None, (_first(model, {"live": live}, "created_at") for live in (True, False))), default=None)


def _first(model: type[Document], where: dict[str, Any], name: str) -> Any:
    """Return the smallest value of a field, which an index on what `where` asks for, and then on it, holds."""
    found = model._get_collection().find_one(where, {name: 1, "_id": 0}, sort=[(name, 1)])
    for part in name.split("."):
        found = found and found.get(part)
    return found


def _documents(health: Health, now: datetime) -> None:
    counts: dict[str, dict[str, int]] = {}
    review = overdue = unconfirmed = 0
    oldest: datetime | None = None
    for model in present_kinds().values():
        grouped = model.objects.aggregate([{"$group": {"_id": "$status", "n": {"$sum": 1}}}])
        counts[model._get_collection_name()] = {row["_id"]: row["n"] for row in grouped}
        overdue += model.objects(__raw__=clock.overdue(now)).count()
    for model in created_kinds().values():  # a copy is never in review, and comes from Stripe's own telling
        begun = model.objects(__raw__=UNFINISHED).order_by("operation.since").first()
        oldest = min(filter(None, (oldest, begun and begun.operation.since)), default=None)
        review += model.objects(review__type="string").count()
        unconfirmed += model.objects(status=Status.ACTIVE, confirmed_at=None, created_at__lt=now - UNCONFIRMED).count()
    health.facts.update(documents=counts, overdue=overdue, review=review, unconfirmed=unconfirmed)
    if review:
        health.problem("review", f"{review} in review", "see `operations list --review`, then retry, link or roll back")
    if unconfirmed >= MANY:
        told = f"{unconfirmed} documents were never confirmed: webhooks do not arrive"
        health.problem("webhooks", told, "see what `doctor` says of the endpoint")
    age = oldest and now - oldest
    health.facts["oldest_operation"] = age
    if age and age > SLOW:
        told = f"the oldest pending operation is {_age(age)} old"
        health.warning("pending", told, "see its error in `operations list`; it is settled, or in review, after a day")


def _backlog(health: Health, now: datetime) -> None:
    """How much is due, and since when: more than one run can do, after an outage."""
    sources: list[Any] = [*present_kinds().values(), Event]
    due = clock.overdue(now)
    longest = [
        row.lease for source in sources for row in source.objects(__raw__=due).order_by("lease").only("lease")[:1]
    ]
    age = now - min(longest) if longest else None
    events, documents = Event.objects(__raw__=due).count(), health.facts["overdue"]
    health.facts.update(overdue_events=events, oldest_overdue=age)
    if age and age > BEHIND:
        told = f"{documents:,} documents and {events:,} events are due, the first for {_age(age)}"
        health.warning("backlog", told, "start more `python -m sync reconcile`: they share the work")


def _inbox(health: Health, now: datetime) -> None:
    counts = {
        row["_id"]: row["n"] for row in Event.objects.aggregate([{"$group": {"_id": "$state", "n": {"$sum": 1}}}])
    }
    oldest = Event.objects(state__in=OPEN).order_by("received_at").first()
    health.facts["events"] = counts
    health.facts["oldest_open_event"] = oldest and now - oldest.received_at
    if counts.get(EventState.DEAD):
        told = f"{counts[EventState.DEAD]} events are dead"
        health.problem("events", told, "see `events list --state dead`, then `events replay --dead`")
    stuck = Event.objects(state=EventState.RECEIVED).order_by("received_at").first()
    if stuck and now - stuck.received_at > SLOW:
        told = f"an event could not be applied for {_age(now - stuck.received_at)}"
        health.warning("events", told, "see its error in `events list --state received`")


def _hooks(health: Health, now: datetime) -> None:
    counted = {"$group": {"_id": "$state", "n": {"$sum": 1}, "oldest": {"$min": "$at"}}}
    found = {row["_id"]: (row["n"], row["oldest"]) for row in Delivery.objects.aggregate([counted])}
    waiting = {"$group": {"_id": None, "n": {"$sum": 1}, "oldest": {"$min": {"$min": "$notices.at"}}}}
    sources: list[Any] = [*present_kinds().values(), Event]
    unmoved = [row for source in sources for row in source.objects.aggregate([{"$match": source.noticed}, waiting])]
    pending, oldest_pending = found.get(DeliveryState.PENDING, (0, None))
    dead, oldest_dead = found.get(DeliveryState.DEAD, (0, None))
    told_since = [at for at in (oldest_pending, *(row["oldest"] for row in unmoved)) if at]
    oldest = min(told_since) if told_since else None
    health.facts["hooks"] = {"pending": pending + sum(row["n"] for row in unmoved), "dead": dead}
    health.facts["oldest_notice"] = oldest and now - oldest
    if dead:
        told = f"{dead} deliveries to hooks are dead, the oldest of {oldest_dead:%F %R}"
        health.problem("hooks", told, "see `hooks list`, then `hooks replay`")
    late = now - UNHEARD
    if any(row["oldest"] < late for row in unmoved) or Delivery.objects(__raw__=clock.overdue(late)).first():
        health.warning("hooks", "hooks were not run for an hour", "run `python -m sync hooks run --every 5`")
