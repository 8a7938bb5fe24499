"""The inbox: applies Stripe's events to MongoDB. An event is an observation of an object, never a command.

Applying is idempotent, so the row is written afterwards, already `applied`: two round trips for a normal event. Only
an event that could not be applied is stored as `received`, and drained later.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import DocumentTooLarge, OperationFailure, PyMongoError, WriteError

from stripe_mongo_sync.models import Erasure, Event, Status, SyncedDocument, synced_kind
from stripe_mongo_sync.models.base.whose import left_by, owners_before, owners_of_event
from stripe_mongo_sync.models.event import MAX_ATTEMPTS, OTHER_INSTALLATION, EventState, Via
from stripe_mongo_sync.models.event_body import object_id, request_key, without_content
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import is_away
from stripe_mongo_sync.models.rows.indexes import Unguarded
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.state import OTHER_VERSION, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.admission import OTHERS, sample, why_not_mirrored, why_not_ours
from stripe_mongo_sync.sync.engine.adopt import EventResult, apply_to_unknown
from stripe_mongo_sync.sync.engine.dependents import notify_dependents_of
from stripe_mongo_sync.sync.engine.observations import (
    from_event,
    is_new_incarnation,
    merge_observation,
    needs_refresh,
)
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.errors import CannotReadStripe, Outage
from stripe_mongo_sync.sync.inbox.thin import LOST, THIN, as_snapshot, told_in_full
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.process.deadline import deadline_in, time_left
from stripe_mongo_sync.sync.process.isolation import counted, isolated
from stripe_mongo_sync.sync.stripe.answers import api_version

EVENT_ID = re.compile(r"evt_\w{1,250}", re.ASCII)
EVENT_TYPE = re.compile(r"[a-z0-9_.\[\]]{1,250}", re.ASCII)  # v2.core.account[identity].updated
UNSTORABLE = (InvalidDocument, OverflowError, UnicodeEncodeError, DocumentTooLarge, WriteError, RecursionError)
WEBHOOK = 3.0  # s that a webhook may read from Stripe: Stripe waits for our answer, and gives up a slow one
LIMITS = {15: "nested too deep", 10334: "larger than 16 MB"}  # by MongoDB's code: it nests 180 levels at most


class Malformed(ValueError):
    says = "The body is not an event: it needs an id, a type and data."


def parse(raw: bytes) -> dict[str, Any]:
    """Return the event in a body; a thin event becomes the snapshot event that it announces. Raises Malformed."""
    try:
        event = json.loads(raw)
        if isinstance(event, dict) and event.get("object") == THIN:
            event = as_snapshot(event)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(event, dict) or not isinstance(event.get("data", {}), dict):
        raise Malformed
    if isinstance(event.get("created"), float) and event["created"].is_integer():
        event["created"] = int(event["created"])  # in JSON, 1.0 and 1 are the same number
    id, type, created = (event.get(name) for name in ("id", "type", "created"))
    if not (isinstance(id, str) and EVENT_ID.fullmatch(id) and isinstance(type, str) and EVENT_TYPE.fullmatch(type)):
        raise Malformed
    if event.get("object") == "event" and not (isinstance(created, int) and 0 <= created < 2**53):
        raise Malformed
    return event


def to_bytes(event: dict[str, Any]) -> bytes:
    """Return the bytes to store of an event that was read from Stripe's list instead of delivered."""
    return json.dumps(event, separators=(",", ":")).encode()


def receive(event: dict[str, Any], raw: bytes) -> EventState | None:
    """Apply an event whose signature was verified, and store it. Return its state, or None for a duplicate.

    Stripe is read for `WEBHOOK` seconds at most; what would take longer is left to reconcile. Raises PyMongoError when
    the event could not be stored, so that Stripe must send it again.
    """
    with deadline_in(WEBHOOK):
        verdict = attempt(event, quick=True)
        if verdict.state != EventState.IGNORED:
            note_version(event)
        return verdict.state if record(event, raw, verdict, Via.WEBHOOK) else None


def record(event: dict[str, Any], raw: bytes, verdict: EventResult, via: Via = Via.LIST) -> bool:
    """Store an event and its state; return False for a duplicate. After an adoption, apply what waited for it."""
    stored = Event.record(
        event,
        raw,
        verdict.state,
        verdict.why,
        verdict.due,
        notify_hooks=verdict.ours,
        others=verdict.why in OTHERS,
        via=via,
        erased=bool(verdict.erased),
        as_of=verdict.as_of,
        waits_for=verdict.waits_for,
    )
    if verdict.adopted:
        _apply_what_waited(object_id(event) or "", quick=via == Via.WEBHOOK)
    return stored


def _apply_what_waited(object_id: str, *, quick: bool) -> None:
    """Apply the events that waited for a document of this object; those for which a webhook has no time become due."""
    for row in Event.waiting(object_id):
        in_time = not quick or time_left() > 0
        claimed = row.claim() if in_time else None
        failed = claimed is not None and drain_one(claimed, quick=quick) == EventState.RECEIVED
        if quick and (failed or not in_time):
            Event.hasten(object_id)
            return


def _erased(verdict: EventResult, event: dict[str, Any]) -> bool:
    """Return whether an event is about an erased person; for its object, a known document has already decided it."""
    asked = owners_of_event(event) if verdict.erased is None else owners_before(event)
    return bool(verdict.erased) or Erasure.concerns(asked)


