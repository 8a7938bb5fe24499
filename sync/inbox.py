"""The inbox: Stripe to MongoDB. An event says which object to look at; it is evidence, never a command.

Applying is idempotent, so the row is written after it, already `applied`: two round trips for a normal event. Only
what could not be applied is stored as `received`, and drained later.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import DocumentTooLarge, OperationFailure, PyMongoError, WriteError

from models import Erasure, Event, Status, SyncedDocument, clock, kinds
from models.claimable import is_away
from models.event import MAX_ATTEMPTS, EventState, Via, bare, object_id
from models.keys import Key
from models.mirrored import REASONS
from models.scrub import mentioned
from models.state import OTHER_VERSION, STRIPE, State
from sync.adopt import Verdict, unknown_object
from sync.composed import is_followed, tell
from sync.connection import current, log
from sync.converge import backoff
from sync.errors import CannotLook, Outage
from sync.evidence import another_life, from_event, hand_over, needs_look, request_key
from sync.gateway import API_VERSION
from sync.isolation import counted, isolated
from sync.look import look
from sync.thin import THIN, as_snapshot

EVENT_ID = re.compile(r"evt_\w{1,250}", re.ASCII)
EVENT_TYPE = re.compile(r"[a-z0-9_.\[\]]{1,250}", re.ASCII)  # v2.core.account[identity].updated
OBJECT_ID = re.compile(r"(?!\.+$)[\w.-]{1,255}", re.ASCII)  # no path goes up by it
UNSTORABLE = (InvalidDocument, OverflowError, UnicodeEncodeError, DocumentTooLarge, WriteError, RecursionError)
LIMITS = {15: "nested too deep", 10334: "larger than 16 MB"}  # by MongoDB's code: it nests 180 levels at most


class Malformed(ValueError):
    """The body is not an event: it needs an id, a type and data."""


def parse(raw: bytes) -> dict[str, Any]:
    """Return the event in a body, a thin one as the snapshot event that it announces, or raise Malformed."""
    try:
        event = json.loads(raw)
        if isinstance(event, dict) and event.get("object") == THIN:
            event = as_snapshot(event)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(event, dict) or not isinstance(event.get("data", {}), dict):
        raise Malformed
    id, type, created = (event.get(name) for name in ("id", "type", "created"))
    if not (isinstance(id, str) and EVENT_ID.fullmatch(id) and isinstance(type, str) and EVENT_TYPE.fullmatch(type)):
        raise Malformed
    if event.get("object") == "event" and not (isinstance(created, int) and 0 <= created < 2**53):
        raise Malformed
    return event


def canonical(event: dict[str, Any]) -> bytes:
    """Return the bytes to keep of an event that was read from Stripe's list instead of delivered."""
    return json.dumps(event, separators=(",", ":")).encode()


def receive(raw: bytes) -> EventState | None:
    """Apply an event whose signature was verified, and keep it. Return its state, or None when it was known already.

    Raises Malformed; PyMongoError when it could not be stored, so that Stripe must send it again.
    """
    event = parse(raw)
    verdict = attempt(event, quick=True)
    return verdict.state if keep(event, raw, verdict, Via.WEBHOOK) else None


def keep(event: dict[str, Any], raw: bytes, verdict: Verdict, via: Via = Via.LIST) -> bool:
    """Keep an event and what became of it; False when it was known. After an adoption, apply what waited for it."""
    stored = Event.record(
        event, raw, verdict.state, verdict.why, verdict.due, tell=verdict.ours, via=via, erased=_erased(verdict, raw)
    )
    if verdict.adopted:
        for row in Event.waiting(object_id(event) or ""):
            claimed = row.claim()
            if claimed is not None:
                drain_one(claimed)
    return stored


def _erased(verdict: Verdict, raw: bytes) -> bool:
    """Whether an event is about somebody who was forgotten; a document that is known has said so already."""
    return Erasure.concerns(mentioned(raw)) if verdict.erased is None else verdict.erased


def attempt(event: dict[str, Any], *, quick: bool) -> Verdict:
    """Apply an event and return what became of it; whatever goes wrong becomes a verdict.

    Only that MongoDB is away rises, as nothing can be said or kept without it, and an Outage, which no event causes.
    """
    try:
        return apply(event, quick=quick)
    except Outage:
        raise
    except CannotLook as error:
        return Verdict(EventState.RECEIVED, str(error))
    except Exception as error:  # one event that we cannot digest must not hold up the others, nor be lost
        if (why := unstorable(error)) is not None:
            return Verdict(EventState.DEAD, f"cannot be stored: {why}")
        if isinstance(error, PyMongoError):  # what it says quotes the document
            if is_away(error):
                raise
            error = RuntimeError(f"MongoDB cannot change its document ({getattr(error, 'code', None)})")
        log.exception("event %s cannot be applied", event["id"])
        return Verdict(EventState.RECEIVED, f"{type(error).__name__}: {error}")


