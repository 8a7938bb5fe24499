"""Status: the state of the database at a glance, and whether anything needs an operator.

It reads MongoDB only, and only by indexes, so it stays fast with ten million documents or a full inbox.
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
    StagedDocument,
    Status,
    UsageRecord,
    UsageState,
    present_kinds,
)
from stripe_mongo_sync.models.base.notice import NoticeOutbox
from stripe_mongo_sync.models.event import OPEN, EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.formerly import UPGRADE
from stripe_mongo_sync.models.rows.tally import MOST, count, counts, first_key, having, oldest, smallest
from stripe_mongo_sync.models.state import ALIKE, CHECKPOINT, CIRCUIT_BREAKER, HEARTBEAT, OTHER_VERSION, State
from stripe_mongo_sync.models.username import fold
from stripe_mongo_sync.sync.operator.findings import MARKS, Finding, Level, exit_code
from stripe_mongo_sync.sync.operator.mongodb import indexes, room
from stripe_mongo_sync.sync.operator.processes import count as count_processes
from stripe_mongo_sync.sync.operator.processes import differences, processes
from stripe_mongo_sync.sync.process.screen import lasting, quoted, spoken, when, word
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.stripe.answers import api_version

RECONCILE_MAX_AGE = timedelta(hours=1)  # it is recommended every five minutes
ABANDONED = timedelta(days=3)  # Stripe gives up a webhook after three days; from then on only a run reads its event
HOOKS_MAX_AGE = timedelta(hours=1)  # `hooks run --every 5` is recommended
BACKLOG_MAX_AGE = timedelta(minutes=20)  # a run every five minutes has done what is due long before
SLOW = timedelta(hours=1)  # operations, events and erasures that need longer have a problem
UNCONFIRMED = timedelta(hours=1)  # a webhook comes within seconds
UNFINISHED = {"operation.staged_at": {"$type": "date"}, "due_at": {"$type": "date"}}
IN_REVIEW = {"review_reason": {"$type": "string"}}
BEGUN = (Status.PENDING, Status.ACTIVE)  # the statuses in which an operation is still to be pushed
COPIED = (Status.ACTIVE, Status.DELETED)  # the statuses of a mirrored document
NAMED = 100  # customers that a warning names, at most
AGES = ("oldest_operation", "oldest_overdue", "oldest_open_event", "oldest_notice")  # facts that are durations
MOST_MISSING = 0.5  # of the newest events, the share that may come by no webhook
MANY = 10  # unconfirmed documents; fewer may be chance


@dataclass
class Health:
    """The facts and the findings; a problem needs an operator, a warning deserves attention."""

    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, check: str, message: str, advice: str) -> None:
        """Add a finding that needs an operator, and the advice."""
        self.findings.append(Finding(check, Level.PROBLEM, message, advice))

    def warning(self, check: str, message: str, advice: str) -> None:
        """Add a finding that deserves attention, and the advice."""
        self.findings.append(Finding(check, Level.WARNING, message, advice))

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 needs an operator."""
        return exit_code(self.findings)

    def _texts(self, level: Level) -> list[str]:
        return [str(finding) for finding in self.findings if finding.level == level]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        told = {"problems": self._texts(Level.PROBLEM), "warnings": self._texts(Level.WARNING)}
        ages = {f"{name}_seconds": age and age.total_seconds() for name, age in self.facts.items() if name in AGES}
        return {**self.facts, **ages, **told, "exit_code": self.exit_code}

    @property
    def lines(self) -> list[str]:
        """What the command prints without `--json`."""
        lines = [f"{name}: {_spoken(value, 'none' if name in AGES else 'never')}" for name, value in self.facts.items()]
        lines += [f"{MARKS[level]} {text}" for level in (Level.PROBLEM, Level.WARNING) for text in self._texts(level)]
        return lines if self.exit_code else [*lines, "✔ healthy"]


def _spoken(value: Any, nothing: str = "never") -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_spoken(inner)}" for name, inner in value.items() if inner) or "none"
    if isinstance(value, int) and value == MOST:
        return f"{MOST:,} or more"
    return nothing if value is None else spoken(value)


