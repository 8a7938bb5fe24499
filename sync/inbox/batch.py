"""Group commit: events that arrived together are read, decided and written together, in three round trips.

An event that is no ordinary news of a known object is left alone: it then goes the way of `sync/inbox/inbox.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure, PyMongoError

from stripe_mongo_sync.models import Erasure, Event, Status, SyncedDocument
from stripe_mongo_sync.models.base.decision import leaves_doubt, merge
from stripe_mongo_sync.models.base.facts import Facts, Observation, facts_of
from stripe_mongo_sync.models.base.lifecycle import LIVE
from stripe_mongo_sync.models.base.notice import plain_notices
from stripe_mongo_sync.models.base.whose import left_by, owners_after, owners_before, owners_of_event
from stripe_mongo_sync.models.erasure import HOLDS, TOO_LATE, WRITES
from stripe_mongo_sync.models.event import OPEN, EventState, Via
from stripe_mongo_sync.models.rows.claimable import is_away
from stripe_mongo_sync.models.rows.clock import evaluated
from stripe_mongo_sync.models.rows.formerly import UPGRADE
from stripe_mongo_sync.models.rows.many import Change, Query, change, encoded_row, insert_many, read_many, update_many
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.admission import sample
from stripe_mongo_sync.sync.engine.dependents import dependents_of
from stripe_mongo_sync.sync.inbox.arrival import Arrival
from stripe_mongo_sync.sync.inbox.inbox import DUPLICATE
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.stripe.answers import api_version

TIMEOUT = 5.0  # s for all rounds and attempts
ROUNDS, ATTEMPTS = 2, 5  # of a batch; more attempts only if the connection broke, as at a failover
LARGEST = 128 * 1024  # bytes of an event
MOST_BYTES = 2 * 1024 * 1024  # of a round: as BSON they may be five times as long, and a command has 16 MB
AWAY = (
    pymongo.errors.NetworkTimeout,
    pymongo.errors.ServerSelectionTimeoutError,
)  # no attempt soon after could do better
FINISHED = [str(state) for state in EventState if state not in (*OPEN, EventState.DEAD)]

Model = type[SyncedDocument]


def commit(arrivals: Sequence[Arrival]) -> list[str | None]:
    """Apply and store events together. Return for each its state, `duplicate`, or None: it has to go alone.

    What is answered is written, and the majority has it. Raises PyMongoError when MongoDB is away.
    """
    answers: list[str | None] = [None] * len(arrivals)
    for part in _bounded(arrivals) if not UPGRADE else ():  # one by one, each row is upgraded before it is used
        with pymongo.timeout(TIMEOUT):  # for all attempts: who waits for an answer waits no longer for several
            _commit(part, answers)
    return answers


def _bounded(arrivals: Sequence[Arrival]) -> Iterator[dict[int, Arrival]]:
    """Yield the events that one command of MongoDB's can hold, by number; a large one goes alone."""
    part: dict[int, Arrival] = {}
    size = 0
    for number, arrival in enumerate(arrivals):
        if len(arrival.raw) > LARGEST:
            continue
        if part and size + len(arrival.raw) > MOST_BYTES:
            yield part
            part, size = {}, 0
        part[number] = arrival
        size += len(arrival.raw)
    if part:
        yield part


def _commit(arrivals: dict[int, Arrival], answers: list[str | None]) -> None:
    rounds = 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            again = _Batch(arrivals, answers).commit()
        except Exception as error:  # of whatever kind: a row that was edited by hand must not fail the other events
            changed = isinstance(error, AutoReconnect) and not isinstance(error, AWAY)
            if attempt == ATTEMPTS or not changed:
                if isinstance(error, PyMongoError) and is_away(error):
                    raise
                log.warning("a batch of %s events goes one by one (%s)", len(arrivals), type(error).__name__)
                return
            again = [*arrivals]  # the primary changed
        else:
            rounds += 1
        arrivals = {number: arrivals[number] for number in again if answers[number] is None}
        if not arrivals or rounds == ROUNDS:
            return


