"""The service on MongoDB in memory: its journeys, as generators that stop before each effect on the world.

What decides is the engine's own: `merge`, `diagnose`, and every transition of a document. What is written anew here is
only the order of the steps, in which a process may be interrupted or die: see `sync/engine/` for the real one.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any

from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync.models.base.decision import Remedy, RemoteState
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.facts import (
    IN_FLIGHT_LIMIT,
    KEY_REPLAY_WINDOW,
    MAX_EVENT_DISTANCE,
    Observation,
    Status,
)
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.clock import LEASE, DueReason, due, from_now
from stripe_mongo_sync.sync.engine.adopt import ADOPTION_DELAY, LONGEST_WAIT
from stripe_mongo_sync.sync.engine.find import CLOCK_SKEW
from stripe_mongo_sync.sync.engine.observations import existence_of
from stripe_mongo_sync.sync.engine.refresh import LOOKS
from stripe_mongo_sync.sync.engine.resolve import RECHECK_INTERVAL, ROUNDS
from stripe_mongo_sync.sync.process.backoff import backoff
from stripe_mongo_sync.sync.process.deadline import TIMEOUT
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, Unknown
from stripe_mongo_sync.sync.stripe.listing import LAG
from tests.model.memory import Part, Store, told
from tests.model.remote import KINDS, OURS, CannotRead, Event, Object, Stripe, observation

Flow = Generator[str, None, Any]  # what it will do next; it stops there, and may be left for ever
SENDS = "POST"  # it has decided to send: nobody can sleep for hours between that and the wire
WAITING, RECEIVED, DONE = "waiting", "received", "done"
SHORT = timedelta(seconds=60)


class Service:
    """What all processes share: a database, and Stripe."""

    def __init__(self, store: Store, stripe: Stripe) -> None:
        self.store, self.stripe = store, stripe
        self.serial = 0

    def number(self) -> int:
        """Return a new number."""
        self.serial += 1
        return self.serial


class Process:
    """One process: a request that is served, or a run. It draws nothing; `faults` is what its requests meet."""

    def __init__(self, service: Service, faults: Iterable[str | None] = ()) -> None:
        self.service, self.store, self.stripe = service, service.store, service.stripe
        self.engine = service.store.engine
        self.faults = list(faults)
        self.deadline = -inf  # by Stripe's time: after it, nothing that changes anything is sent

    def lease(self) -> None:
        """Begin the time in which it may send."""
        self.deadline = self.stripe.now + LEASE.total_seconds()

    def fault(self) -> str | None:
        """Return what goes wrong with the next request."""
        return self.faults.pop() if self.faults else None

    # --- merge ---

    def merge(self, find: Callable[[], Any], seen: Observation, held: Any = None) -> Flow:
        """Merge an observation into the document that `find` returns; None if there is none.

        Who holds its lease passes it as `held`, and decides by what it has read.
        """
        if held is not None and (changes := self.engine.merge(held.facts(held.updated_at), seen)) is not None:
            yield "write"
            merged = held.hold(seen.source, **changes)
            if merged is not None:
                return merged
        while True:
            yield "read"
            row = find()
            if row is None:
                return None
            changes = self.engine.merge(row.facts(self.store.now), seen)
            if changes is None:
                return row
            yield "write"
            merged = row.update_if_unchanged(seen.source, **changes)
            if merged is not None:
                return merged

    def merge_into(self, row: Any, seen: Observation, *, held: bool = False) -> Flow:
        """Merge into the document of that id; if it is `held`, the observation is a reply, which may be hearsay."""
        return self.merge_observation(row.resource, lambda: self.store.rows.get(row.id), seen, row if held else None)

    def merge_observation(
        self, resource: Resource, find: Callable[[], Any], seen: Observation, held: Any = None
    ) -> Flow:
        """Merge; an unused adopted document gives way to the document whose key created the object."""
        hearsay = held is not None
        while True:
            try:
                return (yield from self.merge(find, seen, held))
            except DuplicateKeyError:
                yield "read"
                held, holder = None, self.store.holder(resource, seen.stripe_id)
                if holder is not None and holder.facts(self.store.now).age_of(seen) > 0:  # another object has its id
                    ended = yield from self.merge(partial(self.store.rows.get, holder.id), seen)
                    if ended is None or ended.status == "deleted":
                        continue
                if hearsay and holder is not None and holder.creation_key is not None:
                    raise
                if holder is None or (holder.adopted and self.store.remove(holder)):
                    continue
                row = find()
                why = f"{seen.stripe_id} was made by this document's key, and another has it"
                return row and (row.send_to_review(why) or self.store.rows.get(row.id))

    def latest(self, row: Any) -> Any:
        """Return the document as it is now."""
        return self.store.rows[row.id]

    # --- reading Stripe ---

    def get(self, resource: Resource, stripe_id: str) -> Flow:
        """Return the reply to a GET; None for a 404. Raises CannotRead."""
        began = self.stripe.now
        yield "GET"
        shown, at = self.stripe.get(resource, stripe_id, self.fault()), self.stripe.now
        yield "answered"
        return None if shown is None else self.reply(shown, began, at)

    def reply(self, shown: dict[str, Any], began: float, at: float) -> Reply:
        """Return a reply with its bounds: its Date is of the second `at`, and it took from `began` until now."""
        return Reply(shown, max(0, int(int(at) - (self.stripe.now - began) - 1)), int(at) + 1, False, "")

    def read_remote(self, row: Any) -> Flow:
        """Return what a look at the document's object proves, and the reply. Raises CannotRead."""
        if not row.path:
            return RemoteState.PRESENT, Reply(
                row.stripe or {}, row.snapshot_earliest or 0, row.snapshot_latest or 0, False, ""
            )
        reply = yield from self.get(row.resource, row.stripe_id)
        if reply is None:
            return (RemoteState.LOST if row.resource.lasts(row.stripe or {}) else RemoteState.MISSING), None
        if reply.gone:
            return RemoteState.DELETED, reply
        operation = row.operation
        done = operation is not None and operation.verb != "delete" and shows(reply.remote, operation.params)
        return (RemoteState.UP_TO_DATE if done else RemoteState.PRESENT), reply

    def refresh(self, row: Any, *, quick: bool = False, deletion_reported: bool = False) -> Flow:
        """Store what Stripe shows, if the document has not changed since before the read. Raises CannotRead."""
        for _ in range(1 if quick else LOOKS):
            if row.status != "active":
                return row
            state, reply = yield from self.read_remote(row)
            yield "write"
            if reply is None and not deletion_reported and state != RemoteState.DELETED:
                seen = row.requeue(DueReason.MISSING) if row.review_reason is None else row
            elif reply is None or state == RemoteState.DELETED:
                seen = yield from self.merge_into(row, existence_of(row.stripe_id, "look", deleted=True))
            else:
                seen = row.store_snapshot(from_reply(reply))
            if seen is not None:
                return seen
            row = self.latest(row)
        if quick:
            raise CannotRead("it changed while it was read")
        return row

    # --- push ---

    def push(self, row: Any) -> Flow:
        """Send the pending operation, and store its result. Return the document, and whether Stripe refused."""
        operation = row.operation
        try:
            answer = yield from self.send(operation, row.resource)
        except CannotRead:
            return (yield from self.finish(row, lambda latest: latest.defer("", backoff(operation.attempts)))), False
        ended = yield from self.conclude(row, answer)
        over = ended.operation is None or ended.operation.key != operation.key or ended.status == "rolled_back"
        refused = isinstance(answer, Refusal) and over and not (answer.not_found and ended.error is None)
        return ended, refused

    def send(self, operation: Any, resource: Resource) -> Flow:
        """Send all calls of an operation; after a lost answer, a call once more with the same key."""
        answer: Answer = Unknown("")
        for call in operation.calls:
            answer = yield from self.write(call, resource)
            if isinstance(answer, Unknown) and not answer.saved and not answer.retry_later:
                answer = yield from self.write(call, resource)
                if isinstance(answer, Refusal):
                    answer = replace(answer, earlier_attempt_unknown=True)
            if not isinstance(answer, Reply):
                break
        return answer

    def write(self, call: Call, resource: Resource) -> Flow:
        """Send one request that changes something, unless the lease could end before the answer."""
        if self.stripe.now + sum(TIMEOUT) > self.deadline:
            return Unknown("too late to send")
        began = self.stripe.now
        yield SENDS
        answer, at = self.stripe.request(call, resource, self.fault()), self.stripe.now
        yield "answered"
        if isinstance(answer, Reply) and not answer.replayed:
            answer = self.reply(answer.remote, began, at)
        return answer

    def conclude(self, row: Any, answer: Answer) -> Flow:
        """Store what an answer means for the document."""
        operation = row.operation
        match answer:
            case Reply():
                return (yield from self.link(row, answer))
            case Refusal(declined_object=Reply() as declined):
                return (yield from self.link(row, declined, answer.problem))
            case Refusal(not_found=True) if operation.verb == "delete":
                gone = existence_of(row.stripe_id, "delete", deleted=True)
                return (yield from self.merge_into(row, gone)) or self.latest(row)
            case Refusal(not_found=True) if row.status == "active":
                return (yield from self.not_found(row, answer))
            case Refusal():
                return (yield from self.finish(row, lambda latest: refused(latest, answer)))
            case Unknown():
                wait = backoff(operation.attempts)
                return (yield from self.finish(row, lambda latest: latest.defer("", wait, stored=answer.saved)))

    def not_found(self, row: Any, answer: Refusal) -> Flow:
        """Handle a 404: the object is deleted, or an earlier attempt has done what was wanted."""
        try:
            state, reply = yield from self.read_remote(row)
        except CannotRead:
            state, reply = RemoteState.NOT_CHECKED, None
        if state == RemoteState.UP_TO_DATE:
            yield "write"
            return row.store_snapshot(from_reply(reply), operation=None, error=None) or self.latest(row)
        ended = yield from self.finish(row, lambda latest: latest.end_refused(answer.problem, "missing"))
        return (yield from self.look_or_wait(ended))

    def finish(self, row: Any, change: Callable[[Any], Any]) -> Flow:
        """Apply a change unless the operation has ended, or another has claimed the document since."""
        key, until = row.operation.key, row.leased_until
        while row.operation is not None and row.operation.key == key and row.is_current and row.leased_until == until:
            yield "write"
            ended = change(row)
            if ended is not None:
                return ended
            row = self.latest(row)
        return row

    def link(self, row: Any, reply: Reply, problem: dict[str, Any] | None = None) -> Flow:
        """Merge Stripe's reply, and refresh if it leaves the content in doubt."""
        seen = from_reply(reply, completed_key=row.operation.key, lease=row.leased_until, problem=problem)
        try:
            linked = (yield from self.merge_into(row, seen, held=True)) or self.latest(row)
        except DuplicateKeyError:
            return (yield from self.conclude(row, Unknown("it is about something else")))
        if linked.needs_refresh(seen):
            linked = yield from self.look_or_wait(linked)
        return linked

    def look_or_wait(self, row: Any) -> Flow:
        """Refresh; without Stripe, what is due stays due."""
        try:
            return (yield from self.refresh(row))
        except CannotRead:
            return self.latest(row)

    # --- clients ---

    def create(self, resource: Resource, values: dict[str, Any], request: str) -> Flow:
        """Create a document and its object. Return the document, or None if a value of it is taken."""
        self.lease()
        yield "read"
        row = self.store.by_request(request)
        if row is not None:
            return row
        id = self.service.number()
        sent = {name: values[name] for name in ("name", "id") if values.get(name) is not None}
        own = {"mark": f"mark {id}"} if resource.correlation_field else {}
        calls = [Call(resource.path, {**sent, **own}, key=self.key(resource, id, "create"))]
        yield "write"
        try:
            own |= {"name": values["name"], "username": values.get("username"), "wished": values.get("id")}
            row = self.store.stage(id, resource, operation("create", calls), request=request, **own)
        except DuplicateKeyError:
            yield "read"
            return self.store.by_request(request)
        return (yield from self.push(row))[0]

    def change(self, id: int, verb: str, calls: Callable[[Any], list[Call]]) -> Flow:
        """Change, delete or pay. Return the document, and whether Stripe refused; None if it may not be changed now."""
        self.lease()
        while True:
            yield "read"
            row = self.store.rows.get(id)
            if row is None or not row.is_current or row.review_reason is not None or row.status == "pending":
                return None
            pending, leased = row.operation, row.leased_until is not None and row.leased_until > self.store.now
            if pending and not (verb == "delete" and pending.verb == "update" and not leased):
                return None
            new = [replace(call, key=self.key(row.resource, id, verb)) for call in calls(row)]
            yield "write"
            staged = row.begin(operation(verb, new))
            if staged is not None:
                key = staged.operation.key
                ended, refused = yield from self.push(staged)
                return ended, refused or (ended.error or {}).get("key") == key

    def key(self, resource: Resource, id: int, verb: str) -> str:
        """Return a new idempotency key."""
        return f"{OURS}:{resource.kind}:{id}:{verb}:{self.service.number()}"

    # --- events ---

    def webhook(self, event: Event) -> Flow:
        """Apply one event, and write its row. Nobody is answered before."""
        yield from self.recorded(event, quick=True)
        return event

    def batch(self, events: list[Event]) -> Flow:
        """Apply what arrived together: one read, the decisions one after the other, one write for each document.

        What does not go smoothly goes on alone.
        """
        yield "read"
        rows: dict[int, tuple[Any, Any, dict[str, Any], list[Event]]] = {}
        alone: list[Event] = []
        done: list[Event] = []
        for event in events:
            row = self.find_for(event)()
            another = row is not None and row.facts(self.store.now).age_of(event.seen) != 0
            if event.id in self.store.inbox or row is None or another or is_new_incarnation(row, event.seen):
                alone.append(event)
                continue
            read, now, changes, some = rows.get(row.id, (row, row, {}, []))
            more = self.engine.merge(now.facts(self.store.now), event.seen)
            now = now if more is None else now.changed(more)
            rows[row.id] = read, now, {**changes, **(more or {})}, [*some, event]
            if more is not None and now.is_current != (now.status in ("pending", "active")):
                now.is_current = now.status in ("pending", "active")
        for read, now, changes, some in rows.values():
            yield "write"
            try:
                merged = read.update_if_unchanged("batch", **changes) if changes or now is not read else read
            except DuplicateKeyError:
                merged = None
            for event in some:
                settled = merged is not None and not merged.needs_refresh(event.seen)
                (done if settled else alone).append(event)
        yield "write"
        for event in done:
            self.record(event, DONE)
        for event in alone:
            yield from self.recorded(event, quick=True)
        return events

    def recorded(self, event: Event, *, quick: bool) -> Flow:
        """Apply one event and write its row."""
        state, due = yield from self.attempt(event, quick=quick)
        yield "write"
        self.record(event, state, due)
        return state

    def record(self, event: Event, state: str, due: timedelta = SHORT) -> None:
        """Write the row of an event."""
        known = self.store.inbox.get(event.id)
        if known is None or (known[0] in (RECEIVED, WAITING) and state != known[0] and state != RECEIVED):
            self.store.inbox[event.id] = [state, None if state == DONE else self.store.now + due, 1]
        if state == DONE:
            for row in self.store.inbox:
                waits = self.store.inbox[row]
                if waits[0] == WAITING and self.stripe.events[row].object is event.object:
                    waits[1] = self.store.now

    def attempt(self, event: Event, *, quick: bool) -> Flow:
        """Apply an event; return its state, and when it is due again."""
        try:
            return (yield from self.apply(event, quick=quick))
        except CannotRead:
            return RECEIVED, SHORT

    def find_for(self, event: Event) -> Callable[[], Any]:
        """Return what finds the document that an event is about."""
        resource = event.object.resource
        if event.key and event.verb == "created" and (owner := owner_of(event.key, resource)) is not None:
            return lambda: row if (row := self.store.rows.get(owner)) and row.creation_key == event.key else None
        return lambda: self.store.by_stripe_id(resource, event.seen.stripe_id)

    def apply(self, event: Event, *, quick: bool) -> Flow:
        """Merge an event into its document, or find out whose its object is. Raises CannotRead."""
        seen, resource = event.seen, event.object.resource
        row = yield from self.merge_observation(resource, self.find_for(event), seen)
        if row is None or is_new_incarnation(row, seen):
            return (yield from self.apply_to_unknown(event, quick=quick))
        if seen.stripe_id in row.orphans or (row.status == "active" and seen.latest < (row.snapshot_earliest or 0)):
            return DONE, SHORT
        if row.needs_refresh(seen):
            yield from self.refresh(row, quick=quick, deletion_reported=seen.deleted)
        return DONE, SHORT

    def apply_to_unknown(self, event: Event, *, quick: bool) -> Flow:
        """Apply an event about an object that has no document. Raises CannotRead."""
        seen, resource, stripe_id = event.seen, event.object.resource, event.seen.stripe_id
        if resource.mirrored:
            return (yield from self.adopt(resource, seen, quick=quick))
        yield "read"
        told = event.verb == "created"
        made, known = (event.key, True) if told else self.creation(event.object, kept=True)
        if is_theirs(made):
            return DONE, SHORT
        left = self.left(event)
        first = bool(left) and (event.verb == "created" or not resource.has_created_event)
        shown = seen.remote
        if first and (shown is None or seen.unshown) and not seen.deleted:
            reply = yield from self.get(resource, stripe_id)
            if reply.gone if reply else shown is None:
                return DONE, SHORT
            if reply:
                seen = from_reply(reply)
        if linked := (yield from self.by_mark(resource, seen, quick=quick)):
            return linked
        yield "read"
        if owners := self.store.with_orphan(resource, stripe_id):
            for owner in owners:
                yield from self.merge_into(owner, seen)
            return DONE, SHORT
        if first and seen.remote is not None and not seen.deleted and made is None:
            yield "read"
            if self.rival(resource, seen.remote, event.at, told=True):
                return WAITING, self.patience(event)
            return (yield from self.adopt(resource, seen, quick=quick))
        if quick or left:
            return WAITING, left or SHORT
        reply = yield from self.get(resource, stripe_id)
        if reply is None or reply.gone:
            return DONE, SHORT
        if not known:
            yield "GET"
            made, _ = self.creation(event.object)
        state, due = yield from self.adopt_unless_ours(resource, reply, made, event.object)
        return state, self.patience(event) if state == WAITING else due

    def creation(self, object: Object, *, kept: bool = False) -> tuple[str | None, bool]:
        """Return the key that created an object, and whether its creation event says so: one of the inbox, or, unless
        it has to be `kept` there, one that Stripe lists.
        """
        for event in self.stripe.events if kept else self.stripe.listed_events(0):
            if event.object is object and event.verb == "created" and (not kept or event.id in self.store.inbox):
                return event.key, True
        return (None, False) if kept else self.creation(object, kept=True)

    def left(self, event: Event) -> timedelta:
        """Return how long an event must still wait for a process that may be creating its object."""
        age = self.store.now.timestamp() - self.wall(event.at)
        return timedelta(seconds=min(max(ADOPTION_DELAY.total_seconds() - age, 0.0), ADOPTION_DELAY.total_seconds()))

    def patience(self, event: Event) -> timedelta:
        """Return when an event is due again that waits for a decision: after a quarter of its age."""
        age = timedelta(seconds=self.store.now.timestamp() - self.wall(event.at))
        return self.left(event) or min(max(age / 4, ADOPTION_DELAY), LONGEST_WAIT)

    def adopt_unless_ours(self, resource: Resource, reply: Reply, key: str | None, object: Object) -> Flow:
        """Link an object that was read to the document whose key created it, or adopt it."""
        seen = from_reply(reply)
        if resource.mirrored:
            return (yield from self.adopt(resource, seen))
        if is_theirs(key):  # and known as theirs for ever
            self.store.inbox.update({e.id: [DONE, None, 1] for e in self.stripe.events if is_creation(e, object)})
            return DONE, SHORT
        if linked := (yield from self.by_mark(resource, seen)):
            return linked
        if key and (owner := owner_of(key, resource)) is not None:
            merged = yield from self.merge_observation(resource, lambda: self.store.rows.get(owner), seen)
            if merged is not None:
                return DONE, SHORT
        yield "read"
        if key is None and self.rival(resource, reply.remote, reply.latest):
            return WAITING, ADOPTION_DELAY
        return (yield from self.adopt(resource, seen))

    def adopt(self, resource: Resource, seen: Observation, *, quick: bool = False) -> Flow:
        """Insert a document for an object that somebody else made; of another process that was first, merge into it."""
        yield "write"
        status = Status.DELETED if seen.deleted else Status.ACTIVE
        look = due(DueReason.REFRESH) if seen.unshown else {}
        fields = {"status": status, "stripe_id": seen.stripe_id, "in_doubt": False, **seen.first_snapshot(), **look}
        known = self.store.by_stripe_id(resource, seen.stripe_id)
        final = known is not None and resource.mirrored and not resource.accepts_custom_id  # a unique index
        try:
            if final or (known is not None and known.is_current):
                raise DuplicateKeyError(seen.stripe_id)
            self.store.insert(self.service.number(), resource, **{**fields, "confirmed_at": from_now()})
        except DuplicateKeyError:
            yield from self.given(
                resource, lambda: self.store.by_stripe_id(resource, seen.stripe_id), seen, quick=quick
            )
        return DONE, SHORT

    def given(self, resource: Resource, find: Callable[[], Any], seen: Observation, *, quick: bool) -> Flow:
        """Merge, and refresh if that leaves the content in doubt."""
        row = yield from self.merge_observation(resource, find, seen)
        if row is not None and row.needs_refresh(seen):
            yield from self.refresh(row, quick=quick)
        return row

    def by_mark(self, resource: Resource, seen: Observation, *, quick: bool = False) -> Flow:
        """Link an object to the document whose correlation id it carries; if other fields differ, a person decides."""
        mark = (seen.remote or {}).get("mark")
        if mark is None:
            return None
        yield "read"
        rows = [row for row in self.store.of(resource) if row.mark == mark and row.stripe_id is None and row.operation]
        if not rows:
            return None
        if resembles(rows[0], seen.remote or {}):
            yield from self.given(resource, lambda: self.store.rows.get(rows[0].id), seen, quick=quick)
            return DONE, SHORT
        if rows[0].review_reason is None:
            rows[0].send_to_review("an object carries its correlation id, but other fields differ")
        return WAITING, ADOPTION_DELAY

    def rival(self, resource: Resource, remote: dict[str, Any], at: float, *, told: bool = False) -> bool:
        """Whether an object may be that of a document in doubt; if only a person can tell, one has to."""
        object = self.stripe.find(resource, remote["id"])
        for row in self.store.in_doubt(resource):
            if object is None or not self.is_candidate(row, remote, object.created):
                continue
            if row.review_reason is None and (row.operation.outcome_unknown or row.status == "rolled_back"):
                row.send_to_review(f"{remote['id']} has the same fields, and no event shows its creation key")
            return True
        return False

    def is_candidate(self, row: Any, remote: dict[str, Any], created: float) -> bool:
        """Whether a document in doubt may have created an object: alike, and made while its operation was sent."""
        if row.operation is None or not resembles(row, remote):
            return False
        if self.wall(created) < int((row.operation.staged_at - CLOCK_SKEW).timestamp()):
            return False
        rolled_back = row.status == "rolled_back" and row.operation.saved_error_at is None
        return not rolled_back or self.wall(created) <= (row.updated_at + ADOPTION_DELAY).timestamp()

    def wall(self, second: float) -> float:
        """Return a second of Stripe's as a timestamp."""
        return START + second

    # --- reconcile ---

    def reconcile(self, *, full: bool = False) -> Flow:
        """Drain the inbox, apply missed events, resolve what is due; with `full`, compare everything."""
        try:
            yield from self.drain()
            kept = yield from self.missed_events()
            yield from self.resolve_overdue()
            if full:
                for resource in KINDS.values():
                    yield from self.compare(resource)
            if kept is not None:
                self.store.checkpoint = max(self.store.checkpoint or 0, kept)
        except CannotRead:
            return False
        return True

    def drain(self) -> Flow:
        """Apply the events that are due."""
        for id, row in sorted(self.store.inbox.items()):
            if row[1] is None or row[1] > self.store.now:
                continue
            yield "claim"
            if row[1] is None or row[1] > self.store.now:
                continue
            row[1], row[2] = self.store.now + LEASE, row[2] + 1
            claim = row[2]
            state, due = yield from self.attempt(self.stripe.events[id], quick=False)
            yield "write"
            if row[2] == claim:
                row[:] = [state, None if state == DONE else self.store.now + due, 0 if state == WAITING else row[2]]

    def missed_events(self) -> Flow:
        """Apply the events that no webhook brought; return how far the list was read."""
        known = self.store.checkpoint
        yield "GET"
        if fault := self.fault():
            raise CannotRead(fault)
        read_at = int(self.stripe.now)
        since = read_at - 20 * 60 if known is None else known
        for event in self.stripe.listed_events(since - LAG if known is not None else 0):
            if event.id not in self.store.inbox:
                yield from self.recorded(event, quick=False)
        return read_at

    def resolve_overdue(self) -> Flow:
        """Claim and resolve each document that is due."""
        for overdue in self.store.overdue():
            yield "claim"
            row = self.store.rows.get(overdue.id)
            claimed = (
                row.claim() if row is not None and row.due_at is not None and row.due_at <= self.store.now else None
            )
            if claimed is None:
                continue
            yield "claimed"
            self.lease()
            try:
                yield from self.resolve(claimed, claimed.claimed_at)
            except CannotRead:
                claimed.reschedule(backoff(claimed.operation.attempts if claimed.operation else 1))

    def resolve(
        self, row: Any, now: Any, seen: tuple[RemoteState, Reply | None] = (RemoteState.NOT_CHECKED, None)
    ) -> Flow:
        """Apply the remedy that the table has for a claimed document. Raises CannotRead."""
        (state, reply), found = seen, None
        for _ in range(ROUNDS):
            remedy = self.engine.diagnose(row.facts(now), state)
            match remedy:
                case Remedy.FIND:
                    state, found = yield from self.search(row)
                case Remedy.LOOK:
                    state, reply = yield from self.read_remote(row)
                case _:
                    yield from self.do(remedy, row, state, reply, found)
                    return
        raise AssertionError(f"the table does not come to an end: {told(row)}")

    def do(self, remedy: Remedy, row: Any, state: RemoteState, reply: Reply | None, found: str | None) -> Flow:
        """Do what a remedy says; every write here asks for the revision that was claimed."""
        yield remedy
        match remedy:
            case Remedy.SEND:
                if (sending := row.sending()) is not None:
                    yield from self.push(sending)
            case Remedy.LINK:
                seen = existence_of(str(found), "reconcile")
                linked = yield from self.merge_into(row, seen)
                if linked is not None and linked.needs_refresh(seen):
                    yield from self.refresh(linked)
            case Remedy.REFRESH:
                row.store_snapshot(from_reply(reply))
            case Remedy.DONE:
                row.store_snapshot(from_reply(reply), operation=None, error=None)
            case Remedy.EXPIRE:
                row.store_snapshot(
                    from_reply(reply), operation=None, error={"type": "expired", "code": None, "message": ""}
                )
            case Remedy.ROLL_BACK:
                row.roll_back({"type": "rolled-back", "code": None, "message": ""}, "reconcile", in_doubt=True)
            case Remedy.MISS:
                row.miss(MAX_EVENT_DISTANCE)
            case Remedy.MARK_DELETED:
                yield from self.merge_into(row, existence_of(row.stripe_id, "reconcile", deleted=True))
            case Remedy.UNDO:
                yield from self.undo(row)
            case Remedy.LEAVE:
                row.release()
            case Remedy.WAIT:
                row.reschedule(RECHECK_INTERVAL)
            case Remedy.REVIEW if state == RemoteState.LOST:
                row.send_to_review("it is not found, and never deleted", missing_since=from_now())
            case Remedy.REVIEW:
                row.send_to_review(found or "Stripe shows no result of this operation")

    def search(self, row: Any) -> Flow:
        """Search the inbox for the key of a creation, then the list for that key or its like. Raises CannotRead."""
        operation, resource = row.operation, row.resource
        yield "read"
        for event in self.stripe.events:
            if event.key == operation.key and event.verb == "created" and event.id in self.store.inbox:
                return RemoteState.PRESENT, event.seen.stripe_id
        start = int((operation.staged_at - CLOCK_SKEW).timestamp()) - START
        yield "GET"
        if fault := self.fault():
            raise CannotRead(fault)
        listed = [(object, object.content) for object in self.stripe.listed(resource.kind) if object.created >= start]
        yield "GET"
        keys = {object: self.creation(object)[0] for object, _ in listed}
        for object, remote in listed:
            if keys[object] == operation.key:
                return RemoteState.PRESENT, remote["id"]
        end = None if operation.saved_error_at else (row.claimed_at + IN_FLIGHT_LIMIT).timestamp() - START
        for object, remote in listed:
            if keys[object] is not None or (end is not None and object.created > end):
                continue
            if self.store.by_stripe_id(resource, remote["id"]) is not None:
                continue
            if row.mark is not None and remote.get("mark") == row.mark and resembles(row, remote):
                return RemoteState.PRESENT, remote["id"]
            if resembles(row, remote):
                if resource.has_created_event and self.stripe.now - object.created < LAG:
                    raise CannotRead("its creation event may not be listed yet")
                return RemoteState.CANDIDATE, f"{remote['id']} has the same fields"
        return RemoteState.NEVER_CREATED, None

    # --- undo ---

    def undo(self, row: Any) -> Flow:
        """Undo the orphans of a claimed document. Raises CannotRead."""
        while row.orphans:
            orphan, resource = row.orphans[0], row.resource
            yield "read"
            if self.store.holder(resource, orphan) is not None or not resource.undo:
                row.send_to_review(f"{orphan} should be undone, but a document uses it")
                return
            reply = yield from self.get(resource, orphan)
            if reply is None or resource.is_usable(reply.remote):
                row = yield from self.unmake(row, orphan)
                if row is None:
                    return
            yield "write"
            row = row.record_undo(orphan)
            if row is None:
                return

    def unmake(self, row: Any, orphan: str) -> Flow:
        """Make an orphan unusable; return the document, or None if a later run must go on."""
        resource, undoing = row.resource, row.undoing
        begun = undoing if undoing and undoing.orphan == orphan else None
        answer: Answer = Unknown("")
        for way in resource.undo[resource.undo.index(Undo(begun.way)) if begun else 0 :]:
            known = begun and begun.way == way and begun.key and row.claimed_at - begun.staged_at < KEY_REPLAY_WINDOW
            yield "write"
            staged = row.begin_undo(orphan, way, None if known else self.key(resource, row.id, "undo"))
            if staged is None:
                return None
            row = staged
            answer = yield from self.write(undo_call(resource, row.undoing), resource)
            if not isinstance(answer, Refusal) or answer.not_found:
                break
        yield "write"
        match answer:
            case Unknown() | Reply(replayed=True):
                spent = row.spend_undo() if isinstance(answer, Reply) or answer.saved else row
                (spent or row).reschedule(backoff(1))
                return None
            case Refusal(not_found=False):
                row.send_to_review(f"{orphan} should be undone, but Stripe refuses", undoing=None)
                return None
        return row

    # --- the full comparison ---

    def compare(self, resource: Resource) -> Flow:
        """Compare Stripe's list of a type with the documents. Raises CannotRead."""
        if not resource.listable:
            return
        began = self.stripe.now
        yield "GET"
        if fault := self.fault():
            raise CannotRead(fault)
        at, page = self.stripe.now, [(object, object.content) for object in self.stripe.listed(resource.kind)]
        yield "answered"
        seen = set()
        for object, remote in page:
            seen.add(remote["id"])
            reply = self.reply(remote, began, at)
            row = self.store.by_stripe_id(resource, remote["id"])
            if row is None or is_new_incarnation(row, from_reply(reply)):
                yield from self.compare_unknown(resource, object, reply)
            else:
                yield from self.compare_known(row, reply)
        for row in self.store.of(resource):
            if row.status == "active" and row.stripe_id not in seen:
                yield from self.look_at_absent(row)

    def compare_unknown(self, resource: Resource, object: Object, reply: Reply) -> Flow:
        """Adopt or link what has no document."""
        yield "read"
        if self.store.with_orphan(resource, object.content["id"]):
            return
        if not resource.mirrored and reply.latest - object.created < ADOPTION_DELAY.total_seconds():
            return
        key, _ = self.creation(object)
        yield from self.adopt_unless_ours(resource, reply, key, object)

    def compare_known(self, row: Any, reply: Reply) -> Flow:
        """Merge what the page shows, and refresh where that leaves a doubt."""
        if row.status == "deleted":
            return (yield from self.bring_back(row))
        seen = from_reply(reply, event=True)
        if row.is_as(seen) and row.confirmed_at is not None and row.missing_since is None:
            return None
        merged = yield from self.merge_into(row, seen)
        if merged is not None and merged.is_current and not merged.is_as(seen):
            yield from self.refresh(merged)

    def look_at_absent(self, row: Any) -> Flow:
        """Look at the object of an active document that its list does not show."""
        state, reply = yield from self.read_remote(row)
        yield "write"
        if reply is not None and not reply.gone:
            seen = from_reply(reply)
            if not row.is_as(seen):
                row.store_snapshot(seen)
        elif row.due_at is None and row.review_reason is None:
            yield from self.resolve(row, self.store.now, (state, reply))

    def bring_back(self, row: Any) -> Flow:
        """Make a deleted document active again, if its object is there."""
        reply = yield from self.get(row.resource, row.stripe_id)
        if reply is None or reply.gone or is_new_incarnation(row, from_reply(reply)):
            return
        yield "write"
        if self.store.holder(row.resource, row.stripe_id) is not None:
            return
        if row.erased_at is not None:
            if row.review_reason is None:
                row.send_to_review("it was erased, and is there")
            return
        try:
            row.bring_back(from_reply(reply))
        except DuplicateKeyError:
            row.send_to_review("another has its username")

    # --- erasure ---

    def erase(self, id: int) -> Flow:
        """Remove what a document says of a person, once it is at rest."""
        while True:
            yield "read"
            row = self.store.rows.get(id)
            if row is None or row.status == "pending" or (row.operation is not None and row.status != "rolled_back"):
                return
            yield "write"
            if row.erase() is not None:
                return