def status() -> Health:
    """Read the database, and return its facts and findings."""
    health, now = Health(), clock.now()
    present = list(present_kinds().values())
    there = having(present, {})
    _documents(health, now, present, there)
    _inbox(health, now)
    _hooks(health, now, there)
    _usage(health, now)
    _backlog(health, now, there)
    heartbeat, checkpoint, latch = State.read(HEARTBEAT), State.read(CHECKPOINT), State.read(CIRCUIT_BREAKER)
    health.facts.update(last_reconcile=heartbeat and heartbeat["at"], checkpoint=checkpoint and checkpoint["at"])
    _reconcile(health, now, heartbeat, there)
    _as_reconcile_saw(health, heartbeat or {})
    if latch is not None:
        told = f"circuit breaker open since {when(latch['at'])}: a run reached its limit"
        told += f" of {latch.get('cap', 'some')} undos and deletions"
        do = "check what `reconcile --full --dry-run` would do, then run `operations reset-breaker`"
        health.problem("circuit_breaker", told, do)
    version = State.read(OTHER_VERSION)
    if version is not None and now - version["at"] < timedelta(days=1):
        told = f"events come in API version {word(version['version'])}, not {api_version()}, and each costs a GET"
        health.warning("version", told, "`endpoint roll` makes an endpoint in our version")
    _erasures(health, now)
    if UPGRADE:
        do = f"run `{PROGRAM} migrate`"
        health.warning("migration", "what an older version stored is upgraded only as it is found", do)
    _names(health)
    running = processes(now)
    health.facts["processes"] = count_processes(running)
    health.findings += [*differences(running), *room()]
    return health


def _reconcile(
    health: Health, now: datetime, heartbeat: dict[str, Any] | None, there: Iterable[type[StagedDocument]]
) -> None:
    """Check when reconcile last ran. If it never did, its silence is as old as the oldest document."""
    since = heartbeat["at"] if heartbeat else oldest(_ours(there)) or now
    silence, do = now - since, f"run `{PROGRAM} reconcile --every 300`"
    if silence > ABANDONED:
        health.problem("reconcile", f"reconcile has not run for {silence.days} days", do)
    elif heartbeat is None or silence > RECONCILE_MAX_AGE:
        health.warning("reconcile", "reconcile has not run for an hour", do)
    elif heartbeat["exit_code"] == 2:
        told = f"the last reconcile could not check everything ({'; '.join(map(quoted, heartbeat['unseen']))})"
        health.problem("reconcile", told, "see what `doctor` says about the key")


def _as_reconcile_saw(health: Health, heartbeat: dict[str, Any]) -> None:
    """Check what each run looks at, and what would take `status` longer."""
    if heartbeat.get("indexes"):
        health.findings += indexes()
    if (share := heartbeat.get("without_webhook", 0)) > MOST_MISSING:
        told = f"{share:.0%} of the newest events came by no webhook: reconcile read them"
        health.warning("webhooks", told, "see what `doctor` says about the endpoint")


def _ours(there: Iterable[type[StagedDocument]]) -> list[type[StagedDocument]]:
    """Return the types that are created or changed here."""
    return [model for model in there if model.resource.changeable]


def is_confirmed(model: type[StagedDocument]) -> bool:
    """Return whether webhooks confirm documents of a type: none does without an event of the creation."""
    return not model.resource.mirrored and model.resource.has_created_event


def unconfirmed_since(now: datetime) -> dict[str, Any]:
    """Return the query of documents that a webhook should have confirmed long ago."""
    return {"confirmed_at": None, "status": Status.ACTIVE, "created_at": {"$lt": now - UNCONFIRMED}}


def _documents(
    health: Health, now: datetime, present: list[type[StagedDocument]], there: set[type[StagedDocument]]
) -> None:
    found: dict[str, dict[str, int]] = {}
    review = unconfirmed = 0
    for model in present:
        found[model.plural()] = {}
        if model not in there:
            continue
        resource = model.resource
        asked: dict[str, dict[str, Any]] = {"in review": IN_REVIEW}
        if is_confirmed(model):
            asked["unconfirmed"] = unconfirmed_since(now)
        statuses = COPIED if resource.mirrored else Status
        found[model.plural()], beside = counts(model, "status", statuses, asked)
        review += beside["in review"]
        unconfirmed += beside.get("unconfirmed", 0)
    begun = having(_ours(there), {**UNFINISHED, "status": {"$in": BEGUN}})
    asked_since = [(model, {**UNFINISHED, "status": status}) for model in begun for status in BEGUN]
    since = min(filter(None, (smallest(*each, "operation.staged_at") for each in asked_since)), default=None)
    health.facts.update(documents=found, review=review, unconfirmed=unconfirmed)
    if review:
        health.problem("review", f"{review} in review", "see `operations list --review`, then retry, link or roll back")
    if unconfirmed >= MANY:
        told = f"{unconfirmed} documents were never confirmed: webhooks do not arrive"
        health.problem("webhooks", told, "see what `doctor` says about the endpoint")
    age = since and now - since
    health.facts["oldest_operation"] = age
    if age and age > SLOW:
        told = f"the oldest pending operation is {lasting(age)} old"
        health.warning("pending", told, "see its error in `operations list`; after a day it is resolved or in review")


def due_since(now: datetime, sources: Iterable[type[Document]]) -> dict[type[Document], datetime]:
    """Return since when something of each of these is due, for those of which something is."""
    due = clock.overdue(now)
    return {source: first for source in having(sources, due) if (first := smallest(source, due, "due_at"))}


