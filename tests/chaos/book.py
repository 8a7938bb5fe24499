"""After the storm: three books are compared, of what clients were told, of MongoDB, and of Stripe.

Whatever was killed, one reconcile must be enough: what was acknowledged is as it was told, what was refused is not
there, what was left open is one or the other, and both sides say the same; a second reconcile finds nothing to do.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stripe_mongo_sync import sync
from stripe_mongo_sync.demo.client import Json
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.stack import Stack
from stripe_mongo_sync.emulator.fronts.control import Control
from stripe_mongo_sync.models import Event, SyncedDocument, created_kinds, kinds, present_kinds
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.sync.runs.reconcile import run_once
from stripe_mongo_sync.sync.settings import Settings
from tests.chaos.load import DELETED, DONE, NO_ANSWER, NOTHING, PATHS, Lied, Load, Thing
from tests.support import eventually
from tests.support.in_sync import assert_in_sync

MARKS = {  # which field bears the mark of a thing, here and at Stripe; and as what it is made there
    "customer": ("username", "email", "customer"),
    "product": ("description", "description", "product"),
    "payment_intent": ("description", "description", "payment_intent"),
    "order": ("username", "receipt_email", "payment_intent"),
}
SHOWN_LOG = 8_000  # characters
SHOWN = {"customer": "name", "product": "name", "payment_intent": "stripe_status", "order": "payment_status"}


class Outside:
    """A running stack, looked at as tests look at a `World`: this process knows its MongoDB and its Stripe."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.stripe: Control = stack.stripe

    def documents(self) -> list[SyncedDocument]:
        """Every document of every kind."""
        return [document for model in present_kinds().values() for document in model.objects]


@contextmanager
def looking_at(stack: Stack) -> Iterator[Outside]:
    """Connect this process to what a stack runs on."""
    sync.disconnect()
    sync.connect(Settings.from_environment(environment=stack.environment))
    try:
        yield Outside(stack)
    finally:
        sync.disconnect()


@contextmanager
def _showing_the_log(stack: Stack) -> Iterator[None]:
    """Add the errors that the service logged to the failure of who was answered what nobody may be answered."""
    try:
        yield
    except Lied as lie:
        log = stack.process("gunicorn").log.read_text(errors="replace")
        lie.add_note("".join(log.partition(" ERROR ")[1:])[:SHOWN_LOG])
        raise


@contextmanager
def storm(stack: Stack, *, clients: int = 4, seed: int = 0) -> Iterator[Load]:
    """Let clients shop on a running stack while the block breaks it; it begins when they are served."""
    with looking_at(stack):
        assert not run_once().unseen  # as it did every five minutes: from here on it reads Stripe's events
    product = stack.service.post("/products", {"name": "Lamp"}).body["id"]
    price = stack.service.post("/prices", {"product": product, "currency": "eur", "unit_amount": 990}).body["id"]
    with _showing_the_log(stack), Load(stack.service, price, clients=clients, seed=seed) as load:
        load.is_refused()
        load.goes_on()
        yield load
        load.goes_on()
        load.is_refused()


@dataclass
class Figures:
    """What a storm came to."""

    seconds: float
    clients: Counter[str]  # how often they were told what
    longest_gap: float  # seconds without any write acknowledged, to anybody
    slowest: float  # seconds until the slowest answer
    things: int
    events: int
    lost: list[str] = field(default_factory=list)  # things that are not as they were told
    events_lost: list[str] = field(default_factory=list)  # acknowledged to Stripe, and in no inbox
    duplicates: list[str] = field(default_factory=list)  # things that were made twice at Stripe
    orphans: list[str] = field(default_factory=list)  # usable objects that no active document has

    def __str__(self) -> str:
        told = ", ".join(f"{count:,} × {what}" for what, count in sorted(self.clients.items()))
        counted = ("lost", "events_lost", "duplicates", "orphans")
        ends = ", ".join(f"{name.replace('_', ' ')} {len(getattr(self, name))}" for name in counted)
        return (
            f"{self.seconds:.0f} s, {sum(self.clients.values()):,} requests: {told}; longest gap without an "
            f"acknowledged write {self.longest_gap:.1f} s, slowest answer {self.slowest:.1f} s; {self.things:,} things "
            f"and {self.events:,} events: {ends}"
        )


def settle(stack: Stack, load: Load) -> Figures:
    """Let one reconcile settle what the storm left, compare the books, and return what it came to.

    Who was killed cannot give its lease back, and nobody waits here: so all leases are over when it runs. And what it
    causes itself is told by no webhook: the second has nothing to do but to hear of that.
    """
    stack.stripe.clear_faults()
    _await_webhooks(stack)
    stack.stripe.webhooks.disrupt(drop=10**9)
    Shop(stack).make_all_due()
    code, report = stack.reconcile()
    assert code == 0, report
    with looking_at(stack) as outside:
        again = run_once(full=True)
        untold = Counter(adopt=kinds()["balance_transaction"].objects.count())  # no event tells of these
        remedies = {name for name, count in (again.counts - untold).items() if not name.startswith("event_")}
        assert (again.exit_code, remedies) == (0, set()), f"the second reconcile still found: {again}"
        figures = compare(outside, load)
        assert_in_sync(outside)
    stack.stripe.clear_faults()
    found = [figures.lost, figures.events_lost, figures.duplicates, figures.orphans]
    assert not any(found), f"{found}\n{figures}"
    return figures


