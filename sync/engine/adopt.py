"""Adopt: insert a document for an object that somebody else created, unless it may be that of a document in doubt."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import Event, Status, SyncedDocument
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.base.queries import DOUBT_LASTS
from stripe_mongo_sync.models.event import GONE, OTHER_INSTALLATION, WITHOUT_ADOPTION, EventState
from stripe_mongo_sync.models.event_body import creation_key
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import needed, needs
from stripe_mongo_sync.sync.engine.find import (
    CLOCK_SKEW,
    Creation,
    Creations,
    known_creations,
    link_or_give_up,
    may_be,
    page,
)
from stripe_mongo_sync.sync.engine.observations import from_event, from_reply, merge_observation, needs_refresh
from stripe_mongo_sync.sync.engine.refresh import carries_correlation_id, refresh, resembles
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import LAG, made_at

ADOPTION_DELAY = timedelta(minutes=15)  # after an event: by then, a process that created its object has linked it
WAITS = DOUBT_LASTS + timedelta(days=1)  # how long an event waits for a decision; by then, every other doubt has ended
LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class EventResult:
    """The result of applying an event. An event that is not finished is due again after `due`."""

    state: EventState
    why: str | None = None
    due: timedelta = timedelta(seconds=60)
    adopted: bool = False  # its object has a document now, so that earlier events can be applied
    ours: bool = True  # whether it is of this account and mode: others give hooks no notice
    erased: bool | None = None  # whether it is about an erased person; None: not checked
    as_of: datetime | None = None  # when `erased` was checked, by MongoDB's clock
    waits_for: ObjectId | None = None  # the document whose object its object may be


def apply_to_unknown(model: type[SyncedDocument], event: dict[str, Any], *, quick: bool) -> EventResult:
    """Apply an event about an object that has no document. Raises CannotReadStripe."""
    remote, evidence = event["data"]["object"], from_event(model, event)
    if model.resource.mirrored:
        return _copied(model, remote, evidence, quick=quick)
    made = _creation(model, event)
    if made is not None and made.is_theirs:
        if evidence.deleted:
            Event.forget_maker(remote["id"])
        return EventResult(EventState.IGNORED, OTHER_INSTALLATION)
    left = _left(event)
    first = bool(left) and (event["type"] == model.resource.created_event or not model.resource.has_created_event)
    adopts, followed = current().settings.adopt, needs(model.resource.kind)
    wanted = adopts or followed or model.resource.correlation_field
    blank = evidence.remote is None  # the event does not show the object
    if first and wanted and (blank or evidence.unshown) and not evidence.deleted:
        reply = current().gateway.get(model.resource.object_path(remote["id"]), quick=quick)
        if reply.gone if reply else blank:
            return EventResult(EventState.IGNORED, GONE)
        if reply:  # otherwise the event shows the object, and one 404 proves nothing
            remote, evidence = reply.remote, from_reply(model, reply)
    if verdict := _link_by_correlation_id(model, remote, evidence, quick=quick):
        return _patient(verdict, event)
    if not adopts and remote["id"] not in needed(model.resource.kind, [remote]):
        # A document that is being created may not know its object yet; neither may a dependent, before earlier events.
        waits = bool(left) or (followed and not _overtaken(event))
        return _patient(EventResult(EventState.WAITING if waits else EventState.IGNORED, WITHOUT_ADOPTION), event)
    if owners := model.with_orphans(remote["id"]):
        for owner in owners:
            merge_observation(model, {"_id": owner.id}, evidence)
        return EventResult(EventState.APPLIED, "an orphan of a document here: it is undone, or will be")
    maker = made.maker if made else None
    aside = maker is not None and maker.kind != model.resource.kind  # a subscription makes its invoices
    if first and evidence.remote is not None and (maker is None or aside):
        rival = None if aside else find_in_doubt(model, remote, int(event["created"]), told=True)
        return _patient(_may_be_of(rival), event) if rival else _adopted(model, evidence, quick=quick)
    if quick or left:
        return EventResult(EventState.WAITING, "about an unknown object", left)
    suspects = Event.objects(object_id=remote["id"], state=EventState.WAITING).distinct("waits_for")
    if rival := next(iter(model.in_doubt_documents(among=suspects)), None) if suspects else None:
        return _patient(_may_be_of(rival), event)  # nothing to read before that is decided
    return _patient(_look_and_adopt(model, event, made), event)


def _creation(model: type[SyncedDocument], event: dict[str, Any]) -> Creation | None:
    """Return what this event, or else the inbox, says of the creation of its object."""
    remote, at = event["data"]["object"], int(event["created"])
    key = creation_key(event)
    if key is not None:
        return Creation(event["id"], at, key)
    return known_creations(model, [remote], at).get(remote["id"])


def _may_be_of(document: SyncedDocument) -> EventResult:
    return EventResult(
        EventState.WAITING, f"may be the object of document {document.id}", ADOPTION_DELAY, waits_for=document.id
    )


def _patient(verdict: EventResult, event: dict[str, Any]) -> EventResult:
    """Let an event that waits for a decision be due again after a quarter of its age; after `WAITS`, give it up."""
    if verdict.state != EventState.WAITING:
        return verdict
    age = clock.now() - datetime.fromtimestamp(int(event["created"]), UTC)
    if age > WAITS:
        return replace(verdict, state=EventState.DEAD, why=f"{verdict.why}; nobody decided that in {WAITS.days} days")
    return replace(verdict, due=_left(event) or min(max(age / 4, ADOPTION_DELAY), LONGEST_WAIT))


def _copied(model: type[SyncedDocument], remote: dict[str, Any], evidence: Observation, *, quick: bool) -> EventResult:
    """Insert a document for an object of a mirrored type immediately: no document can be in doubt about it.

    A deletion gets a document, too, so that a late event does not bring the object back.
    """
    if evidence.remote is None and not evidence.deleted:  # rendered in another API version
        path = model.resource.read_path(remote)
        reply = current().gateway.get(path, quick=quick) if path else None
        if reply is None or reply.gone:
            return EventResult(EventState.IGNORED, GONE)
        evidence = from_reply(model, reply)
    return _adopted(model, evidence, quick=quick)


def _left(event: dict[str, Any]) -> timedelta:
    """Return how long an event must still wait for a process that may be creating its object; zero: no longer.

    The event's time counts, never the object's: a test clock dates objects weeks ahead.
    """
    age, whole = clock.now().timestamp() - int(event["created"]), ADOPTION_DELAY.total_seconds()
    return timedelta(seconds=min(max(whole - age, 0.0), whole))


def _overtaken(event: dict[str, Any]) -> bool:
    """Whether reconcile has read all earlier events: a dependent that does not know the object by now never will."""
    checkpoint = State.read(CHECKPOINT)
    return checkpoint is not None and int(event["created"]) <= checkpoint["read_at"] - LAG


def _look_and_adopt(model: type[SyncedDocument], event: dict[str, Any], made: Creation | None) -> EventResult:
    reply = current().gateway.get(model.resource.object_path(event["data"]["object"]["id"]))
    if reply is None or reply.gone:
        return EventResult(EventState.IGNORED, GONE)
    if made is None:
        made = Creations(model).of([reply.remote], int(event["created"])).get(reply.remote["id"])
    return adopt_unless_ours(model, reply, made)


def adopt_unless_ours(model: type[SyncedDocument], reply: Reply, made: Creation | None) -> EventResult:
    """Link an object that was read to the document whose key created it, or adopt it."""
    if model.resource.mirrored:
        return _adopted(model, from_reply(model, reply))
    if made is not None and made.is_theirs:
        made.keep(model, reply.remote["id"])
        return EventResult(EventState.IGNORED, OTHER_INSTALLATION)
    evidence = from_reply(model, reply)
    if verdict := _link_by_correlation_id(model, reply.remote, evidence):
        return verdict
    maker = made.maker if made else None
    if maker and (owner := merge_observation(model, {"_id": maker.document, "creation_key": str(maker)}, evidence)):
        return EventResult(EventState.APPLIED, f"created by document {owner.id}")
    rival = find_in_doubt(model, reply.remote, reply.latest) if maker is None else None
    return _may_be_of(rival) if rival else _adopted(model, evidence)


def _adopted(model: type[SyncedDocument], evidence: Observation, *, quick: bool = False) -> EventResult:
    try:
        document = model.adopt(evidence)
        log.info("%s %s adopts %s", model.resource.kind, document.id, evidence.stripe_id)
        Event.reopen_unadopted([evidence.stripe_id], evidence.earliest)
    except DuplicateKeyError:  # another process was first; merge into its document
        if _given(model, {"stripe_id": evidence.stripe_id}, evidence, quick=quick) is None:
            return EventResult(
                EventState.RECEIVED, f"a row in {model._get_collection_name()} that is not ours has its id"
            )
    return EventResult(EventState.APPLIED, adopted=True)


def _given(
    model: type[SyncedDocument], where: dict[str, Any], evidence: Observation, *, quick: bool
) -> SyncedDocument | None:
    holder = merge_observation(model, where, evidence)
    if holder is not None and needs_refresh(holder, evidence):
        refresh(holder, quick=quick)
    return holder


def _link_by_correlation_id(
    model: type[SyncedDocument], remote: dict[str, Any], evidence: Observation, *, quick: bool = False
) -> EventResult | None:
    """Link an object to the document whose correlation id it carries; if other fields differ, an operator decides."""
    owner = model.by_correlation_id(remote)
    if owner is None:
        return None
    if carries_correlation_id(owner, remote):
        _given(model, {"_id": owner.id}, evidence, quick=quick)
        return EventResult(EventState.APPLIED, f"carries the correlation id of document {owner.id}")
    if owner.review_reason is None:
        told = f"{remote['id']} carries its correlation id, but its other fields differ from those that were sent"
        owner.send_to_review(f"{told}. {page(owner, remote['id'])}. {link_or_give_up(owner, remote['id'])}")
    return _may_be_of(owner)


def find_in_doubt(
    model: type[SyncedDocument], remote: dict[str, Any], seen_at: int, *, told: bool = False
) -> SyncedDocument | None:
    """Return a document in doubt whose object this may be: see `is_candidate`.

    It sends that document to review, unless its first attempt is still in flight: then waiting is enough.
    """
    for document in model.in_doubt_documents(remote):
        if not is_candidate(document, remote, seen_at, told=told):
            continue
        unsure = document.status == Status.ROLLED_BACK or sure(document.operation).outcome_unknown
        if document.review_reason is None and unsure:
            document.send_to_review(may_be(document, remote["id"]))
        return document
    return None


def is_candidate(document: SyncedDocument, remote: dict[str, Any], seen_at: int, *, told: bool = False) -> bool:
    """Whether a document in doubt may have created an object: same fields, created while its operation was sent.

    The object existed at the second `seen_at`; with `told`, that is the second of its creation event. A payment link
    has no creation time, and a test clock's is not real: without an event, any time is possible.
    """
    operation = document.operation
    if operation is None or not resembles(document, remote):
        return False
    created = made_at(remote, seen_at)
    if created is None and not told:
        return True
    created = seen_at if created is None else created
    if created < int((operation.staged_at - CLOCK_SKEW).timestamp()):
        return False
    rolled_back = document.status == Status.ROLLED_BACK
    ended = document.updated_at + ADOPTION_DELAY if rolled_back and operation.saved_error_at is None else None
    return ended is None or created <= ended.timestamp()