def _backlog(health: Health, now: datetime, there: Iterable[type[StagedDocument]]) -> None:
    """Count what is due, and since when. After an outage it may be more than one run can do."""
    due = clock.overdue(now)
    longest = due_since(now, [*there, Event])
    age = now - min(longest.values()) if longest else None
    waiting = {source: count(source, due) for source in longest}
    events = waiting.pop(Event, 0)
    documents = sum(waiting.values())
    health.facts.update(overdue=documents, overdue_events=events, oldest_overdue=age)
    if age and age > BACKLOG_MAX_AGE:
        told = f"{documents:,} documents and {events:,} events are due, the first for {lasting(age)}"
        health.warning("backlog", told, f"start more processes with `{PROGRAM} reconcile`: they share the work")


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
        told = f"an event could not be applied for {lasting(now - stuck)}"
        health.warning("events", told, "see its error in `events list --state received`")


def notices(there: Iterable[type[StagedDocument]]) -> tuple[int, list[datetime]]:
    """Return how many notices have no deliveries yet, and since when there are some of each type and of events."""
    told_of: list[type[NoticeOutbox]] = [*there, Event]
    found = having(told_of, NoticeOutbox.HAS_NOTICES)
    since = [at for source in found if (at := first_key(source, source.HAS_NOTICES, "notices.at"))]
    return sum(count(source, source.HAS_NOTICES) for source in found), since


def _hooks(health: Health, now: datetime, there: Iterable[type[StagedDocument]]) -> None:
    made, _ = counts(Delivery, "state", (DeliveryState.PENDING, DeliveryState.DEAD))
    began = {state: smallest(Delivery, {"state": state}, "occurred_at") for state in made}
    unmoved, told_since = notices(there)
    dead, pending = made.get(DeliveryState.DEAD, 0), made.get(DeliveryState.PENDING, 0)
    # The delivery of an event of another account has no such time.
    waiting = [*told_since, *filter(None, [began.get(DeliveryState.PENDING)])]
    health.facts["hooks"] = {"pending": pending + unmoved, "dead": dead}
    health.facts["oldest_notice"] = now - min(waiting) if waiting else None
    if dead:
        first = began[DeliveryState.DEAD]
        told = f"{dead} deliveries to hooks are dead{f', the oldest of {when(first)}' if first else ''}"
        since = f"{first:%Y-%m-%d}" if first else "DATE"
        do = f"see their errors in `hooks list`, mend the hook, then `hooks replay --dead-since {since}`"
        health.problem("hooks", told, do)
    late = now - HOOKS_MAX_AGE
    if any(at < late for at in told_since) or smallest(Delivery, clock.overdue(late), "due_at"):
        health.warning("hooks", "hooks were not run for an hour", f"run `{PROGRAM} hooks run --every 5`")


def _usage(health: Health, now: datetime) -> None:
    made, _ = counts(UsageRecord, "state", (UsageState.PENDING, UsageState.REFUSED, UsageState.REVIEW))
    health.facts["usage"] = made
    for state in (UsageState.REFUSED, UsageState.REVIEW):
        if made.get(state):
            do = f"see `usage list --state {state}`, then `usage resend` or `usage mark-sent`"
            health.problem("usage", f"{made[state]} usage records are {_IN[state]}", do)
    if smallest(UsageRecord, clock.overdue(now - SLOW), "due_at"):
        health.warning("usage", "usage records were not sent for an hour", f"run `{PROGRAM} usage run --every 5`")


_IN = {UsageState.REFUSED: "refused by Stripe", UsageState.REVIEW: "in review: Stripe may have counted them"}


def _erasures(health: Health, now: datetime) -> None:
    where = {"due_at": {"$type": "date"}, "scrubbed_at": None, "requested_at": {"$lt": now - SLOW}}
    unfinished = Erasure._get_collection().find_one(where, {"_id": 1})
    if unfinished is not None:
        told = f"the erasure of customer {unfinished['_id']} is not finished"
        health.warning("erasure", told, f"run `erase {unfinished['_id']}` again: it says what it waits for")


def _names(health: Health) -> None:
    """Name customers whose username looks like another's; an older version accepted it (sync/runs/migrations.py)."""
    known = (State.read(ALIKE) or {}).get("ids", [])[:NAMED]
    customers = Customer.objects(id__in=known, is_current=True).only("username", "username_key") if known else ()
    apart = [str(each.id) for each in customers if each.username and fold(each.username) != each.username_key]
    if apart:
        told = f"the usernames of these customers look like those of others: {', '.join(apart)}"
        health.warning(
            "usernames", told, "PATCH one of each pair to another username; until then each is found by its own"
        )
