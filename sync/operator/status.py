"""Status: what an operator wants to know at a glance, and whether anything needs them.

It asks MongoDB only, and only what an index answers: neither ten million documents nor a full inbox make it slow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mongoengine import Document

from stripe_mongo_sync.models import (
    Customer,
    Delivery,
    DeliveryState,
    Erasure,
    Event,
    Status,
    SyncedDocument,
    present_kinds,
)
from stripe_mongo_sync.models.base.notice import NoticeOutbox
from stripe_mongo_sync.models.event import OPEN, EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.tally import MOST, count, counts, first_key, having, oldest, smallest
from stripe_mongo_sync.models.rows.username import fold
from stripe_mongo_sync.models.state import ALIKE, CHECKPOINT, CIRCUIT_BREAKER, HEARTBEAT, OTHER_VERSION, State
from stripe_mongo_sync.sync.operator.findings import MARKS, Finding, Level, exit_code
from stripe_mongo_sync.sync.process.screen import quoted, word
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.stripe.answers import api_version

SILENCE = timedelta(hours=1)  # reconcile every five minutes is the rule
ABANDONED = timedelta(days=3)  # Stripe, too, gives a webhook up by then: what was lost stays lost until a run reads it
UNHEARD = timedelta(hours=1)  # `hooks run --every 5` is the rule
BEHIND = timedelta(minutes=20)  # a run each five minutes is far sooner done with what is due
SLOW = timedelta(hours=1)  # operations and events that are tried for so long have a reason
UNCONFIRMED = timedelta(hours=1)  # a webhook comes within seconds
UNFINISHED = {"operation.since": {"$type": "date"}, "lease": {"$type": "date"}}
BEGUN = (Status.PENDING, Status.ACTIVE)  # where an operation is still to be told to Stripe
COPIED = (Status.ACTIVE, Status.DELETED)  # what a mirrored document can be
NAMED = 100  # customers that are told of, at most
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

    @property
    def lines(self) -> list[str]:
        """What people are told."""
        lines = [f"{name}: {_spoken(value)}" for name, value in self.facts.items()]
        lines += [f"{MARKS[level]} {text}" for level in (Level.PROBLEM, Level.WARNING) for text in self._texts(level)]
        return lines if self.exit_code else [*lines, "✔ healthy"]


def _age(age: timedelta) -> str:
    return str(age - timedelta(microseconds=age.microseconds))


def _spoken(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_spoken(inner)}" for name, inner in value.items() if inner) or "none"
    if isinstance(value, int) and value == MOST:
        return f"{MOST:,} or more"
    return "never" if value is None else str(value)


def status() -> Health:
    """Look at the database and say how things stand."""
    health, now = Health(), clock.now()
    present = list(present_kinds().values())
    there = having(present, {})
    _documents(health, now, present, there)
    _inbox(health, now)
    _hooks(health, now, there)
    _backlog(health, now, there)
    heartbeat, checkpoint, latch = State.read(HEARTBEAT), State.read(CHECKPOINT), State.read(CIRCUIT_BREAKER)
    health.facts["last_reconcile"] = heartbeat and heartbeat["at"]
    health.facts["checkpoint"] = checkpoint and checkpoint["at"]
    _reconcile(health, now, heartbeat, there)
    if latch is not None:
        told = "the cap of undos and deletions was met"
        health.problem("brakes", told, "see `reconcile --full --dry-run`; if it is right, `operations confirm`")
    version = State.read(OTHER_VERSION)
    if version is not None and now - version["at"] < timedelta(days=1):
        told = f"events come in API version {word(version['version'])}, not {api_version()}, and each costs a GET"
        health.warning("version", told, "`endpoint roll` makes an endpoint in our version")
    _erasures(health, now)
    _names(health)
    return health


def _reconcile(
    health: Health, now: datetime, heartbeat: dict[str, Any] | None, there: Iterable[type[SyncedDocument]]
) -> None:
    """Where it never ran, its silence is as old as the oldest document."""
    since = heartbeat["at"] if heartbeat else oldest(_ours(there)) or now
    silence, do = now - since, f"run `{PROGRAM} reconcile --every 300`"
    if silence > ABANDONED:
        health.problem("reconcile", f"reconcile has not run for {silence.days} days", do)
    elif heartbeat is None or silence > SILENCE:
        health.warning("reconcile", "reconcile has not run for an hour", do)
    elif heartbeat["exit_code"] == 2:
        told = f"the last reconcile could not look ({'; '.join(map(quoted, heartbeat['unseen']))})"
        health.problem("reconcile", told, "see what `doctor` says of the key")


def _ours(there: Iterable[type[SyncedDocument]]) -> list[type[SyncedDocument]]:
    """Return what we make: a copy comes from Stripe's own telling."""
    return [model for model in there if not model.resource.mirrored]


