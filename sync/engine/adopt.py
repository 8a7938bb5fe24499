"""Adopt: give a document to an object that others made, unless it may belong to a document of ours that is in doubt."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.base.merge import Observation
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.admission import why_not_ours
from stripe_mongo_sync.sync.engine.composite import NEEDED, needed
from stripe_mongo_sync.sync.engine.find import CLOCK_SKEW
from stripe_mongo_sync.sync.engine.observations import (
    from_event,
    from_reply,
    merge_observation,
    needs_refresh,
    request_key,
)
from stripe_mongo_sync.sync.engine.refresh import carries_correlation_id, refresh, resembles
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.stripe.answers import Reply
from stripe_mongo_sync.sync.stripe.listing import LAG, made_at

ADOPTION_DELAY = timedelta(minutes=15)  # after an event: by then, whoever was making its object has linked it


@dataclass(frozen=True)
class EventResult:
    """What became of an event; while it is open, it is due again after `due`."""

    state: EventState
    why: str | None = None
    due: timedelta = timedelta(seconds=60)
    adopted: bool = False  # its object has a document now: what came before it may be applied
    ours: bool = True  # whether it is of this account and mode: hooks hear of nothing else
    erased: bool | None = None  # whether it is about somebody who was forgotten; None: nobody has asked
    as_of: datetime | None = None  # when that was so, by MongoDB's clock


def apply_to_unknown(model: type[SyncedDocument], event: dict[str, Any], *, quick: bool) -> EventResult:
    """Decide about an event of an object that no document has. Raises CannotLook."""
    remote, evidence = event["data"]["object"], from_event(model, event)
    if model.resource.mirrored:
        return _copied(model, remote, evidence, quick=quick)
    left = _left(event)
    first = bool(left) and (event["type"] == model.resource.created_event or not model.resource.has_created_event)
    adopts, followed = current().settings.adopt, model.resource.kind in NEEDED
    wanted = adopts or followed or model.resource.correlation_field
    blank = evidence.remote is None  # it does not show what is to be judged
    if first and wanted and (blank or evidence.unshown) and not evidence.deleted:
        reply = current().gateway.get(model.resource.object_path(remote["id"]), quick=quick)
        if reply.gone if reply else blank:
            return EventResult(EventState.IGNORED, "about an unknown object that is gone")
        if reply:  # else one 404 proves nothing, and the event shows it
            remote, evidence = reply.remote, from_reply(model, reply)
    if verdict := _link_by_correlation_id(model, remote, evidence, quick=quick):
        return verdict
    if not adopts and remote["id"] not in needed(model, [remote]):
        # A document that is being made may not know its object yet; nor what follows it, before all that came first.
        waits = bool(left) or (followed and not _overtaken(event))
        state = EventState.WAITING if waits else EventState.IGNORED
        return EventResult(state, "an unknown object, and ADOPT=no", left or ADOPTION_DELAY)
    if owners := model.with_orphans(remote["id"]):
        for owner in owners:
            merge_observation(model, {"_id": owner.id}, evidence)
        return EventResult(EventState.APPLIED, "a twin of a document here: undone, or to be")
    maker = IdempotencyKey.parse(request_key(event)) if first else None
    if maker and maker.installation != current().installation:
        return EventResult(EventState.IGNORED, "made by another installation")
    aside = maker is not None and maker.kind != model.resource.kind  # a subscription makes its invoices
    if first and evidence.remote is not None and (maker is None or aside):
        rival = None if aside else find_in_doubt(model, remote, int(event["created"]), told=True)
        if rival is not None:
            return EventResult(EventState.WAITING, f"may be the object of document {rival.id}", ADOPTION_DELAY)
        return _adopted(model, evidence, quick=quick)
    if quick or left:
        return EventResult(EventState.WAITING, "about an unknown object", left)
    return _look_and_adopt(model, event)


def _copied(model: type[SyncedDocument], remote: dict[str, Any], evidence: Observation, *, quick: bool) -> EventResult:
    """Give an object of a mirrored type a document at once: none of ours can be in doubt about it.

    Its end gets one, too, so that what comes late does not bring it back.
    """
    if evidence.remote is None and not evidence.deleted:  # rendered in another API version
        path = model.resource.read_path(remote)
        reply = current().gateway.get(path, quick=quick) if path else None
        if reply is None or reply.gone:
            return EventResult(EventState.IGNORED, "about an unknown object that is gone")
        evidence = from_reply(model, reply)
    return _adopted(model, evidence, quick=quick)


def _left(event: dict[str, Any]) -> timedelta:
    """Return how long an event has to wait for whoever may be making its object; without any, that may be gone since.

    The event's time is asked, never the object's: a test clock dates objects weeks ahead.
    """
    age, whole = clock.now().timestamp() - int(event["created"]), ADOPTION_DELAY.total_seconds()
    return timedelta(seconds=min(max(whole - age, 0.0), whole))


def _overtaken(event: dict[str, Any]) -> bool:
    """Whether reconcile has read all that came before an event: what does not know its object by now, never will."""
    checkpoint = State.read(CHECKPOINT)
    return checkpoint is not None and int(event["created"]) <= checkpoint["read_at"] - LAG


def _look_and_adopt(model: type[SyncedDocument], event: dict[str, Any]) -> EventResult:
    reply = current().gateway.get(model.resource.object_path(event["data"]["object"]["id"]))
    if reply is None or reply.gone:
        return EventResult(EventState.IGNORED, "about an unknown object that is gone")
    return adopt_unless_ours(model, reply, creation_key_of(model, reply.remote, int(event["created"])))


def creation_key_of(model: type[SyncedDocument], remote: dict[str, Any], told_at: int) -> str | None:
    """Return the key of the call that made an object, of which an event told then, as its creating event tells.

    None: without a key, or nothing tells. Raises CannotLook.
    """
    if not model.resource.has_created_event:
        return None
    at = made_at(remote, told_at)
    window = {"lte": told_at + LAG} if at is None else {"gte": at - LAG, "lte": at + LAG}
    for page in current().gateway.pages("/v1/events", types=[model.resource.created_event], created=window):
        for event in page.remote["data"]:
            if event["data"]["object"]["id"] == remote["id"] and why_not_ours(event, quick=False) is None:
                return request_key(event)
    return None


def adopt_unless_ours(model: type[SyncedDocument], reply: Reply, key: str | None) -> EventResult:
    """Give an object that was read a document: the one whose key made it, or a new one."""
    if model.resource.mirrored:
        return _adopted(model, from_reply(model, reply))
    maker = IdempotencyKey.parse(key)
    if maker and maker.installation != current().installation:
        return EventResult(EventState.IGNORED, "made by another installation")
    evidence = from_reply(model, reply)
    if verdict := _link_by_correlation_id(model, reply.remote, evidence):
        return verdict
    if maker and (owner := merge_observation(model, {"_id": maker.document, "key": str(maker)}, evidence)):
        return EventResult(EventState.APPLIED, f"made by document {owner.id}")
    rival = find_in_doubt(model, reply.remote, reply.latest) if maker is None else None
    if rival is not None:
        return EventResult(EventState.WAITING, f"may be the object of document {rival.id}", ADOPTION_DELAY)
    return _adopted(model, evidence)


def _adopted(model: type[SyncedDocument], evidence: Observation, *, quick: bool = False) -> EventResult:
    try:
        document = model.adopt(evidence)
        log.info("%s %s adopts %s", model.resource.kind, document.id, evidence.stripe_id)
    except DuplicateKeyError:  # somebody was faster; the document that is there absorbs it
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
    """Hand an object to the document whose mark it bears; unless all else is as staged, a person decides."""
    owner = model.by_correlation_id(remote)
    if owner is None:
        return None
    if carries_correlation_id(owner, remote):
        _given(model, {"_id": owner.id}, evidence, quick=quick)
        return EventResult(EventState.APPLIED, f"bears the mark of document {owner.id}")
    if owner.review is None:
        owner.send_to_review(f"{remote['id']} bears its mark, but was not made as this document says")
    return EventResult(EventState.WAITING, f"may be the object of document {owner.id}", ADOPTION_DELAY)


def find_in_doubt(
    model: type[SyncedDocument], remote: dict[str, Any], seen_at: int, *, told: bool = False
) -> SyncedDocument | None:
    """Return a document in doubt whose object this may be: see `is_candidate`.

    That document is put in review, unless its first attempt is still under way: then waiting is enough.
    """
    for document in model.in_doubt_documents(remote):
        if not is_candidate(document, remote, seen_at, told=told):
            continue
        if document.review is None and (sure(document.operation).doubt or document.status == Status.ROLLED_BACK):
            document.send_to_review(f"{remote['id']} may be its object: same fields, and no key tells")
        return document
    return None


def is_candidate(document: SyncedDocument, remote: dict[str, Any], seen_at: int, *, told: bool = False) -> bool:
    """Whether a document in doubt may have made an object: the same fields, made inside its send window.

    It was there at the second `seen_at`; with `told`, that is when an event told that it was made. A payment link does
    not say when, and what a test clock dates says nothing: where no event tells, it may have been then.
    """
    operation = document.operation
    if operation is None or not resembles(document, remote):
        return False
    created = made_at(remote, seen_at)
    if created is None and not told:
        return True
    created = seen_at if created is None else created
    if created < int((operation.since - CLOCK_SKEW).timestamp()):
        return False
    rolled_back = document.status == Status.ROLLED_BACK
    ended = document.updated_at + ADOPTION_DELAY if rolled_back and operation.stored_failure_at is None else None
    return ended is None or created <= ended.timestamp()
