"""Reconcile: one run drains the inbox, applies missed events, and resolves what is overdue.

Every step is idempotent and claims its rows, so runs may overlap and share the work, and a killed run is simply started
again. A run has no more than one page in memory. Before it changes anything, it verifies the Stripe account.
"""

from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from stripe_mongo_sync.models import Event, StagedDocument, UsageRecord, present_kinds
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import read_each, set_aside
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.tally import count, count_each, having
from stripe_mongo_sync.models.state import CHECKPOINT, CIRCUIT_BREAKER, HEARTBEAT, State, last_success
from stripe_mongo_sync.sync import traces
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.database.indexes import gaps, in_use
from stripe_mongo_sync.sync.engine.buyer import settle_customers
from stripe_mongo_sync.sync.engine.resolve import Run, resolve
from stripe_mongo_sync.sync.entitlements.changes import follow_access
from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, MissingPermission, Outage, WrongAccount
from stripe_mongo_sync.sync.inbox.checkpoint import (
    apply_missed_events,
    move_checkpoint,
    require_continuity,
    share_without_webhook,
    since,
)
from stripe_mongo_sync.sync.inbox.inbox import drain
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.personal.erase import continue_erasures
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.process.deadline import within_lease
from stripe_mongo_sync.sync.process.isolation import counted, isolated
from stripe_mongo_sync.sync.process.limits import OWNER_READS
from stripe_mongo_sync.sync.process.stop import STOP, Stopped
from stripe_mongo_sync.sync.runs.drift import Drifted
from stripe_mongo_sync.sync.runs.full_comparison import Coverage, compare_everything, restore_rows
from stripe_mongo_sync.sync.runs.progress import Backlog, OnProgress, ProgressStep, no_progress
from stripe_mongo_sync.sync.shop.usage import send_usage
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import EVENT_RETENTION, has_id
from stripe_mongo_sync.sync.stripe.throttle import Throttle

MAX_FAILURES_IN_A_ROW = 10  # documents that cannot be read; more, and the fault is Stripe's
SHOWN = 10  # of these documents in the report; all are logged
INBOX, EVENTS, OVERDUE = "1/3", "2/3", "3/3"  # the steps of a run
NEEDS_OPERATOR = ("review", "braked", "dead", "failed", "usage_refused", "usage_review")  # counts that need an operator
BREAKER_OPEN = (
    "circuit breaker open: a run reached its limit of undos and deletions, so none is done; check what "
    "`reconcile --full --dry-run` would do, then run `operations reset-breaker`"
)


@dataclass
class Report:
    """The result of a run: `exit_code` is 0 in sync or repaired, 1 needs an operator, 2 could not check everything."""

    counts: Counter[str] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)  # what could not be looked at, and why
    found_changes: bool = False  # a dry run that found something to do
    full: bool = False
    latched: bool = False  # the circuit breaker is open, since this run or an earlier one
    stopped: bool = False  # before everything was looked at
    coverage: Coverage = field(default_factory=Coverage)  # what a full comparison did not compare
    edited: list[str] = field(default_factory=list)  # documents that were edited by hand in MongoDB, and which fields
    drifted: Drifted = field(default_factory=Drifted)  # the documents that differed from Stripe, and the money at stake

    @property
    def exit_code(self) -> int:
        """See the class."""
        if self.unseen or self.stopped:
            return 2
        return 1 if self.found_changes or self.latched or any(self.counts[name] for name in NEEDS_OPERATOR) else 0

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        told = {"counts": dict(self.counts), "unseen": self.unseen, "full": self.full, "latched": self.latched}
        told |= {"stopped": True} if self.stopped else {}
        compared = {**asdict(self.coverage), "edited": self.edited, **self.drifted.as_json()} if self.full else {}
        return {**told, **compared, "exit_code": self.exit_code}

    @property
    def lines(self) -> list[str]:
        """What the command prints without `--json`."""
        return [str(self), *self.drifted.lines]

    def __str__(self) -> str:
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()) if count)
        missing, left = self.coverage.not_available, self.coverage.not_compared
        told = [*([done] if done else []), *([BREAKER_OPEN] if self.latched else [])]
        told += [f"not compared: {', '.join(f'{name} ({why})' for name, why in left.items())}"] if left else []
        told += [f"edited by hand in MongoDB: {', '.join(self.edited)}"] if self.edited else []
        told += ["stopped before everything was checked: the next run continues"] if self.stopped else []
        told = [*told, *self.unseen] or ["in sync: nothing to do"]
        return "; ".join([*told, *([f"not available for this account: {', '.join(missing)}"] if missing else [])])