def unstorable(error: Exception) -> str | None:
    """Return why MongoDB can never keep this, or None where that is not what `error` says."""
    if isinstance(error, OperationFailure) and error.code in LIMITS:
        return LIMITS[error.code]
    return type(error).__name__ if isinstance(error, UNSTORABLE) else None


def apply(event: dict[str, Any], *, quick: bool) -> Verdict:
    """Let the document that an event is about absorb it, and what is made of it follow. Raises CannotLook."""
    reason = foreign(event)
    if reason:
        return Verdict(EventState.IGNORED, reason, ours=False)
    reason = unkept(event)
    if reason:
        return Verdict(EventState.IGNORED, reason)
    remote = event["data"]["object"]
    model = kinds()[str(remote["object"])]
    verdict = _absorb(model, remote, event, quick=quick)
    if is_followed(model) and (document := model.of(remote["id"])) is not None:
        tell(document)
    return verdict


def _absorb(model: type[SyncedDocument], remote: dict[str, Any], event: dict[str, Any], *, quick: bool) -> Verdict:
    evidence = from_event(model, event)
    note_version(event)
    document = hand_over(model, _where(model, event), evidence)
    if document is None or another_life(document, remote):
        return unknown_object(model, event, quick=quick)
    erased = document.erased_at is not None
    if evidence.stripe_id in document.orphans:
        return Verdict(EventState.APPLIED, "a twin of this document: to be undone", erased=erased)
    if document.status == Status.ACTIVE and evidence.latest < (document.seen_at or 0):
        state = EventState.APPLIED if document.digest == evidence.digest else EventState.STALE
        return Verdict(state, erased=erased)
    if needs_look(document, evidence) or model.resource.kind in current().settings.revalidate:
        look(document, quick=quick, told_gone=evidence.gone)
    return Verdict(EventState.APPLIED, erased=erased)


def note_version(event: dict[str, Any]) -> None:
    """Remember for `status` that events come in another API version than ours: then each of them costs a GET.

    A thin event is in none, and costs one by its nature.
    """
    if event.get("api_version") not in (API_VERSION, None):
        State.write(OTHER_VERSION, {"version": str(event.get("api_version"))})


def foreign(event: dict[str, Any]) -> str | None:
    """Return why an event is none of our business, or None: it is not of this account and mode."""
    if event.get("object") != "event":
        return "neither a snapshot event nor a thin one"
    stripe = State.read(STRIPE) if event.get("account") else None
    if event.get("account") and event["account"] != (stripe or {}).get("account"):
        return "of another account"
    if event.get("livemode") is not current().settings.livemode:
        return "of the other mode"
    return None


def unkept(event: dict[str, Any]) -> str | None:
    """Return why nothing here keeps the object of an event, or None."""
    remote = event.get("data", {}).get("object")
    kind = str(remote.get("object")) if isinstance(remote, dict) else ""
    known = kinds().get(kind)
    if event["type"] in REASONS or known is None or not (known.resource.path or known.resource.mirrored):
        why = REASONS.get(event["type"]) or REASONS.get(kind)
        return "of a type that is not kept here" + (f": {why}" if why else "")
    if not OBJECT_ID.fullmatch(object_id(event) or ""):
        return "about an object without an id"
    return None


def _where(model: type[SyncedDocument], event: dict[str, Any]) -> dict[str, Any]:
    """Return the query of the document that an event is about.

    One key causes events about several objects: it names a document only on the creation of that document's kind.
    """
    key = Key.parse(request_key(event))
    ours = key and (key.installation, key.kind) == (current().installation, model.resource.kind)
    if key and ours and event["type"] == model.resource.created_event:
        return {"_id": key.document, "key": str(key)}
    return {"stripe_id": event["data"]["object"]["id"]}


def drain(note: Callable[[EventState], None] = lambda state: None, counts: Counter[str] | None = None) -> None:
    """Apply every open row that is due, and `note` what became of each. Several at once share the work.

    One that nobody can work on counts as `failed`. Raises Outage: what is left is left as it was.
    """
    failed = Counter[str]() if counts is None else counts
    for claimed in Event.claims(clock.now(), counted(failed, "event")):
        with isolated(failed, f"event {claimed.id}"):
            note(drain_one(claimed))


def drain_one(row: Event) -> EventState:
    """Apply a claimed row and say what became of it; after `MAX_ATTEMPTS` it is dead."""
    try:
        event = parse(row.raw)
    except Malformed:
        row.settle(EventState.DEAD, "cannot be read: it is no event")
        return EventState.DEAD
    verdict = attempt(event, quick=False)
    if verdict.state == EventState.RECEIVED and row.attempts >= MAX_ATTEMPTS:
        verdict = Verdict(EventState.DEAD, verdict.why)
    due = backoff(row.attempts) if verdict.state == EventState.RECEIVED else verdict.due
    row.settle(verdict.state, verdict.why, due, bare(event) if row.erased_at or _erased(verdict, row.raw) else None)
    return verdict.state
