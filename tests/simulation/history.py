"""History: the steps of one seed, then peace, and then everything that must hold.

A step draws from its own number and the seed, so that a history with some steps left out is a history, too, and a
failing one can be made short.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from stripe_mongo_sync.emulator.protocol.wire import LogEntry
from stripe_mongo_sync.models import Event, Status, kinds
from stripe_mongo_sync.models.event_body import request_key
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.models.rows.keys import PREFIX, IdempotencyKey
from tests.simulation.shop import STEPS, Shop, Told
from tests.support.in_sync import assert_in_sync
from tests.support.world import KEY, SECRET, TOKEN, World

LENGTH = 40  # steps
SLACK = 12  # effects, at most, between the beginnings of two steps
KEPT_KEY = 24 * 3600  # s: Stripe may forget a key after that
TOLD_OF = ("customer", "product", "price", "coupon", "promotion_code")
PRIVATE = (KEY, SECRET, TOKEN, "@here.com")
EDITED = "was edited in MongoDB"  # which nobody does here: a row that a run puts right so, the engine left so


@dataclass
class Outcome:
    """What came of one history."""

    seed: int
    steps: list[int]
    violation: str | None = None
    operations: int = 0
    switches: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"python -m tests.simulation --seed {self.seed} --steps {','.join(map(str, self.steps))}"


def run(seed: int, database: str, clean: Callable[[], None], steps: Iterable[int] | None = None) -> Outcome:
    """Run a history, or only these steps of it, in a database that `clean` empties; whatever it does, return."""
    outcome = Outcome(seed, list(range(LENGTH) if steps is None else steps))
    clean()
    random.seed(seed)  # the jitter of leases
    logs = _Overheard()
    logging.getLogger().addHandler(logs)
    shop = None
    try:
        shop = Shop(database, seed)
        for number in outcome.steps:
            chance = Random(f"{seed}:{number}")
            name = chance.choices(list(STEPS), list(STEPS.values()))[0]
            outcome.story.append(f"{number} {name}")
            getattr(shop, name)(chance, number)
            for _ in range(chance.randint(0, SLACK)):
                shop.schedule.turn(chance)
        shop.schedule.finish(Random(f"{seed}:end"))
        make_peace(shop)
        check(shop)
        assert not logs.heard, f"the log tells: {logs.heard[0]}"
    except Exception as error:  # whatever it is: no history may raise
        outcome.violation = f"{type(error).__name__}: {error}"
    finally:
        logging.getLogger().removeHandler(logs)
        if shop is not None:
            _note(outcome, shop)
            shop.schedule.kill()
            shop.world.stop()
            shop.witness.close()
    return outcome


def _note(outcome: Outcome, shop: Shop) -> None:
    outcome.operations, outcome.trace = shop.operations, shop.schedule.trace
    outcome.switches = len(outcome.trace)
    outcome.faults = +shop.faults
    outcome.faults.update({fault.name: fault.hits for fault in shop.armed if fault.hits})
    outcome.faults["process or request killed"] += shop.schedule.deaths


def make_peace(shop: Shop) -> None:
    """No more faults: what is late arrives, and reconcile has all the time that it needs."""
    world = shop.world
    world.stripe.clear_faults()
    if shop.seed % 4 == 1:  # what is in doubt is given up before what is late arrives
        world.advance(hours=23.3)
        world.converge()
    world.stripe.release_late_requests()
    shop.letters += world.webhooks()
    Random(shop.seed).shuffle(shop.letters)
    for raw in shop.letters:
        shop.deliver(raw)
    world.advance(minutes=4)  # longer than Stripe's list of events is behind
    world.converge()
    assert_all_was_heard(world)
    world.advance(minutes=20)  # what is younger is left to its events
    world.reconcile(full=True)  # some changes, and some types, have no events
    world.converge()


def assert_all_was_heard(world: World) -> None:
    """Of the kinds whose every change has an event, each document is as Stripe has it, before anything is compared."""
    for kind in TOLD_OF:
        there = {remote["id"]: digest(remote) for remote in world.stripe.objects(kind)}
        for document in kinds()[kind].objects(status=Status.ACTIVE, review_reason=None):
            assert document.digest == there.get(document.stripe_id), f"unheard: {document.to_mongo()}"


def check(shop: Shop) -> None:
    """Assert all that is promised, of a shop at peace."""
    world = shop.world
    assert_in_sync(world, review=shop.people)
    report = world.reconcile()
    assert report.exit_code == 0 or report.counts["review"], str(report)
    idle = {name: count for name, count in report.counts.items() if count and name != "review"}
    assert not idle, f"there is no end to it: {idle}"
    assert_events_are_kept(shop)
    assert_keys_are_young(world)
    assert_objects_are_their_makers(world)
    assert_deeds_were_done(shop)
    for told in shop.book:
        assert_nobody_was_lied_to(shop, told)


def assert_events_are_kept(shop: Shop) -> None:
    """What was answered with 200 is in the inbox, and closed."""
    rows = {row.id: row for row in Event.objects(id__in=sorted(shop.acknowledged))}
    assert rows.keys() == shop.acknowledged, f"lost: {shop.acknowledged - rows.keys()}"
    left = {id: row.state for id, row in rows.items() if row.due_at is not None and not shop.people}
    assert not left, f"still open: {left}"


def assert_keys_are_young(world: World) -> None:
    """No key is used when Stripe may have forgotten it."""
    first: dict[str, float] = {}
    for request in world.stripe.requests:
        if (
            request.method == "POST"
            and request.key
            and request.key.startswith(PREFIX)
            and request.fault != "late_request"
        ):
            age = request.at - first.setdefault(request.key, request.at)
            assert age < KEPT_KEY, f"{request.key} was used again after {age / 3600:.0f} h"


def assert_objects_are_their_makers(world: World) -> None:
    """What a document's key made belongs to that document, and to no other."""
    made = {
        (e["type"], e["data"]["object"].get("id")): IdempotencyKey.parse(request_key(e)) for e in world.stripe.events()
    }
    for document in world.documents():
        key = made.get((document.resource.created_event, document.stripe_id))
        if document.status == Status.ACTIVE and key is not None and key.kind == document.resource.kind:
            assert key.document == document.id, f"{document.stripe_id} is of document {key.document}: {document.id}"