@dataclass
class ReportedRun(Run):
    """A run that reports its progress."""

    on_progress: OnProgress = no_progress
    events_read: int = 0  # events of Stripe's list


def run_once(
    *,
    full: bool = False,
    dry: bool = False,
    owner_reads: int = OWNER_READS,
    patience: Throttle | None = None,
    on_progress: OnProgress = no_progress,
) -> Report:
    """Reconcile once. CannotReadStripe is not raised but in the report. With `dry`, write nothing.

    A full comparison spends `owner_reads` GETs on lists that need an owner. `patience` throttles the requests to
    Stripe. `on_progress` gets the progress, and may stop the run.
    """
    report = Report(full=full)
    run = ReportedRun(
        dry=dry, counts=report.counts, edited=report.edited, on_drift=report.drifted.add, on_progress=on_progress
    )
    try:
        with traces.span("reconcile"), patience.active() if patience else nullcontext():
            _run(report, run, owner_reads)
    except CannotReadStripe as error:
        report.unseen.append(error.advised)
    except Stopped:
        report.stopped = True
        return report  # of what was done; it proves nothing of the rest, so nothing is remembered of this run
    report.found_changes = dry and any(report.counts.values())
    report.counts.update(
        {name: count - report.counts[name] for name, count in count_needing_operator().items() if count}
    )
    report.latched = State.read(CIRCUIT_BREAKER) is not None
    if not dry:
        told = {"exit_code": report.exit_code, "counts": dict(report.counts), "unseen": report.unseen}
        if report.exit_code == 2:
            told["succeeded_at"] = last_success(State.read(HEARTBEAT))
        indexes = [name for each in gaps(current().settings, in_use()) for name in each.wrong]
        share = share_without_webhook(clock.now())
        State.write(HEARTBEAT, {**told, "missed": run.missed, "indexes": indexes, "without_webhook": share})
    return report


def _run(report: Report, run: ReportedRun, owner_reads: int) -> None:
    asked = report.full
    current().gateway.verify_account(bind=not run.dry)
    checkpoint = State.read(CHECKPOINT)
    begin = since(checkpoint)
    pages = current().gateway.pages("/v1/events", created={"gte": begin})
    newest = next(pages)
    now = newest.earliest
    if checkpoint is None or now - checkpoint["read_at"] > EVENT_RETENTION.total_seconds():
        log.warning("checkpoint missing or older than 29 days: comparing every object instead of events")
        report.full = True
    else:
        require_continuity(checkpoint, newest, now)
    left_out: dict[str, str] = {}
    if report.full:
        restore_rows(run, left_out)
    if run.dry:
        run.counts["event_due"] += Event.objects(__raw__=clock.overdue(clock.now())).count()
    else:
        drain_inbox(run)
    kept = True
    for page in chain([newest], pages):
        kept = apply_missed_events(page, run) and kept
        report_progress(page, now, begin, run)
    left_out |= resolve_overdue(run)
    if report.full:
        whole = compare_everything(
            run, left_out, report.coverage, absent=asked, owner_reads=owner_reads, on_progress=run.on_progress
        )
        kept = whole and kept
    report.unseen.extend(left_out.values())
    if run.dry:
        return
    with isolated(run.counts, "access"):
        follow_access()
    settle_customers(run.counts)
    with isolated(run.counts, "an erasure"):
        run.counts["erased"] += continue_erasures()
    if kept:
        move_checkpoint(checkpoint, newest)