def _await_webhooks(stack: Stack) -> None:
    """Wait until each event was delivered, or Stripe has given it up: then nothing moves any more."""
    rows = stack.database["stripe_events"]

    def quiet() -> bool:
        if stack.stripe.webhooks.outstanding():
            return False
        told = {event["id"] for event in stack.stripe.events() if not event["pending_webhooks"]}  # or under way
        return told <= {row["_id"] for row in rows.find({}, {"_id": 1})} and not stack.stripe.webhooks.outstanding()

    eventually(quiet, 90)


def compare(outside: Outside, load: Load) -> Figures:
    """Compare the three books."""
    events, inbox = outside.stripe.events(), {row.id: row for row in Event.objects}
    unread = {row.id: row.reason for row in inbox.values() if row.state in (EventState.RECEIVED, EventState.DEAD)}
    assert not unread, f"events that were not applied: {unread}"
    made = Counter(_made(event["data"]["object"]) for event in events if event["type"].endswith(".created"))
    figures = Figures(
        seconds=load.answers[-1].at - load.answers[0].sent,
        clients=Counter("no answer" if a.status == NO_ANSWER else str(a.status) for a in load.answers),
        longest_gap=longest_gap(load),
        slowest=max(answer.took for answer in load.answers),
        things=len(load.things),
        events=len(events),
        events_lost=[event["id"] for event in events if event["id"] not in inbox],
        duplicates=[str(what) for what, times in made.items() if times > 1 and None not in what],
        orphans=_orphans(outside),
    )
    there = {kind: outside.stripe.objects(kind) for *_, kind in MARKS.values()}
    for thing in load.things:
        if wrong := _wrong(outside, thing, there[MARKS[thing.kind][2]]):
            figures.lost.append(f"{wrong}: {thing}")
    return figures


def _wrong(outside: Outside, thing: Thing, objects: list[Json]) -> str | None:
    """Return what is wrong with a thing: the books do not agree, or it cannot be so by what its client was told."""
    mark_here, mark_there, _ = MARKS[thing.kind]
    rows = list(kinds()[thing.kind].objects(**{mark_here: thing.mark}))
    active = [row for row in rows if row.status == "active"]
    made = [each for each in objects if each[mark_there] == thing.mark]
    if len(active) > 1 or len(made) > 1:
        return f"{len(active)} documents and {len(made)} objects"
    gone = DELETED if any(row.status == "deleted" for row in rows) else NOTHING
    here = getattr(active[0], SHOWN[thing.kind]) if active else gone
    at_stripe = _shown(thing, made[0]) if made else gone
    if here != at_stripe:
        return f"{here} here and {at_stripe} at Stripe"
    if here not in thing.may_be:
        return f"it is {here}"
    if thing.id:
        told = outside.stack.service.get(f"{PATHS[thing.kind]}/{thing.id}")
        if (told.status, [told.body["id"]]) != (200, [str(row.id) for row in rows if str(row.id) == thing.id]):
            return f"its client is told {told.status} now"
    return None


def _shown(thing: Thing, remote: Json) -> str:
    if thing.kind == "order":
        return "paid" if remote["status"] == "succeeded" else str(remote["status"])
    return str(remote["name" if "name" in remote else "status"])


def _made(remote: Json) -> tuple[str, str | None]:
    """Return as what, and with which mark, an object was made: the same twice is a duplicate."""
    marks = {there for _, there, kind in MARKS.values() if kind == remote["object"]}
    return remote["object"], next((remote[mark] for mark in sorted(marks) if remote.get(mark)), None)


def _orphans(outside: Outside) -> list[str]:
    found = []
    for kind, model in created_kinds().items():
        if model.resource.path:
            active = {row.stripe_id for row in model.objects(status="active").only("stripe_id")}
            usable = [each["id"] for each in outside.stripe.objects(kind) if model.resource.is_usable(each)]
            found += [id for id in usable if id not in active]
    return found


def longest_gap(load: Load) -> float:
    """Return for how many seconds, at most, no write was acknowledged to anybody while the clients shopped."""
    done = sorted(answer.at for answer in load.answers if answer.status in DONE)
    moments = [min(answer.sent for answer in load.answers), *done]
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


def outages(load: Load, longer: float = 1.0) -> list[float]:
    """Return each time, in seconds, for which no write was acknowledged to anybody."""
    done = sorted(answer.at for answer in load.answers if answer.status in DONE)
    return [b - a for a, b in itertools.pairwise(done) if b - a > longer]