START = 1767225600  # 2026-01-01, Stripe's second 0


def operation(verb: str, calls: list[Call]) -> dict[str, Any]:
    """Return an operation; the last call is its own."""
    *_, last = calls
    return {"verb": verb, "key": last.key, "params": last.params, "calls": calls}


def owner_of(key: str, resource: Resource) -> int | None:
    """Return the document that a creation key of ours names, if it is of this type."""
    parts = key.split(":")
    return int(parts[3]) if key.startswith(f"{OURS}:{resource.kind}:") else None


def is_theirs(key: str | None) -> bool:
    """Whether a creation key is another installation's."""
    return key is not None and not key.startswith(f"{OURS}:")


def is_creation(event: Event, object: Object) -> bool:
    """Whether this is the creation event of an object."""
    return event.object is object and event.verb == "created"


def from_reply(reply: Reply | None, **more: Any) -> Observation:
    """Return a reply's observation: without content, if the reply is replayed or shows a stub."""
    assert reply is not None
    fresh = not reply.replayed and not reply.gone
    earliest, latest = (reply.earliest if fresh else 0), (reply.latest if fresh or reply.gone else 0)
    problem = more.pop("problem", None)
    return observation(
        "reply",
        reply.remote if fresh else None,
        reply.remote["id"],
        earliest,
        latest,
        deleted=reply.gone,
        problem=problem,
        **more,
    )