def _send_usage(run: ReportedRun) -> dict[str, str]:
    """Send the usage records that are due; return why, if the key may not."""
    if run.dry:
        run.counts["usage_due"] += UsageRecord.objects(__raw__=clock.overdue(clock.now())).count()
        return {}
    try:
        counts = send_usage()
        run.counts["failed"] += counts.pop("failed", 0)
        run.counts.update({f"usage_{outcome}": number for outcome, number in counts.items()})
    except MissingPermission as error:
        return {"usage": str(error)}
    return {}


def drain_inbox(run: ReportedRun) -> None:
    """Apply what is due in the inbox."""
    inbox = Backlog(run.on_progress, "inbox", INBOX, lambda: Event.objects(__raw__=clock.overdue(clock.now())).count())

    def noted(state: EventState) -> None:
        run.counts[f"event_{state}"] += 1
        inbox.advance()

    drain(noted, run.counts)
    inbox.end()


def report_progress(page: Reply, now: int, since: int, run: ReportedRun) -> None:
    """Report how far the list of events is read. It is newest first, so the age of the events shows it."""
    events, more = page.remote["data"], bool(page.remote.get("has_more"))
    run.events_read += len(events)
    oldest = events[-1]["created"] if more and has_id(events[-1]) else now
    share = (now - oldest) / (now - since) if more else 1.0
    run.on_progress(ProgressStep("events", EVENTS, run.events_read, lambda: min(max(share, 0.0), 1.0), done=not more))
    STOP.here()


def resolve_overdue(run: ReportedRun) -> dict[str, str]:
    """Claim and resolve every overdue document, and send the usage that is due; return the kinds and documents that
    were left out, and why.
    """
    left_out: dict[str, str] = {}
    moment, present = clock.now(), present_kinds()
    worked: list[type[OwnRows]] = [*present.values(), UsageRecord]
    due = having(worked, clock.overdue(moment))
    if UsageRecord in due:
        left_out |= _send_usage(run)
    for kind, model in present.items():
        if model not in due:
            continue
        try:
            if run.dry:
                for document in read_each(model, clock.overdue(moment), counted(run.counts, kind)):
                    with isolated(run.counts, f"{kind} {document.id}"):
                        resolve(document, run, moment)
            else:
                _resolve_kind(model, run, moment, left_out)
        except MissingPermission as error:
            left_out[kind] = str(error)
    return left_out


def _resolve_kind(model: type[StagedDocument], run: ReportedRun, moment: datetime, left_out: dict[str, str]) -> None:
    due = clock.overdue(moment)
    overdue = Backlog(run.on_progress, f"overdue {model.plural()}", OVERDUE, lambda: model.objects(__raw__=due).count())
    failed = 0
    for claimed in model.claim_due(moment, counted(run.counts, model.resource.kind)):
        failure = _resolve_claimed(claimed, run)
        failed = failed + 1 if failure else 0
        if failure:
            about = f"{model.resource.kind} {claimed.id}"
            log.warning("%s cannot be read: %s", about, failure)
            if len(left_out) < SHOWN:
                left_out[about] = failure
        if failure and failed > MAX_FAILURES_IN_A_ROW:
            raise CannotReadStripe(failure)
        overdue.advance()
    overdue.end()


@within_lease
def _resolve_claimed(claimed: StagedDocument, run: Run) -> str | None:
    """Resolve a claimed document; return why it could not be read. Raises what concerns more than this document."""
    wait = backoff(claimed.operation.attempts if claimed.operation else 1)
    rows = claimed.own_rows()
    try:
        about = f"{claimed.resource.kind} {claimed.id}"
        with isolated(run.counts, about, lambda error: set_aside(rows, claimed.id, wait)):
            resolve(claimed, run, claimed.claimed_at)
    except CannotReadStripe as error:
        claimed.reschedule(wait)
        if isinstance(error, MissingPermission | BadKey | WrongAccount | Outage):
            raise
        return str(error)  # one object that cannot be read must not hold up the others
    return None


def count_needing_operator() -> dict[str, int]:
    """Return how many documents are in review, and how many events are dead."""
    return {
        "review": count_each(present_kinds().values(), {"review_reason": {"$type": "string"}}),
        "dead": count(Event, {"state": EventState.DEAD}),
    }
