"""Adopt: give a document to an object that others made, unless it may belong to a document of ours that is in doubt."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from models import Status, SyncedDocument, clock
from models.absorb import Evidence
from models.event import EventState
from models.keys import Key
from sync.connection import current, log
from sync.evidence import from_event, from_reply, hand_over, needs_look, request_key
from sync.find import BEFORE
from sync.gateway import Reply
from sync.listing import born
from sync.look import bears, look, resembles

SETTLES = timedelta(minutes=15)  # by then, whoever was making an object has linked it


@dataclass(frozen=True)
class Verdict:
    """What became of an event; while it is open, it is due again after `due`."""

    state: EventState
    why: str | None = None
    due: timedelta = timedelta(seconds=60)
    adopted: bool = False  # its object has a document now: what came before it may be applied
    ours: bool = True  # whether it is of this account and mode: hooks hear of nothing else
    erased: bool | None = None  # whether it is about somebody who was forgotten; None: nobody has asked


def unknown_object(model: type[SyncedDocument], event: dict[str, Any], *, quick: bool) -> Verdict:
    """Decide about an event of an object that no document has. Raises CannotLook."""
    remote, evidence = event["data"]["object"], from_event(model, event)
    if model.resource.mirrored:
        return _copied(model, remote, evidence, quick=quick)
    first = not _late(event) and (event["type"] == model.resource.created_event or not model.resource.announced)
    wanted = current().settings.adopt or model.resource.mark
    if first and wanted and evidence.remote is None and not evidence.gone:  # it does not show what is to be judged
        reply = current().gateway.get(model.resource.url(remote["id"]), quick=quick)
        if reply is None or reply.gone:
            return Verdict(EventState.IGNORED, "about an unknown object that is gone")
        remote, evidence = reply.remote, from_reply(model, reply)
    if verdict := _by_mark(model, remote, evidence):
        return verdict
    if not current().settings.adopt:  # a document that is being made may not know its object yet
        state = EventState.IGNORED if _late(event) else EventState.WAITING
        return Verdict(state, "an unknown object, and ADOPT=no", SETTLES)
    if owners := model.with_twins(remote["id"]):
        for owner in owners:
            hand_over(model, {"_id": owner.id}, evidence)
        return Verdict(EventState.APPLIED, "a twin of a document here: undone, or to be")
    maker = Key.parse(request_key(event)) if first else None
    if maker and maker.installation != current().installation:
        return Verdict(EventState.IGNORED, "made by another installation")
    aside = maker is not None and maker.kind != model.resource.kind  # a subscription makes its invoices
    if first and evidence.remote is not None and (maker is None or aside):
        rival = None if aside else in_doubt(model, remote, int(event["created"]))
        if rival is not None:
            return Verdict(EventState.WAITING, f"may be the object of document {rival.id}", SETTLES)
        return _adopted(model, evidence)
    if quick:
        return Verdict(EventState.WAITING, "about an unknown object", SETTLES)
    return _look_and_adopt(model, remote["id"])


def _copied(model: type[SyncedDocument], remote: dict[str, Any], evidence: Evidence, *, quick: bool) -> Verdict:
    """Give an object of a mirrored type a document at once: none of ours can be in doubt about it.

    Its end gets one, too, so that what comes late does not bring it back.
    """
    if evidence.remote is None and not evidence.gone:  # rendered in another API version
        path = model.resource.address(remote)
        reply = current().gateway.get(path, quick=quick) if path else None
        if reply is None or reply.gone:
            return Verdict(EventState.IGNORED, "about an unknown object that is gone")
        evidence = from_reply(model, reply)
    return _adopted(model, evidence)


def _late(event: dict[str, Any]) -> bool:
    """Whether an event is so old that its object may have been deleted, and the deletion closed, since."""
    return int(event["created"]) < (clock.now() - SETTLES).timestamp()


def _look_and_adopt(model: type[SyncedDocument], stripe_id: str) -> Verdict:
    gateway = current().gateway
    reply = gateway.get(model.resource.url(stripe_id))
    if reply is None or reply.gone:
        return Verdict(EventState.IGNORED, "about an unknown object that is gone")
    age = timedelta(seconds=reply.latest - (born(reply.remote) or 0))
    if age < SETTLES:
        return Verdict(EventState.WAITING, "about an unknown object", SETTLES - age)
    return adopt_if_nobodys(model, reply, creating_key(model, reply.remote))


def creating_key(model: type[SyncedDocument], remote: dict[str, Any]) -> str | None:
    """Return the key of the call that made an object, as its creating event tells, or None. Raises CannotLook."""
    if not model.resource.announced:
        return None
    at = born(remote)
    window: dict[str, Any] = {} if at is None else {"created": {"gte": at - 60, "lte": at + 60}}
    for page in current().gateway.pages("/v1/events", types=[model.resource.created_event], **window):
        for event in page.remote["data"]:
            if event["data"]["object"]["id"] == remote["id"]:
                return request_key(event)
    return None


def adopt_if_nobodys(model: type[SyncedDocument], reply: Reply, key: str | None) -> Verdict:
    """Give an object that was read a document: the one whose key made it, or a new one."""
    if model.resource.mirrored:
        return _adopted(model, from_reply(model, reply))
    maker = Key.parse(key)
    if maker and maker.installation != current().installation:
        return Verdict(EventState.IGNORED, "made by another installation")
    evidence = from_reply(model, reply)
    if verdict := _by_mark(model, reply.remote, evidence):
        return verdict
    if maker and (owner := hand_over(model, {"_id": maker.document, "key": str(maker)}, evidence)):
        return Verdict(EventState.APPLIED, f"made by document {owner.id}")
    rival = in_doubt(model, reply.remote) if maker is None else None
    if rival is not None:
        return Verdict(EventState.WAITING, f"may be the object of document {rival.id}", SETTLES)
    return _adopted(model, evidence)


def _adopted(model: type[SyncedDocument], evidence: Evidence) -> Verdict:
    try:
        document = model.adopt(evidence)
        log.info("%s %s adopts %s", model.resource.kind, document.id, evidence.stripe_id)
    except DuplicateKeyError:  # somebody was faster; the document that is there absorbs it
        _given(model, {"stripe_id": evidence.stripe_id}, evidence)
    return Verdict(EventState.APPLIED, adopted=True)


def _given(model: type[SyncedDocument], where: dict[str, Any], evidence: Evidence) -> None:
    holder = hand_over(model, where, evidence)
    if holder is not None and needs_look(holder, evidence):
        look(holder)


def _by_mark(model: type[SyncedDocument], remote: dict[str, Any], evidence: Evidence) -> Verdict | None:
    """Hand an object to the document whose mark it bears; unless all else is as staged, a person decides."""
    owner = model.marked(remote)
    if owner is None:
        return None
    if bears(owner, remote):
        _given(model, {"_id": owner.id}, evidence)
        return Verdict(EventState.APPLIED, f"bears the mark of document {owner.id}")
    if owner.review is None:
        owner.ask_for_review(f"{remote['id']} bears its mark, but was not made as this document says")
    return Verdict(EventState.WAITING, f"may be the object of document {owner.id}", SETTLES)


def in_doubt(model: type[SyncedDocument], remote: dict[str, Any], told_at: int | None = None) -> SyncedDocument | None:
    """Return a document in doubt whose object this may be; `told_at` is the second of the event that told of it.

    That document is put in review, unless its first attempt is still under way: then waiting is enough.
    """
    for document in model.doubtful(remote):
        if not may_be_of(document, remote, told_at):
            continue
        assert document.operation is not None
        if document.review is None and (document.operation.doubt or document.status == Status.ROLLED_BACK):
            document.ask_for_review(f"{remote['id']} may be its object: same fields, and no key tells")
        return document
    return None


def may_be_of(document: SyncedDocument, remote: dict[str, Any], told_at: int | None = None) -> bool:
    """Whether a document in doubt may have made an object: the same fields, made inside its send window.

    A payment link does not say when it was made; where its event does not, either, it may have been then.
    """
    operation = document.operation
    if operation is None or not resembles(document, remote):
        return False
    created = told_at if born(remote) is None else born(remote)
    if created is None:
        return True
    if created < int((operation.since - BEFORE).timestamp()):
        return False
    rolled_back = document.status == Status.ROLLED_BACK
    ended = document.updated_at + SETTLES if rolled_back and operation.stored_failure_at is None else None
    return ended is None or created <= ended.timestamp()
