"""A history in memory: the steps of one seed, then peace, and then everything that must hold.

A step draws from its own number and the seed, so that a history with some steps left out is a history, too, and a
failing one can be made short.
"""

import gc
import random
from bisect import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from random import Random
from typing import Any

from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.rows import content
from stripe_mongo_sync.models.rows.scrub import scrub
from tests.model.memory import BEGIN, Store, told
from tests.model.planting import AS_IT_IS, Engine
from tests.model.remote import (
    HIDDEN_FOR,
    KINDS,
    OURS_TO_MAKE,
    READS,
    WRITES,
    Event,
    Object,
    Stripe,
    digest,
    draw_faults,
)
from tests.model.service import SENDS, Flow, Process, Service, owner_of
from tests.simulation.shrink import shrink

LENGTH = 80  # steps
AT_ONCE = 100  # histories that a worker runs before it says what came of them
SLACK = 24  # effects, at most, between the beginnings of two steps
PASSED = (1, 2, 4, 21, 187, 1500, 4400)  # minutes; none is near a limit of the engine, and the last two outlive a key
SKEW = 100.0  # s: the engine allows for five minutes
IN_FLIGHT = 15 * 60  # s: what was sent before has arrived, or never will
ANSWERED = 120.0  # s after which a client has given up, and is told nothing
STEPS = {  # and how often, each in relation to the others
    "create": 7,
    "again": 1,
    "change": 6,
    "remove": 2,
    "replace": 1.5,
    "post": 9,
    "post_together": 3,
    "lose": 0.7,
    "reconcile": 6,
    "kill": 0.7,
    "edit": 5,
    "erase_there": 1,
    "create_there": 1,
    "create_the_same_there": 0.15,
    "create_elsewhere": 0.4,
    "finish_what_failed": 0.5,
    "land_late": 1,
    "hide": 1,
    "lag": 0.7,
    "erase": 0.5,
    "wait": 4,
    "oversleep": 0.3,
    "skew": 0.5,
}
NAMES, UP_TO = list(STEPS), list(accumulate(STEPS.values()))


@dataclass
class Outcome:
    """What came of one history."""

    seed: int
    steps: list[int]
    violation: str | None = None
    operations: int = 0
    effects: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"python -m tests.model --seed {self.seed} --steps {','.join(map(str, self.steps))}"


def run(seed: int, steps: Iterable[int] | None = None, engine: Engine = AS_IT_IS, *, tell: bool = False) -> Outcome:
    """Run a history, or only these steps of it; whatever it does, return. With `tell`, keep each effect."""
    outcome = Outcome(seed, list(range(LENGTH) if steps is None else steps))
    random.seed(seed)  # the jitter of leases
    shop = Shop(seed, engine, outcome.trace if tell else None)
    chance = Random()
    try:
        for number in outcome.steps:
            chance.seed(seed << 10 | number)
            name = NAMES[bisect(UP_TO, chance.random() * UP_TO[-1])]
            if tell:
                outcome.trace.append(f"-- {number} {name}")
            getattr(shop, name)(chance, number)
            for _ in range(int(chance.random() * SLACK)):
                shop.turn(chance)
        while shop.running:
            shop.turn(chance)
        shop.make_peace(chance)
        shop.check()
    except Exception as error:  # whatever it is: no history may raise
        outcome.violation = f"{type(error).__name__}: {error}"
        if tell:
            import traceback

            outcome.trace.append(traceback.format_exc())
    outcome.operations, outcome.effects = shop.operations, shop.effects
    outcome.faults = shop.stripe.faults + shop.faults
    return outcome


def run_many(first: int) -> tuple[Outcome, list[Outcome]]:
    """Run some histories in a worker process; those that fail are made short."""
    gc.disable()  # what a history makes lives as long as it
    total, failed = Outcome(first, []), []
    for seed in range(first, first + AT_ONCE):
        outcome = run(seed)
        total.operations, total.effects = total.operations + outcome.operations, total.effects + outcome.effects
        total.faults += outcome.faults
        if outcome.violation:
            short = shrink(outcome, lambda steps, seed=seed: run(seed, steps))  # type: ignore[misc]
            failed.append(run(seed, short.steps, tell=True))
    gc.collect()
    return total, failed