@dataclass
class _Held:
    """A document of the batch, as the events that were decided so far leave it."""

    model: Model
    row: dict[str, Any]
    read: dict[str, Any]  # the row as it was read
    values: dict[str, Any] = field(default_factory=dict)  # the new values of its fields
    news: list[str] = field(default_factory=list)  # its notices
    events: list[int] = field(default_factory=list)  # whose values these are

    def apply(self, number: int, values: dict[str, Any], by: str) -> None:
        """Let an event change it."""
        if values.get("status", self.row["status"]) != self.row["status"]:
            self.news.append(self.model.resource.notice_of(values["status"]))
            values = {**values, "is_current": values["status"] in LIVE, "status_changed_by": by}
        self.row = {**self.row, **values}
        self.values |= values
        self.events.append(number)

    def change(self, at: datetime) -> Change:
        """Return the one change that all its events make, at MongoDB's time `at`."""
        id, revision = self.read["_id"], self.read["revision"]
        owned = owners_after(self.model.resource.kind, self.read, self.values)
        notices = plain_notices(id, revision + 1, self.news, at)
        return change(id, revision, {**self.values, **owned, "updated_at": at}, notices)


class _Batch:
    """One round of a batch: what it read, and what is to be written."""

    def __init__(self, arrivals: dict[int, Arrival], answers: list[str | None]) -> None:
        self.arrivals, self.answers = arrivals, answers
        self.states: dict[int, tuple[EventState, str | None]] = {}  # the state of each event that was decided, and why
        self.again: set[int] = set()  # to be decided again
        self.unchecked: list[int] = []  # about objects of nobody known here: an erasure may name their owner

    def commit(self) -> list[int]:
        """Return the events to be tried again."""
        self._read()
        for number, arrival in self.arrivals.items():
            if (decided := self._decided(number, arrival)) is not None:
                self.states[number] = decided
        self._check_erasures()
        self._write_documents()
        self._write_rows()
        return sorted(self.again)

    # --- read ---

    def _read(self) -> None:
        settings, version = current().settings, api_version()
        self.revalidate, livemode = settings.revalidate, settings.livemode
        self.ordinary = {number for number, each in self.arrivals.items() if _is_ordinary(each, livemode, version)}
        models: dict[Model, list[Arrival]] = {}
        for arrival in (self.arrivals[number] for number in self.ordinary):
            if arrival.model is not None and arrival.why_not_mirrored is None:
                models.setdefault(arrival.model, []).append(arrival)
        ids = [arrival.id for arrival in self.arrivals.values()]
        queries = [Query(Event, {"_id": {"$in": ids}}, ("state", "via"))]
        queries += [Query(model, _any_of(about)) for model, about in models.items()]
        self.now, (known, *found) = read_many(queries)
        self.known = {row["_id"]: row for row in known}
        self.held: dict[tuple[Model, Any], _Held | None] = {}
        for model, rows in zip(models, found, strict=True):
            for row in rows:
                self.held[model, row["_id"]] = held = _Held(model, row, row)
                if (id := row.get("stripe_id")) is not None:  # None: more than one document had this id
                    self.held[model, id] = None if (model, id) in self.held else held
        self.followed: set[Any] = set()
        for model, about in models.items():
            documents = {one.row["_id"]: each.remote for each in about if (one := self._held(each)) is not None}
            self.followed |= dependents_of(model.resource.kind, documents)
        self.seen: set[str] = set()

    def _held(self, arrival: Arrival) -> _Held | None:
        """Return the one document that an event is about; None if there is none, or more than one."""
        where = arrival.where
        held = self.held.get((sure(arrival.model), where.get("_id", where.get("stripe_id"))))
        return held if held is None or where.get("creation_key") in (None, held.row.get("creation_key")) else None

    # --- decide ---

    def _decided(self, number: int, arrival: Arrival) -> tuple[EventState, str | None] | None:
        """Return the state of an event and why, once its changes are applied to its document in memory; None: alone."""
        if (row := self.known.get(arrival.id)) is not None:
            if row["state"] in FINISHED and (row.get("via") != Via.LIST or arrival.via == Via.LIST):
                self.answers[number] = DUPLICATE
            return None
        if arrival.id in self.seen or number not in self.ordinary:
            return None
        self.seen.add(arrival.id)
        if (reason := arrival.why_not_mirrored) is not None:
            self.unchecked.append(number)
            return EventState.IGNORED, reason
        try:
            return self._merged(number, arrival)
        except Exception:  # a bug in our code must not fail the other events of the batch
            log.exception("event %s cannot be decided in a batch", arrival.id)
            return None

    def _merged(self, number: int, arrival: Arrival) -> tuple[EventState, str | None] | None:
        model, seen, held = arrival.model, arrival.evidence, self._held(arrival)
        if model is None or held is None:
            return None
        if held.row["_id"] in self.followed or model.resource.kind in self.revalidate:
            return None
        before = facts_of(model.resource, held.row, self.now)
        if before.erased or seen.stripe_id in before.orphans or _may_be_another(before, seen):
            return None
        changes = merge(before, seen)
        values = {name: evaluated(value, self.now) for name, value in (changes or {}).items()}
        state = EventState.APPLIED
        if seen.remote is None or values.get("stripe") is not seen.remote:  # else it has all that the event shows
            after = facts_of(model.resource, {**held.row, **values}, self.now) if values else before
            if leaves_doubt(after, seen):
                return None
            if after.status == Status.ACTIVE and seen.latest < (after.snapshot_earliest or 0) and not after.is_as(seen):
                state = EventState.STALE
        if owners_before(arrival.event):
            self.unchecked.append(number)
        if changes is not None:
            held.apply(number, values, seen.source)
        return state, None

    def _check_erasures(self) -> None:
        """Leave alone the events about whom an erasure may name, if no document has said that it is not erased."""
        asked = {number: owners_of_event(self.arrivals[number].event) for number in self.unchecked}
        if asked and Erasure.concerns(set().union(*asked.values())):
            for number in asked:
                self.states.pop(number, None)

    # --- write ---

    def _write_documents(self) -> None:
        changed: dict[Model, list[tuple[_Held, Change]]] = {}
        for held in {id(each): each for each in self.held.values() if each is not None and each.events}.values():
            try:
                changed.setdefault(held.model, []).append((held, held.change(self.now)))
            except Exception:  # BSON cannot hold it: each event goes alone, which says why
                self._leave_alone(held.events)
        for model, changes in changed.items():
            made = update_many(model, [change for _, change in changes])
            for held, _ in changes:
                if not made:
                    self._repeat(held.events)
                elif "status" in held.values:
                    named = (held.row[name] for name in ("_id", "status", "status_changed_by"))
                    log.info("%s %s → %s (%s)", model.resource.kind, *named)

    def _write_rows(self) -> None:
        rows: dict[int, RawBSONDocument] = {}
        for number, (state, why) in self.states.items():
            arrival = self.arrivals[number]
            try:
                row = Event.finished_row(arrival.event, arrival.raw, state, why, arrival.via, self.now)
                rows[number] = encoded_row(row)
            except Exception as error:  # BSON cannot hold it: it goes alone, which says why
                log.debug("event %s is not stored with others (%s)", arrival.id, type(error).__name__)
        try:
            if rows:
                with pymongo.timeout(WRITES.total_seconds()):
                    insert_many(Event, [*rows.values()], self.now + HOLDS)
        except OperationFailure as error:
            if not isinstance(error, DuplicateKeyError) and error.code not in TOO_LATE:
                raise
            self._repeat([*rows])  # another process has one of them since, or it was too late
        else:
            for number in rows:
                self.answers[number] = str(self.states[number][0])

    def _leave_alone(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.states.pop(number, None)

    def _repeat(self, numbers: Sequence[int]) -> None:
        self._leave_alone(numbers)
        self.again.update(numbers)


def _is_ordinary(arrival: Arrival, livemode: bool, version: str) -> bool:
    """Whether an event is of this account and mode by itself, without a look at the account, and of our version."""
    event = arrival.event
    return (
        event.get("object") == "event"
        and not (event.get("account") or event.get("context"))
        and event.get("livemode") is livemode
        and event.get("api_version") == version
        and not sample(event)
        and not left_by(event)
    )


def _any_of(arrivals: Sequence[Arrival]) -> dict[str, Any]:
    wheres = [arrival.where for arrival in arrivals]
    ids = {"stripe_id": {"$in": [where["stripe_id"] for where in wheres if "stripe_id" in where]}}
    keys = {"_id": {"$in": [where["_id"] for where in wheres if "_id" in where]}}
    asked = [each for each in (ids, keys) if next(iter(each.values()))["$in"]]
    return asked[0] if len(asked) == 1 else {"$or": asked}


def _may_be_another(facts: Facts, seen: Observation) -> bool:
    """Whether a chosen id may have been given to another object since."""
    return facts.chosen_id and (facts.status == Status.DELETED or facts.age_of(seen) != 0)
