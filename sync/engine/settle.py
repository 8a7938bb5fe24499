"""Settle: bring one overdue document to where it belongs, as the table says."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import from_now
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.belonging import CLOCK, let_go
from stripe_mongo_sync.sync.engine.composed import COMPOSED, tell
from stripe_mongo_sync.sync.engine.converge import APART, KEY_LASTS, Facts, Remedy, Sight, diagnose
from stripe_mongo_sync.sync.engine.evidence import from_reply, hand_over, needs_look, of_id
from stripe_mongo_sync.sync.engine.find import Finder
from stripe_mongo_sync.sync.engine.look import look, observe
from stripe_mongo_sync.sync.engine.push import push
from stripe_mongo_sync.sync.engine.undo import Brakes, undo
from stripe_mongo_sync.sync.errors import Forbidden
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.stripe.answers import Reply

PATIENCE = timedelta(minutes=5)  # between two looks at what may still be under way
ROUNDS = 4  # see, decide, see again: more would mean that the table has a loop


@dataclass
class Run:
    """What the settling of many documents shares."""

    dry: bool = False
    brakes: Brakes = field(default_factory=Brakes)
    finder: Finder = field(default_factory=Finder)
    counts: Counter[str] = field(default_factory=Counter)
    edited: list[str] = field(default_factory=list)  # some of the documents that were edited by hand, and which fields
    known_edits: set[int] = field(default_factory=set)  # hashes of their ids: each is told of once


def settle(
    document: SyncedDocument,
    run: Run,
    now: datetime,
    seen: tuple[Sight, Reply | None] = (Sight.UNSEEN, None),
) -> None:
    """Do what the table says about one document that is overdue at `now` and, unless the run is dry, claimed.

    With what was `seen` of its object just before, also about one that is at rest. Raises CannotLook, with the document
    untouched but for its lease.
    """
    if composed := COMPOSED.get(document.resource.kind):
        foreign = Facts(document, now, current().installation).foreign
        run.counts[Remedy.REVIEW if foreign else Remedy.FOLLOW] += 1
        if not run.dry:
            document.ask_for_review("a key of another installation") if foreign else composed.push(document)
        return
    (sight, reply), found = seen, None
    for _ in range(ROUNDS):
        remedy = diagnose(Facts(document, now, current().installation), sight)
        match remedy:
            case Remedy.FIND:
                sight, found = _find(document, run, now)
            case Remedy.LOOK:
                sight, reply = observe(document)
            case _:
                run.counts[remedy] += 1
                if not run.dry:
                    _do(remedy, document, run, found, reply, sight)
                    tell(document)
                return
    raise AssertionError(f"the table does not come to an end for {document.resource.kind} {document.id}")


def _find(document: SyncedDocument, run: Run, now: datetime) -> tuple[Sight, str | None]:
    try:
        return run.finder.find(document, now)
    except Forbidden as error:
        if now - sure(document.operation).since > KEY_LASTS:
            return Sight.CANDIDATE, f"Stripe may not be searched: {error}"
        raise


def _do(
    remedy: Remedy, document: SyncedDocument, run: Run, found: str | None, reply: Reply | None, sight: Sight
) -> None:
    model = type(document)
    match remedy:
        case Remedy.SEND:
            if (sending := document.sending()) is not None:
                push(sending)
        case Remedy.LINK:
            evidence = of_id(sure(found), "reconcile")
            linked = hand_over(model, {"_id": document.id}, evidence)
            if linked is not None and needs_look(linked, evidence):
                look(linked)
        case Remedy.REFRESH:
            document.see(from_reply(model, sure(reply)))
        case Remedy.DONE:
            document.see(from_reply(model, sure(reply)), operation=None, error=None)
        case Remedy.EXPIRE:
            problem = {
                "type": "expired",
                "code": None,
                "message": document.error.message if document.error else "Stripe did not do it; it is too late now.",
            }
            document.see(from_reply(model, sure(reply)), operation=None, error=problem)
        case Remedy.ROLL_BACK:
            told = document.error.message if document.error else "Stripe has no object of this key."
            document.give_up({"type": "rolled-back", "code": None, "message": told}, "reconcile", in_doubt=True)
        case Remedy.MISS:
            document.miss(APART)
        case Remedy.MARK_DELETED:
            _mark_deleted(document, run)
        case Remedy.UNDO:
            if not undo(document, run.brakes):
                run.counts.update({"braked": 1, Remedy.UNDO: -1})
        case Remedy.LEAVE if document.resource.kind == CLOCK and document.status == Status.DELETED:
            run.counts[Remedy.MARK_DELETED] += let_go(document)
        case Remedy.LEAVE:
            document.leave()
        case Remedy.WAIT:
            document.postpone(max(PATIENCE, backoff(1)))
        case Remedy.REVIEW if sight == Sight.LOST:
            reason = f"Stripe does not find {document.stripe_id}, and never deletes one: look in the Dashboard"
            document.ask_for_review(reason, missing_since=from_now())
            log.warning("%s %s needs a person: %s", document.resource.kind, document.id, reason)
        case Remedy.REVIEW:
            reason = found or "the evidence is ambiguous, and money or another installation is involved"
            document.ask_for_review(reason)
            log.warning("%s %s needs a person: %s", document.resource.kind, document.id, reason)


def look_at_absent(document: SyncedDocument, run: Run) -> bool:
    """Look at an active document that its list does not show; False when the brakes stopped it. Raises CannotLook.

    What is there and differs is stored. What is not found is judged by the table, save what somebody works on, or what
    was not found lately: that is due by its lease.
    """
    sight, reply = observe(document)
    if reply is not None and not reply.gone:
        evidence = from_reply(type(document), reply)
        if evidence.remote is not None and not document.is_as(evidence):
            run.counts["drift"] += 1
            if not run.dry and (seen := document.see(evidence)) is not None:
                tell(seen)
    elif document.lease is None and document.review is None:
        before = run.counts["braked"]
        settle(document, run, clock.now(), (sight, reply))
        return run.counts["braked"] == before
    return True


def _mark_deleted(document: SyncedDocument, run: Run) -> None:
    if not run.brakes.spend():
        run.counts.update({"braked": 1, Remedy.MARK_DELETED: -1})
        return
    gone = of_id(document.stripe_id or "", "reconcile", gone=True)
    hand_over(type(document), {"_id": document.id}, gone)