def pick(some: list[Any], chance: Random) -> Any:
    """Return one of them, half the time one of the last three."""
    if not some:
        return None
    last = min(3, len(some)) if chance.random() < 0.5 else len(some)
    return some[-1 - int(chance.random() * last)]


def deletion(row: Any) -> Call:
    """Return the request that deletes the object of a document."""
    return Call(f"{row.resource.path}/{row.stripe_id}", {}, "delete")


class Actor:
    """One run of something that may be interrupted; `fate` is the number of the effect before which it dies."""

    __slots__ = ("before", "fate", "flow", "left", "name")

    def __init__(self, name: str, flow: Flow, fate: int) -> None:
        self.name, self.flow, self.fate, self.left, self.before = name, flow, fate, fate, ""


@dataclass
class Request:
    """A client's request, and what it was told each time that it sent it."""

    resource: Resource
    values: dict[str, Any]
    key: str
    told: list[tuple[str, int]] = field(default_factory=list)  # status and document


class Shop:
    """What happens: clients, Stripe, the network, the processes and time have their turns."""

    def __init__(self, seed: int, engine: Engine, trace: list[str] | None) -> None:
        self.seed, self.trace = seed, trace
        self.store, self.stripe = Store(engine), Stripe()
        self.service = Service(self.store, self.stripe)
        self.stripe.watch, self.store.watch = self.witness, self.see
        self.running: list[Actor] = []
        self.book: list[Request] = []
        self.changes: list[tuple[str, str, str]] = []  # told to be done
        self.removals: list[int] = []
        self.letters: list[Event] = []
        self.acknowledged: set[int] = set()
        self.faults: Counter[str] = Counter()
        self.operations = self.effects = self.asked = 0
        self.skewed = 0.0  # s that MongoDB's clock is ahead of Stripe's
        self.people = False  # whether somebody made what may be ours: then it may take a person to tell

    # --- schedule ---

    def begin(self, name: str, flow: Flow, chance: Random, lives: int = 14) -> None:
        """Let a process join the others; some die on the way."""
        fate = 1 + int(chance.random() * lives) if chance.random() < 0.15 else -1
        self.operations += 1
        self.running.append(Actor(name, flow, fate))

    def turn(self, chance: Random) -> None:
        """Let one of them go on to its next effect."""
        if self.running:
            self.go_on(int(chance.random() * len(self.running)))

    def go_on(self, place: int) -> None:
        """Let this one go on."""
        actor = self.running[place]
        actor.left -= 1
        if actor.left == 0:
            del self.running[place]
            self.faults["process killed"] += 1
            return
        self.effects += 1
        try:
            actor.before = next(actor.flow)
        except StopIteration:
            del self.running[place]
            return
        if actor.before in (SENDS, "GET"):
            self.asked += 1
            if self.asked % 3 == 0:  # so that some changes share their second, and others do not
                self.advance(1.0)
        if self.trace is not None:
            self.trace.append(f"{self.stripe.now:10.0f}  {actor.name}: {actor.before}")

    def advance(self, seconds: float) -> None:
        """Let time pass, for everybody."""
        self.stripe.now += seconds
        self.store.now = BEGIN + timedelta(seconds=self.stripe.now + self.skewed)

    def witness(self, call: Call, resource: Resource) -> None:
        """See a request at the moment when Stripe executes it, and ask whether it may be sent."""
        verb = call.key.split(":")[4] if call.method == "post" else "delete"
        if verb == "create":
            owner = self.store.rows.get(int(call.key.split(":")[3]))
            assert owner is not None, f"{call} before its intent was stored"
            assert owner.creation_key == call.key, f"{call} with a key that its document does not know"
        if verb in ("undo", "delete"):
            stripe_id = call.path.removeprefix(resource.path)[1:].partition("/")[0]
            rows = self.store.of(resource)
            named = any(
                stripe_id in row.orphans or (row.stripe_id == stripe_id and (row.operation or row.status == "deleted"))
                for row in rows
            )
            again = verb == "undo" and any(stripe_id in row.undone_orphans for row in rows)
            excused = again or self.stripe.overslept
            assert named or excused, f"{call} goes, and no document says that it may"
            holder = self.store.holder(resource, stripe_id)
            used = holder is not None and not (holder.operation and holder.operation.verb == "delete")
            assert not used or verb == "delete", f"{call} goes, and a document uses it: {told(holder)}"

    def see(self, old: Any, new: Any, by: str) -> None:
        """See a write that changes a status."""
        if new.status == "rolled_back" and by in ("reconcile", "refused"):
            late = [
                call
                for call, _, at in self.stripe.late
                if call.key == new.creation_key and self.stripe.now - at < IN_FLIGHT
            ]
            made = [
                each
                for each in self.stripe.objects[new.resource.kind]
                if each.key == new.creation_key and not each.gone
            ]
            assert not (late or made) or self.stripe.overslept, (
                f"rolled back, and it {(late and 'may be') or 'is'} there: {told(old)}"
            )

    # --- clients ---

    def create(self, chance: Random, number: int) -> None:
        """A client creates something."""
        resource = KINDS[OURS_TO_MAKE[int(chance.random() * len(OURS_TO_MAKE))]]
        values: dict[str, Any] = {"name": f"name {number}"}
        if resource.kind == "customer":
            values["username"] = ("ann", "bob", "cy")[int(chance.random() * 3)]
        if resource.accepts_custom_id:
            values["id"] = free = ("SAVE10", "SAVE20")[int(chance.random() * 2)]
            if any(row.is_current and free in (row.stripe_id, row.wished) for row in self.store.of(resource)):
                values["id"] = f"SAVE{number}"
        request = Request(resource, values, f"request {number}")
        self.book.append(request)
        self.begin(f"{number} create {resource.kind}", self.ask(request, draw_faults(chance, WRITES)), chance)

    def again(self, chance: Random, number: int) -> None:
        """A client that does not know what became of its request sends it again."""
        if self.book:
            request = self.book[int(chance.random() * len(self.book))]
            self.begin(f"{number} again", self.ask(request, []), chance)

    def ask(self, request: Request, faults: list[str | None]) -> Flow:
        """Send a create request, and note the answer."""
        began = self.stripe.now
        row = yield from Process(self.service, faults).create(request.resource, request.values, request.key)
        if row is not None and self.stripe.now - began < ANSWERED:
            request.told.append((row.status, row.id))

    def change(self, chance: Random, number: int) -> None:
        """A client changes something, by one call or by two, or pays."""
        row = self.one(chance)
        if row is None or row.resource.mirrored:
            return
        name, path = f"changed {number}", row.resource.path

        def calls(row: Any) -> list[Call]:
            if row.resource.kind == "payment_intent":
                return [Call(f"{path}/{row.stripe_id}/pay", {"status": "succeeded"})]
            first = [Call(f"{path}/{row.stripe_id}", {"note": name})] if row.resource.kind == "product" else []
            return [*first, Call(f"{path}/{row.stripe_id}", {"name": name})]

        verb = "pay" if row.resource.kind == "payment_intent" else "update"
        self.begin(f"{number} {verb}", self.do(row, verb, calls, name, draw_faults(chance, WRITES)), chance)

    def remove(self, chance: Random, number: int) -> None:
        """A client deletes something."""
        row = self.one(chance)
        if row is None or not row.resource.deletable:
            return
        flow = self.do(row, "delete", lambda row: [deletion(row)], "", draw_faults(chance, WRITES))
        self.begin(f"{number} delete", flow, chance)

    def replace(self, chance: Random, number: int) -> None:
        """A client deletes what has a chosen id, and at once creates another with that id."""
        rows = [row for row in self.store.of(KINDS["coupon"]) if row.status == "active"]
        if rows:
            row, resource = pick(rows, chance), KINDS["coupon"]
            request = Request(resource, {"name": f"name {number}", "id": row.stripe_id}, f"request {number}")
            self.book.append(request)
            faults = draw_faults(chance, WRITES) if chance.random() < 0.3 else []

            def both() -> Flow:
                process = Process(self.service, faults)
                done = yield from process.change(row.id, "delete", lambda row: [deletion(row)])
                if done is not None and done[0].status == "deleted":
                    yield from self.ask(request, [])

            self.begin(f"{number} replace {row.stripe_id}", both(), chance)

    def do(self, row: Any, verb: str, calls: Any, name: str, faults: list[str | None]) -> Flow:
        """Send a change, and note what was told to be done."""
        began = self.stripe.now
        done = yield from Process(self.service, faults).change(row.id, verb, calls)
        if done is None or self.stripe.now - began >= ANSWERED:
            return
        ended, refused = done
        if verb == "delete" and ended.status == "deleted":
            self.removals.append(row.id)
        elif not refused and ended.status == "active" and ended.operation is None:
            self.changes.append((row.resource.kind, ended.stripe_id, name if verb == "update" else ""))

    # --- Stripe's webhooks ---

    def post(self, chance: Random, number: int) -> None:
        """Stripe delivers what it has in any order, some twice, some never, all at once."""
        self.take_letters()
        for turn in range(1 + int(chance.random() * 5)):
            if self.letters:
                event = self.letters[-1 - int(chance.random() * min(30, len(self.letters)))]
                self.begin(
                    f"{number}.{turn} webhook {event.id}", self.deliver([event], draw_faults(chance, READS)), chance
                )

    def post_together(self, chance: Random, number: int) -> None:
        """Many arrive together, and are written together."""
        self.take_letters()
        some = [self.letters[-1 - int(chance.random() * min(12, len(self.letters)))] for _ in range(6) if self.letters]
        if some:
            self.operations += len(some) - 1
            self.begin(f"{number} batch", self.deliver(some, draw_faults(chance, READS)), chance)

    def take_letters(self) -> None:
        """Take what Stripe has to deliver."""
        self.letters += self.stripe.letters
        self.stripe.letters = []

    def deliver(self, events: list[Event], faults: list[str | None]) -> Flow:
        """Deliver events, and note that they were taken."""
        process = Process(self.service, faults)
        yield from process.webhook(events[0]) if len(events) == 1 else process.batch(events)
        self.acknowledged.update(event.id for event in events)

    def lose(self, chance: Random, number: int) -> None:
        """What is to be delivered now never arrives."""
        self.faults["webhooks lost"] += len(self.stripe.letters)
        self.stripe.letters = []

    # --- operators ---

    def reconcile(self, chance: Random, number: int) -> None:
        """Reconcile runs, perhaps beside others."""
        faults = draw_faults(chance, READS if chance.random() < 0.5 else WRITES)
        run = Process(self.service, faults).reconcile(full=chance.random() < 0.3)
        self.begin(f"{number} reconcile", run, chance, lives=40)

    def kill(self, chance: Random, number: int) -> None:
        """The process dies with all that it is doing."""
        self.faults["process killed"] += len(self.running)
        self.running = []

    def erase(self, chance: Random, number: int) -> None:
        """A person is erased: what is kept of them says nothing of them from now on."""
        row = self.one(chance, "active", "deleted", "rolled_back")
        if row is not None and row.username is None and not row.resource.accepts_custom_id:
            self.begin(f"{number} erase {row.id}", Process(self.service).erase(row.id), chance)

    # --- people at the Dashboard, and Stripe itself ---

    def edit(self, chance: Random, number: int) -> None:
        """Somebody edits an object in the Dashboard, perhaps several times in one second, perhaps there and back."""
        object = self.some_object(chance)
        if object is not None and not object.gone:
            field = "name" if object.resource.has_created_event else "note"  # nobody renames what we find by its fields
            before = object.content.get(field)
            for turn in range(1 + int(chance.random() * 3)):
                self.faults["edits in the Dashboard"] += 1
                self.stripe.change(object, None, **{field: before if turn == 1 else f"edited {number}.{turn}"})

    def erase_there(self, chance: Random, number: int) -> None:
        """Somebody deletes an object in the Dashboard."""
        object = self.some_object(chance)
        if object is not None and not object.gone and (object.resource.deletable or object.resource.kind == "discount"):
            self.faults["deletions in the Dashboard"] += 1
            self.stripe.delete(object)

    def create_there(self, chance: Random, number: int) -> None:
        """Somebody creates something in the Dashboard."""
        kind = ("customer", "charge", "discount", "coupon")[int(chance.random() * 4)]
        self.faults["creations in the Dashboard"] += 1
        chosen = {"id": f"THEIRS{number}"} if kind == "coupon" else {}
        self.stripe.create(KINDS[kind], {"name": f"theirs {number}", **chosen}, None, "people")

    def create_the_same_there(self, chance: Random, number: int) -> None:
        """Somebody creates what looks exactly like ours."""
        if self.book:
            request = self.book[-1]
            self.people = True
            other = {"id": f"THEIRS{number}"} if request.resource.accepts_custom_id else {}
            self.stripe.create(request.resource, {**request.values, **other}, None, "people")

    def create_elsewhere(self, chance: Random, number: int) -> None:
        """Another installation of ours, in the same account, creates something."""
        key = f"sms1:theirs:customer:1:create:{number}"
        self.faults["creations by another installation"] += 1
        self.stripe.create(KINDS["customer"], {"name": f"another's {number}"}, key, "another")

    def finish_what_failed(self, chance: Random, number: int) -> None:
        """Stripe rolls forward what it had answered with a 500, and its events carry no key."""
        self.people |= self.stripe.repair()

    def land_late(self, chance: Random, number: int) -> None:
        """Requests whose senders have given up are executed after all."""
        self.stripe.land()

    def hide(self, chance: Random, number: int) -> None:
        """A GET does not find, for a while, an object of ours; once only, as two such would prove a deletion."""
        row = self.one(chance, "active")
        object = row and not row.resource.accepts_custom_id and self.stripe.find(row.resource, row.stripe_id)
        if object and not object.hidden_until:
            self.faults["objects not found for a while"] += 1
            object.hidden_until = self.stripe.now + HIDDEN_FOR
            self.take_letters()
            for turn in range(2):  # of one second, so that each of them is a reason to look
                self.stripe.change(object, None, note=f"hidden {number}.{turn}")
            for event in self.stripe.letters:
                self.begin(f"{number} webhook {event.id}", self.deliver([event], []), chance)
                self.begin(f"{number} reconcile", Process(self.service).reconcile(), chance)

    def lag(self, chance: Random, number: int) -> None:
        """Stripe's list of events is behind."""
        self.faults["lists of events that lag"] += 1
        self.stripe.lag = (0.0, 5.0, 60.0)[int(chance.random() * 3)]

    # --- time ---

    def wait(self, chance: Random, number: int) -> None:
        """Time passes, for everybody."""
        minutes = PASSED[int(chance.random() * len(PASSED))]
        self.faults["keys forgotten by Stripe"] += minutes > 24 * 60
        for actor in [actor for actor in self.running if actor.before == SENDS]:
            self.go_on(self.running.index(actor))
        if minutes > 60:  # no request is under way for hours
            self.stripe.land()
        self.advance(minutes * 60.0)

    def oversleep(self, chance: Random, number: int) -> None:
        """A process sleeps until Stripe has forgotten its key, between deciding to send it once more and sending it."""
        kind = ("price", "product")[number % 2]
        request = Request(KINDS[kind], {"name": f"name {number}"}, f"request {number}")
        self.book.append(request)
        self.begin(f"{number} oversleep", self.ask(request, ["answer lost"]), chance)
        while len(self.running) and self.running[-1].before != "answered":
            self.go_on(len(self.running) - 1)
        if self.running and self.running[-1].name == f"{number} oversleep":
            self.go_on(len(self.running) - 1)
            self.faults["slept until a key was forgotten"] += 1
            self.stripe.overslept = True
            self.stripe.land()
            self.advance(25 * 3600.0)

    def skew(self, chance: Random, number: int) -> None:
        """MongoDB's clock jumps, ahead of Stripe's or behind."""
        self.faults["clock jumps"] += 1
        self.skewed = (2 * chance.random() - 1) * SKEW
        self.advance(0.0)

    # --- choices ---

    def one(self, chance: Random, *statuses: str) -> Any:
        """Return one of the documents, often one of the newest."""
        return pick([row for row in self.store.rows.values() if not statuses or row.status in statuses], chance)

    def some_object(self, chance: Random) -> Object | None:
        """Return one of Stripe's objects, often one of the newest."""
        return pick(self.stripe.all, chance)

    # --- peace ---

    def make_peace(self, chance: Random) -> None:
        """No more faults: what is late arrives, and reconcile has all the time that it needs."""
        self.stripe.lag = 0.0
        if self.seed % 4 == 1:  # what is in doubt is given up before what is late arrives
            self.advance(23.3 * 3600)
            for _ in range(3):
                self.at_once(Process(self.service).reconcile())
                self.advance(600.0)  # but no request is under way for a day
        self.stripe.land()
        self.take_letters()
        left = [event for event in self.letters if event.id not in self.acknowledged]
        chance.shuffle(left)
        for event in left:
            self.at_once(self.deliver([event], []))
        self.advance(240.0)  # longer than Stripe's list of events is behind
        self.converge()
        for row in self.store.rows.values():
            if row.review_reason is None:
                self.check_at_rest(row)
        for kind, resource in KINDS.items():
            if resource.has_created_event:  # its every change has an event
                self.check_in_sync(kind, resource, heard_only=True)
        self.advance(20 * 60.0)  # what is younger is left to its events
        for _ in range(1 + self.people):  # what may have been ours is adopted once what is ours was found
            self.at_once(Process(self.service).reconcile(full=True))
            self.converge()

    def at_once(self, flow: Flow) -> None:
        """Let a process do all that it does, beside nobody."""
        for before in flow:
            if self.trace is not None:
                self.trace.append(f"{self.stripe.now:10.0f}  peace: {before}")

    def converge(self) -> None:
        """Reconcile until nothing is to be done."""
        for _ in range(60):
            due = [row.due_at for row in self.store.rows.values() if row.due_at is not None]
            due += [row[1] for row in self.store.inbox.values() if row[1] is not None]
            missed = len(self.stripe.events) - len(self.store.inbox)
            if not due and not missed:
                return
            if due:
                self.advance(max(0.0, (min(due) - self.store.now).total_seconds()) + 1)
            self.at_once(Process(self.service).reconcile())
        if not self.undecided:
            raise AssertionError(
                f"there is no end to it: {[told(row) for row in self.store.rows.values() if row.due_at]}"
            )

    # --- what must hold ---

    def check(self) -> None:
        """Assert all that is promised, of a shop at peace."""
        rows = self.store.rows.values()
        for row in rows:
            self.check_at_rest(row)
        for kind, resource in KINDS.items():
            self.check_in_sync(kind, resource)
        lost = self.acknowledged - self.store.inbox.keys()
        assert not lost, f"lost events: {lost}"
        left = [id for id, row in self.store.inbox.items() if row[1] is not None]
        assert not left or self.undecided, f"events still open: {left}"
        for key, count in self.stripe.made.items():
            assert count == 1 or self.stripe.overslept, f"made {count} times: {key}"
        for kind, stripe_id, name in self.changes:
            lives = [object for object in self.stripe.objects[kind] if object.content["id"] == stripe_id]
            done = any(name in object.names if name else object.paid for object in lives)
            assert done, f"told to be changed, and never was: {stripe_id} {name}"
        for id in self.removals:
            assert self.store.rows[id].status == "deleted", f"told to be deleted: {told(self.store.rows[id])}"
        for request in self.book:
            self.check_nobody_was_lied_to(request)
        writes = self.store.writes
        self.at_once(Process(self.service).reconcile())
        assert self.store.writes == writes, "there is no end to it"

    @property
    def undecided(self) -> set[str]:
        """The types of which a person must decide about a document."""
        return {row.resource.kind for row in self.store.rows.values() if row.review_reason is not None}

    def check_at_rest(self, row: Any) -> None:
        """Assert that nothing is left to do about a document."""
        if row.review_reason is not None:
            assert self.people or self.may_need_a_person(row), f"in review: {told(row)}"
            return
        assert row.status != "pending", f"still pending: {told(row)}"
        assert row.operation is None or row.status == "rolled_back", f"operation left: {told(row)}"
        assert row.due_at is None, f"still due: {told(row)}"
        assert not row.orphans, f"orphans left: {told(row)}"
        assert len({*row.undone_orphans}) == len(row.undone_orphans), f"undone twice: {told(row)}"
        assert row.missing_since is None, f"still missing: {told(row)}"
        assert row.status == "rolled_back" or not row.in_doubt, f"still in doubt: {told(row)}"

    @staticmethod
    def may_need_a_person(row: Any) -> bool:
        """Whether nobody else can decide: what moves money is not repeated, and what has no event names no key."""
        operation, resource = row.operation, row.resource
        moves_money = operation is not None and resource.moves_money(operation.verb, operation.params)
        return moves_money or not resource.has_created_event

    def check_in_sync(self, kind: str, resource: Resource, *, heard_only: bool = False) -> None:
        """Assert that the documents of a type are as Stripe has its objects."""
        here = {}
        for row in self.store.of(resource):
            if row.status == "active":
                assert row.stripe_id not in here, f"two documents of {row.stripe_id}"
                here[row.stripe_id] = row
        there = {object.content["id"]: object for object in self.stripe.objects[kind] if not object.gone}
        missing = here.keys() - there.keys()
        if heard_only:  # two may adopt one object, the second one when it is gone; and chosen ids are used again
            missing -= {row.stripe_id for row in self.store.of(resource) if row.status == "deleted"}
        assert not missing, f"documents without an object: {[told(here[id]) for id in missing]}"
        for stripe_id, object in there.items():
            row = here.get(stripe_id)
            if row is None:
                theirs = object.by == "another" or (self.people and not resource.listable)
                assert theirs or not object.usable or kind in self.undecided, (
                    f"an object without a document: {object.content}"
                )
                continue
            assert object.by != "another", f"adopted, and another installation's: {told(row)}"
            owner = owner_of(object.key, resource) if object.key else None
            excused = self.stripe.overslept and not resource.has_created_event  # made twice, and no event names its key
            assert excused or owner in (None, row.id), f"{stripe_id} is of document {owner}: {told(row)}"
            if row.review_reason is None:
                remote = object.content if not resource.events_only else self.last_told(object)
                if row.erased_at is not None and resource.events_only:
                    pass  # no GET reads it, and an event of a person who was erased is not kept
                elif row.erased_at is not None:
                    assert row.digest == content.digest(scrub(remote)), f"differs from {remote}: {told(row)}"
                else:
                    assert row.digest == digest(remote), f"differs from {remote}: {told(row)}"
                    assert row.name == remote["name"], f"its fields differ from {remote}: {told(row)}"
                    assert row.stripe.get("applies_to") == object.content.get("applies_to"), (
                        f"a field was lost: {told(row)}"
                    )

    def last_told(self, object: Object) -> dict[str, Any]:
        """Return what must be kept of what no GET reads: of its last second's events, the greatest digest."""
        events = [event for event in self.stripe.events if event.object is object]
        last = max(event.seen.latest for event in events)
        told = max((event.seen for event in events if event.seen.latest == last), key=lambda seen: seen.digest or "")
        return told.remote or {}

    def check_nobody_was_lied_to(self, request: Request) -> None:
        """All answers to one request agree with each other, and with what it came to."""
        kept = {id for _, id in request.told if self.store.rows[id].erased_at is None}  # else the key is forgotten, too
        assert len(kept) <= 1, f"one request, two documents: {request.values} {request.told}"
        for status, id in request.told:
            row = self.store.rows[id]
            if status != "pending":
                assert row.status in (status, "deleted"), f"told {status}: {told(row)}"