def attempt(event: dict[str, Any], *, quick: bool) -> EventResult:
    """Apply an event and return the result; a failure becomes a result, too.

    Raises PyMongoError only when MongoDB is unreachable, because nothing can be stored then, and Outage, which is not
    the event's fault.
    """
    try:
        return apply(event, quick=quick)
    except Outage:
        raise
    except CannotReadStripe as error:
        return EventResult(EventState.RECEIVED, str(error))
    except Exception as error:  # a bug in our code must neither lose this event nor block the others
        if (why := unstorable(error)) is not None:
            return EventResult(EventState.DEAD, f"cannot be stored: {why}")
        if isinstance(error, PyMongoError) and not isinstance(error, Unguarded):  # its text contains the document
            if is_away(error):
                raise
            error = RuntimeError(f"MongoDB cannot change its document ({getattr(error, 'code', None)})")
        log.exception("event %s cannot be applied", event["id"])
        return EventResult(EventState.RECEIVED, f"{type(error).__name__}: {error}")


def unstorable(error: Exception) -> str | None:
    """Return why MongoDB can never store this, or None if `error` does not say so."""
    if isinstance(error, OperationFailure) and error.code in LIMITS:
        return LIMITS[error.code]
    return type(error).__name__ if isinstance(error, UNSTORABLE) else None


def apply(event: dict[str, Any], *, quick: bool) -> EventResult:
    """Merge an event into its document, refresh that where needed, and notify dependents. Raises CannotReadStripe."""
    event = told_in_full(event, quick=quick)
    reason = why_not_ours(event, quick=quick) or ("a sample: its object does not exist" if sample(event) else None)
    if reason:
        return EventResult(EventState.IGNORED, reason, ours=False)
    reason = why_not_mirrored(event)
    if reason:
        return EventResult(EventState.IGNORED, reason)
    remote = event["data"]["object"]
    model = sure(synced_kind(str(remote["object"])))
    if left := left_by(event):
        Erasure.include_if_related(left, {remote["id"]})  # the object itself names no customer any more
    verdict = _merge(model, remote, event, quick=quick)
    notify_dependents_of(model, remote["id"])
    return verdict


def _merge(model: type[SyncedDocument], remote: dict[str, Any], event: dict[str, Any], *, quick: bool) -> EventResult:
    evidence = from_event(model, event)
    document = merge_observation(model, _where(model, event), evidence)
    if document is None or is_new_incarnation(document, remote):
        return apply_to_unknown(model, event, quick=quick)
    known: dict[str, Any] = {"erased": document.erased_at is not None, "as_of": document.as_of}
    if evidence.stripe_id in document.orphans:
        return EventResult(EventState.APPLIED, "an orphan of this document, which will be undone", **known)
    lost = event["type"] == LOST  # what it tells of is older than itself, and nobody knows by how much
    if document.status == Status.ACTIVE and evidence.latest < (document.seen_at or 0) and not lost:
        state = EventState.APPLIED if document.is_as(evidence) else EventState.STALE
        return EventResult(state, **known)
    if lost or needs_refresh(document, evidence) or model.resource.kind in current().settings.revalidate:
        refresh(document, quick=quick, deletion_reported=evidence.deleted)
    return EventResult(EventState.APPLIED, **known)


def note_version(event: dict[str, Any]) -> None:
    """Record for `status` that webhooks arrive in another API version than ours, so that each costs a GET.

    A thin event has no version and always costs a GET; so does a listed event, which has the account's version.
    """
    if event.get("api_version") not in (api_version(), None):
        State.write(OTHER_VERSION, {"version": str(event.get("api_version"))})


def _where(model: type[SyncedDocument], event: dict[str, Any]) -> dict[str, Any]:
    """Return the query of the document that an event is about.

    One key causes events about several objects: it names a document only on the creation of that document's kind.
    """
    key = IdempotencyKey.parse(request_key(event))
    ours = key and (key.installation, key.kind) == (current().installation, model.resource.kind)
    if key and ours and event["type"] == model.resource.created_event:
        return {"_id": key.document, "key": str(key)}
    return {"stripe_id": event["data"]["object"]["id"]}


def drain(note: Callable[[EventState], None] = lambda state: None, counts: Counter[str] | None = None) -> None:
    """Apply every open row that is due, and call `note` with its new state. Several processes share the work.

    A row that cannot be read counts as `failed`. Raises Outage, which leaves the other rows as they were.
    """
    failed = Counter[str]() if counts is None else counts
    for claimed in Event.claim_due(clock.now(), counted(failed, "event")):
        with isolated(failed, f"event {claimed.id}"):
            note(drain_one(claimed))


def drain_one(row: Event, *, quick: bool = False) -> EventState:
    """Apply a claimed row and return its new state; after `MAX_ATTEMPTS` it is dead."""
    try:
        event = parse(row.raw)
    except Malformed:
        row.finish(EventState.DEAD, "cannot be read: it is not an event")
        return EventState.DEAD
    verdict = attempt(event, quick=quick)
    if verdict.state == EventState.RECEIVED and row.attempts >= MAX_ATTEMPTS:
        verdict = EventResult(EventState.DEAD, verdict.why)
    if verdict.why in (*OTHERS, OTHER_INSTALLATION):
        row.disown(event, str(verdict.why))
        return verdict.state
    due = backoff(row.attempts) if verdict.state == EventState.RECEIVED else verdict.due
    bared = without_content(event) if row.erased_at or _erased(verdict, event) else None
    row.finish(verdict.state, verdict.why, due, bared, verdict.waits_for)
    return verdict.state