def _documents(
    health: Health, now: datetime, present: list[type[SyncedDocument]], there: set[type[SyncedDocument]]
) -> None:
    found: dict[str, dict[str, int]] = {}
    review = unconfirmed = 0
    late = {"confirmed_at": None, "status": Status.ACTIVE, "created_at": {"$lt": now - UNCONFIRMED}}
    for model in present:
        found[model.plural()] = {}
        if model not in there:
            continue
        resource = model.resource
        asked: dict[str, dict[str, Any]] = {"in review": {"review": {"$type": "string"}}}
        if (
            not resource.mirrored and resource.has_created_event
        ):  # else no webhook confirms it, however well they arrive
            asked["unconfirmed"] = late
        statuses = COPIED if resource.mirrored else Status
        found[model.plural()], beside = counts(model, "status", statuses, asked)
        review += beside["in review"]
        unconfirmed += beside.get("unconfirmed", 0)
    begun = having(_ours(there), {**UNFINISHED, "status": {"$in": BEGUN}})
    asked_since = [(model, {**UNFINISHED, "status": status}) for model in begun for status in BEGUN]
    since = min(filter(None, (smallest(*each, "operation.since") for each in asked_since)), default=None)
    health.facts.update(documents=found, review=review, unconfirmed=unconfirmed)
    if review:
        health.problem("review", f"{review} in review", "see `operations list --review`, then retry, link or roll back")
    if unconfirmed >= MANY:
        told = f"{unconfirmed} documents were never confirmed: webhooks do not arrive"
        health.problem("webhooks", told, "see what `doctor` says of the endpoint")
    age = since and now - since
    health.facts["oldest_operation"] = age
    if age and age > SLOW:
        told = f"the oldest pending operation is {_age(age)} old"
        health.warning("pending", told, "see its error in `operations list`; it is settled, or in review, after a day")


def _backlog(health: Health, now: datetime, there: Iterable[type[SyncedDocument]]) -> None:
    """How much is due, and since when: more than one run can do, after an outage."""
    due = clock.overdue(now)
    sources: list[type[Document]] = [*there, Event]
    longest = {source: lease for source in having(sources, due) if (lease := smallest(source, due, "lease"))}
    age = now - min(longest.values()) if longest else None
    waiting = {source: count(source, due) for source in longest}
    events = waiting.pop(Event, 0)
    documents = sum(waiting.values())
    health.facts.update(overdue=documents, overdue_events=events, oldest_overdue=age)
    if age and age > BEHIND:
        told = f"{documents:,} documents and {events:,} events are due, the first for {_age(age)}"
        health.warning("backlog", told, f"start more `{PROGRAM} reconcile`: they share the work")


def _inbox(health: Health, now: datetime) -> None:
    found, _ = counts(Event, "state", EventState)
    opened = {state: smallest(Event, {"state": state}, "received_at") for state in OPEN if found.get(state)}
    health.facts["events"] = found
    health.facts["oldest_open_event"] = now - min(opened.values()) if opened else None
    if found.get(EventState.DEAD):
        told = f"{found[EventState.DEAD]} events are dead"
        health.problem("events", told, "see `events list --state dead`, then `events replay --dead`")
    stuck = opened.get(EventState.RECEIVED)
    if stuck and now - stuck > SLOW:
        told = f"an event could not be applied for {_age(now - stuck)}"
        health.warning("events", told, "see its error in `events list --state received`")


def _hooks(health: Health, now: datetime, there: Iterable[type[SyncedDocument]]) -> None:
    made, _ = counts(Delivery, "state", (DeliveryState.PENDING, DeliveryState.DEAD))
    began = {state: smallest(Delivery, {"state": state}, "at") for state in made}
    told_of: list[type[NoticeOutbox]] = [*there, Event]
    unmoved = {source: count(source, source.HAS_NOTICES) for source in having(told_of, NoticeOutbox.HAS_NOTICES)}
    told_since = [at for source in unmoved if (at := first_key(source, source.HAS_NOTICES, "notices.at"))]
    dead, pending = made.get(DeliveryState.DEAD, 0), made.get(DeliveryState.PENDING, 0)
    waiting = [*told_since, *filter(None, [began.get(DeliveryState.PENDING)])]  # a row of others has no time
    health.facts["hooks"] = {"pending": pending + sum(unmoved.values()), "dead": dead}
    health.facts["oldest_notice"] = now - min(waiting) if waiting else None
    if dead:
        first = began[DeliveryState.DEAD]
        told = f"{dead} deliveries to hooks are dead{f', the oldest of {first:%F %R}' if first else ''}"
        health.problem("hooks", told, "see `hooks list`, then `hooks replay`")
    late = now - UNHEARD
    if any(at < late for at in told_since) or smallest(Delivery, clock.overdue(late), "lease"):
        health.warning("hooks", "hooks were not run for an hour", f"run `{PROGRAM} hooks run --every 5`")


def _erasures(health: Health, now: datetime) -> None:
    where = {"lease": {"$type": "date"}, "scrubbed_at": None, "at": {"$lt": now - SLOW}}
    unfinished = Erasure._get_collection().find_one(where, {"_id": 1})
    if unfinished is not None:
        told = f"the erasure of customer {unfinished['_id']} is not finished"
        health.warning("erasure", told, f"`erase {unfinished['_id']}` says what it waits for")


def _names(health: Health) -> None:
    """Those whose username an older version took, although it looks like another's: see `sync/runs/migrations.py`."""
    known = (State.read(ALIKE) or {}).get("ids", [])[:NAMED]
    customers = Customer.objects(id__in=known, live=True).only("username", "username_key") if known else ()
    apart = [str(each.id) for each in customers if each.username and fold(each.username) != each.username_key]
    if apart:
        told = f"the usernames of these customers look like those of others: {', '.join(apart)}"
        health.warning("usernames", told, "see whose each is, and PATCH it another username; each is found by its own")