def shows(remote: dict[str, Any], params: dict[str, Any]) -> bool:
    """Whether an object has these fields."""
    return all(remote.get(name) == value for name, value in params.items())


def resembles(row: Any, remote: dict[str, Any]) -> bool:
    """Whether an object has the fields that the creation sent."""
    params = {name: value for name, value in row.operation.params.items() if name != "mark"}
    return any(params.values()) and shows(remote, params)


def is_new_incarnation(row: Any, seen: Observation) -> bool:
    """Whether a chosen id that was deleted here belongs to another object now."""
    if row.status != "deleted" or not row.resource.accepts_custom_id or seen.deleted or seen.remote is None:
        return False
    return bool(seen.remote.get("created") != (row.stripe or {}).get("created"))


def refused(row: Any, answer: Refusal) -> Any:
    """End the operation, unless Stripe may have done an earlier attempt."""
    operation = row.operation
    if (
        answer.replayed
        or operation.verb == "delete"
        or not (answer.earlier_attempt_unknown or operation.outcome_unknown)
    ):
        return row.end_refused(answer.problem, "refused")
    return row.defer("", backoff(operation.attempts), stored=True)


def undo_call(resource: Resource, undoing: Part) -> Call:
    """Return the request that undoes an orphan."""
    path = f"{resource.path}/{undoing.orphan}"
    match undoing.way:
        case Undo.DELETE:
            return Call(path, {}, "delete")
        case Undo.ARCHIVE:
            return Call(path, {"active": False}, key=undoing.key or "")
    return Call(f"{path}/{undoing.way}", {}, key=undoing.key or "")
