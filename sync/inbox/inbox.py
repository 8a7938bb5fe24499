"""The inbox, one event by one: what `batch.py` leaves alone. An event is an observation of an object, never a command.

Applying is idempotent, so the row is written afterwards, already `applied`. Only an event that could not be applied is
stored as `received`, and drained later.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import DocumentTooLarge, OperationFailure, PyMongoError, WriteError

from stripe_mongo_sync.models import Erasure, Event, Status, SyncedDocument
from stripe_mongo_sync.models.base.whose import left_by, owners_before, owners_of_event
from stripe_mongo_sync.models.event import MAX_ATTEMPTS, OTHER_INSTALLATION, UNADOPTED, EventState, Via
from stripe_mongo_sync.models.event_body import without_content
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import is_away
from stripe_mongo_sync.models.rows.indexes import Unguarded
from stripe_mongo_sync.models.state import OTHER_VERSION, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.admission import OTHERS, sample, why_not_ours
from stripe_mongo_sync.sync.engine.adopt import EventResult, apply_to_unknown
from stripe_mongo_sync.sync.engine.dependents import notify_dependents_of
from stripe_mongo_sync.sync.engine.observations import is_new_incarnation, merge_observation, needs_refresh
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.errors import CannotReadStripe, Outage
from stripe_mongo_sync.sync.inbox.arrival import Arrival, Malformed, arrive, told_in_full
from stripe_mongo_sync.sync.inbox.thin import LOST
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.process.deadline import deadline_in, time_left
from stripe_mongo_sync.sync.process.isolation import counted, isolated
from stripe_mongo_sync.sync.stripe.answers import api_version

UNSTORABLE = (InvalidDocument, OverflowError, UnicodeEncodeError, DocumentTooLarge, WriteError, RecursionError)
DUPLICATE = "duplicate"
WEBHOOK = 3.0  # s that a webhook may read from Stripe: Stripe waits for our answer, and gives up a slow one
LIMITS = {15: "nested too deep", 10334: "larger than 16 MB"}  # by MongoDB's code: it nests 180 levels at most


def receive_alone(arrival: Arrival) -> str:
    """Apply an event, and store it. Return its state, or `duplicate`.

    Stripe is read for `WEBHOOK` seconds at most; what would take longer is left to reconcile. Raises PyMongoError when
    the event could not be stored, so that Stripe must send it again.
    """
    with deadline_in(WEBHOOK):
        verdict = attempt(arrival, quick=True)
        if verdict.state != EventState.IGNORED:
            note_version(arrival.event)
        return str(verdict.state) if record(arrival, verdict) else DUPLICATE


def record(arrival: Arrival, verdict: EventResult) -> bool:
    """Store an event and its state; return False for a duplicate. After an adoption, apply what waited for it."""
    stored = Event.record(
        arrival.event,
        arrival.raw,
        verdict.state,
        verdict.why,
        verdict.due,
        notify_hooks=verdict.ours,
        others=verdict.why in OTHERS,
        via=arrival.via,
        erased=bool(verdict.erased),
        as_of=verdict.as_of,
        waits_for=verdict.waits_for,
    )
    if verdict.adopted:
        _apply_what_waited(arrival.object_id or "", quick=arrival.via == Via.WEBHOOK)
    _look_again(arrival, verdict)
    return stored


def _look_again(arrival: Arrival, verdict: EventResult) -> None:
    """Make an event due that was ignored while another process inserted the document of its object."""
    if verdict.why not in UNADOPTED or arrival.model is None or arrival.object_id is None:
        return
    document = arrival.model.objects(__raw__=arrival.where).order_by("-is_current").first()
    if document is not None and not is_new_incarnation(document, arrival.remote):
        Event.reopen_unadopted([arrival.object_id], int(arrival.event["created"]))


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


def attempt(arrival: Arrival, *, quick: bool) -> EventResult:
    """Apply an event and return the result; a failure becomes a result, too.

    Raises PyMongoError only when MongoDB is unreachable, because nothing can be stored then, and Outage, which is not
    the event's fault.
    """
    try:
        return apply(arrival, quick=quick)
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
        log.exception("event %s cannot be applied", arrival.id)
        return EventResult(EventState.RECEIVED, f"{type(error).__name__}: {error}")


def unstorable(error: Exception) -> str | None:
    """Return why MongoDB can never store this, or None if `error` does not say so."""
    if isinstance(error, OperationFailure) and error.code in LIMITS:
        return LIMITS[error.code]
    return type(error).__name__ if isinstance(error, UNSTORABLE) else None


def apply(arrival: Arrival, *, quick: bool) -> EventResult:
    """Merge an event into its document, refresh that where needed, and notify dependents. Raises CannotReadStripe."""
    arrival = told_in_full(arrival, quick=quick)
    event, model = arrival.event, arrival.model
    reason = why_not_ours(event, quick=quick) or ("a sample: its object does not exist" if sample(event) else None)
    if reason:
        return EventResult(EventState.IGNORED, reason, ours=False)
    if arrival.why_not_mirrored or model is None:
        return EventResult(EventState.IGNORED, arrival.why_not_mirrored)
    stripe_id = arrival.remote["id"]
    if left := left_by(event):
        Erasure.include_if_related(left, {stripe_id})  # the object itself names no customer any more
    verdict = _merge(model, arrival, quick=quick)
    notify_dependents_of(model, stripe_id)
    return verdict


def _merge(model: type[SyncedDocument], arrival: Arrival, *, quick: bool) -> EventResult:
    event, evidence = arrival.event, arrival.evidence
    document = merge_observation(model, arrival.where, evidence)
    if document is None or is_new_incarnation(document, arrival.remote):
        return apply_to_unknown(model, event, quick=quick)
    known: dict[str, Any] = {"erased": document.erased_at is not None, "as_of": document.as_of}
    if evidence.stripe_id in document.orphans:
        return EventResult(EventState.APPLIED, "an orphan of this document, which will be undone", **known)
    lost = event["type"] == LOST  # what it tells of is older than itself, and nobody knows by how much
    if document.status == Status.ACTIVE and evidence.latest < (document.snapshot_earliest or 0) and not lost:
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
        arrival = arrive(row.raw, Via.LIST)
    except Malformed:
        row.finish(EventState.DEAD, "cannot be read: it is not an event")
        return EventState.DEAD
    event, verdict = arrival.event, attempt(arrival, quick=quick)
    if verdict.state == EventState.RECEIVED and row.attempts >= MAX_ATTEMPTS:
        verdict = EventResult(EventState.DEAD, verdict.why)
    if verdict.why in (*OTHERS, OTHER_INSTALLATION):
        row.disown(event, str(verdict.why))
        return verdict.state
    due = backoff(row.attempts) if verdict.state == EventState.RECEIVED else verdict.due
    bared = without_content(event) if row.erased_at or _erased(verdict, event) else None
    row.finish(verdict.state, verdict.why, due, bared, verdict.waits_for)
    _look_again(arrival, verdict)
    return verdict.state