def assert_deeds_were_done(shop: Shop) -> None:
    """What was told to be changed, Stripe has changed; what was told to be deleted is."""
    sent = [(request.path, request.params, request) for request in shop.world.stripe.requests]
    for path, name, value in shop.changes:
        done = [r for at, params, r in sent if at == path and params.get(name) == value and was_done(r)]
        assert done, f"{path}: {name} was never {value!r}"
    for document in shop.removals:
        assert document.fetch_latest().status == Status.DELETED, f"told to be deleted: {document.to_mongo()}"


def was_done(request: LogEntry) -> bool:
    """Whether Stripe has done it, whatever it answered."""
    return request.status == 200 or request.fault in ("cut_after", "timeout_after", "500_after", "500_repair")


def assert_nobody_was_lied_to(shop: Shop, told: Told) -> None:
    """All answers to one request agree with each other, and with what it came to."""
    before = list(told.answers)
    shop.ask(told)
    status, last = told.answers[-1]
    story = f"{told.path} {told.key} {[(code, _about(answer)) for code, answer in told.answers]}"
    ids = {id for code, answer in told.answers if code != 409 and (id := _about(answer)[0])}
    assert len(ids) <= 1, f"one key, two documents: {story}"
    for code, answer in before:
        kept = last.get("document", last).get("status")
        match code:
            case 201:
                assert status in (201, 410) or kept == "active", f"told to be done: {story}"
            case 402 | 422 if answer["type"].rpartition("/")[2] in ("refused", "declined"):
                assert kept == answer["document"]["status"] or kept == "deleted", f"told to be refused: {story}"


def _about(answer: dict[str, object]) -> tuple[object, object]:
    document = answer.get("document", answer)
    assert isinstance(document, dict)
    return document.get("id"), answer.get("type") or document.get("status")


class _Overheard(logging.Handler):
    """Keeps what the log tells and must not."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = self.format(record)
        self.heard += [said] if any(word in said for word in (*PRIVATE, EDITED)) else []
