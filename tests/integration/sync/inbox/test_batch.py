"""A batch does what its events do one after another: each event is as safe beside others as alone."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.models.rows import many
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.inbox import batch, committer
from stripe_mongo_sync.sync.inbox.arrival import Arrival, arrive
from stripe_mongo_sync.sync.inbox.committer import Committer, Waiting, receive
from stripe_mongo_sync.sync.inbox.inbox import receive_alone
from tests.support.events import event
from tests.support.fuse import merged_into
from tests.support.heard import Heard
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.world import World


class Ear(Heard):
    """Hears the insert of the rows as `merge`, and does something just before the first command of a name."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], object]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        name = "merge" if merged_into(event) else event.command_name
        self.commands.append(name)
        if (act := self.before.pop(name, None)) is not None:
            act()


@pytest.fixture
def ear() -> Ear:
    return Ear()


def five_customers(database: str, ear: Ear) -> World:
    """A world with five customers, whose commands are heard."""
    world = World(database, listeners=(ear,))
    for number in range(5):
        sync.create_customer(f"user{number}@here.com")
    world.deliver()
    world.advance(minutes=1)
    ear.commands.clear()
    return world


@pytest.fixture
def heard(database: str, ear: Ear) -> Iterator[World]:
    """Such a world, which must end in sync."""
    world = five_customers(database, ear)
    yield world
    assert_in_sync(world)
    world.stop()


def renamed(world: World, *names: str) -> list[bytes]:
    """Rename every customer to each of these names, and return the events, in order."""
    for name in names:
        for customer in Customer.objects.order_by("id"):
            world.stripe.dashboard.update("customer", customer.stripe_id, name=name)
        world.advance(seconds=1)
    return world.webhooks()


def arrived(bodies: list[bytes]) -> list[Arrival]:
    return [arrive(body) for body in bodies]


def names() -> set[str | None]:
    return {customer.name for customer in Customer.objects}


def test_events_of_many_objects_are_three_round_trips(heard: World, ear: Ear) -> None:
    told = arrived(renamed(heard, "A", "B", "C"))

    ear.commands.clear()
    assert batch.commit(told) == ["applied"] * 15

    assert ear.commands == ["aggregate", "update", "merge"]
    assert names() == {"C"}
    assert Event.objects(state="applied", via="webhook").count() == 20


def test_events_of_one_object_are_one_update_in_any_order(heard: World) -> None:
    told = arrived(renamed(heard, *"ABCDEFGH"))
    random.Random(7).shuffle(told)
    revisions = {customer.id: customer.revision for customer in Customer.objects}

    answers = batch.commit(told)

    assert set(answers) <= {"applied", "stale"}
    assert names() == {"H"}
    assert {customer.id: customer.revision - 1 for customer in Customer.objects} == revisions


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_leaves_what_its_events_leave_alone(heard: World, seed: int) -> None:
    """However the same events are cut into batches, and whatever their order, the same is stored."""
    chance = random.Random(seed)
    customer = Customer.objects.first()
    told = renamed(heard, "A", "B")
    told.append(event("customer.updated", {**customer.stripe, "name": "odd"}, customer.snapshot_earliest))
    told.append(event("tax.settings.updated", {"object": "tax.settings"}, 1))
    told.append(event("customer.updated", {**customer.stripe, "id": "cus_nobody"}, 5))
    told += chance.sample(told, 3)
    chance.shuffle(told)
    cuts = sorted(chance.sample(range(len(told)), 3))
    for start, end in zip([0, *cuts], [*cuts, len(told)], strict=True):
        part = arrived(told[start:end])
        for arrival, answer in zip(part, batch.commit(part), strict=True):
            if answer is None:
                receive_alone(arrival)

    assert names() == {"B"}
    assert Event.objects.count() == 5 + len({json.loads(body)["id"] for body in told})
    heard.advance(minutes=20)
    heard.converge()


def test_a_duplicate_is_one_read_and_changes_nothing(heard: World, ear: Ear) -> None:
    told = arrived(renamed(heard, "A"))
    batch.commit(told)
    before = {row.id: row.to_mongo() for row in (*Customer.objects, *Event.objects)}

    ear.commands.clear()
    assert batch.commit(told) == ["duplicate"] * 5

    assert ear.commands == ["aggregate"]
    assert {row.id: row.to_mongo() for row in (*Customer.objects, *Event.objects)} == before


def test_the_same_event_twice_in_one_batch_is_applied_once(heard: World) -> None:
    bodies = renamed(heard, "A")
    told = arrive(bodies[0])

    assert batch.commit([told, told]) == ["applied", None]
    assert receive_alone(told) == "duplicate"
    heard.deliver(bodies)


@pytest.mark.fault("151")
def test_a_document_that_another_changed_meanwhile_is_decided_anew_and_no_other_is(heard: World, ear: Ear) -> None:
    told = arrived(renamed(heard, "A"))
    other = Customer.objects.first()
    ear.before["update"] = lambda: other.update_if_unchanged(error=None)

    assert batch.commit(told) == ["applied"] * 5

    assert names() == {"A"}
    assert Event.objects(state="applied").count() == 10


@pytest.mark.fault("151")
def test_what_another_process_learned_meanwhile_is_not_overwritten(heard: World, ear: Ear) -> None:
    told = arrived(renamed(heard, "A", "B"))
    ear.before["update"] = lambda: receive_alone(told[5])

    assert set(batch.commit(told[:5])) == {"applied", "stale"}

    first, *others = Customer.objects.order_by("id")
    assert (first.name, {each.name for each in others}) == ("B", {"A"})
    batch.commit(told[6:])


@pytest.mark.fault("151")
def test_a_row_that_another_process_wrote_meanwhile_is_no_second_one(heard: World, ear: Ear) -> None:
    told = arrived(renamed(heard, "A"))
    ear.before["merge"] = lambda: receive_alone(told[2])

    answers = batch.commit(told)

    assert answers[2] == "duplicate"
    assert None not in answers
    assert Event.objects.count() == 10


ODD: dict[str, dict[str, Any]] = {
    "a large number": {"big": 2**70},
    "half a character": {"name": "\ud800"},
    "a NUL in a key": {"a\0b": 1},
    "nested too deep": {"deep": json.loads('{"a":' * 190 + "1" + "}" * 190)},
    "large": {"text": "x" * 200_000},
}


@pytest.mark.fault("153")
@pytest.mark.parametrize("what", ODD)
def test_an_event_that_cannot_be_stored_fails_no_neighbour(heard: World, what: str) -> None:
    told = renamed(heard, "A")
    odd = json.loads(told[2])
    odd["data"]["object"] |= ODD[what]
    told[2] = json.dumps(odd).encode()

    answers = batch.commit(arrived(told))

    assert answers[2] is None
    for number, (arrival, answer) in enumerate(zip(arrived(told), answers, strict=True)):
        if answer is None:
            assert receive_alone(arrival) == ("dead" if number == 2 and what != "large" else "applied")
    assert Event.objects(state="applied").count() == (10 if what == "large" else 9)
    heard.reconcile(full=True)


@pytest.mark.fault("153")
def test_a_bug_that_one_event_meets_fails_no_neighbour(heard: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = arrived(renamed(heard, "A"))
    right = batch.merge

    def wrong(facts: Any, seen: Any) -> Any:
        if seen.stripe_id == told[1].object_id:
            raise ZeroDivisionError
        return right(facts, seen)

    monkeypatch.setattr(batch, "merge", wrong)

    assert batch.commit(told) == ["applied", None, "applied", "applied", "applied"]
    assert receive_alone(told[1]) == "applied"


UNREADABLE: dict[str, dict[str, Any]] = {
    "a date of the year 292278994": {"confirmed_at": DatetimeMS(2**63 - 1)},
    "a list of ids": {"stripe_id": ["?"]},
    "a revision that is a text": {"revision": "text"},
    "an operation that is a text": {"operation": "text"},
}


@pytest.mark.fault("153")
@pytest.mark.parametrize("what", UNREADABLE)
def test_a_row_that_was_edited_by_hand_fails_no_neighbour(database: str, what: str) -> None:
    world = World(database)
    for number in range(3):
        sync.create_customer(f"user{number}@here.com")
    world.deliver()
    world.advance(minutes=1)
    told = arrived(renamed(world, "A"))
    rows, edit = Customer._get_collection(), UNREADABLE[what]
    edit = {name: [told[1].object_id] if value == ["?"] else value for name, value in edit.items()}
    rows.update_one({"stripe_id": told[1].object_id}, {"$set": edit})
    queue, answers = Committer(), list[Any]()
    for arrival in told:
        queue.put(Waiting(arrival, answers.append))

    queue.serve(lambda: len(answers) == 3)

    for arrival, answer in zip(told, answers, strict=True):
        assert not isinstance(answer, BaseException), answer
        state = answer or receive_alone(arrival)
        assert state == "applied" or arrival is told[1]
    assert rows.count_documents({"name": "A", "stripe_id": {"$in": [told[0].object_id, told[2].object_id]}}) == 2
    assert Event.objects(id=told[1].id).count() == 1, "it is kept, whatever became of it"
    world.stop()


@pytest.mark.fault("152")
def test_a_batch_that_was_too_slow_is_read_again(heard: World, ear: Ear) -> None:
    """An erasure relies on it: whoever read that nobody was erased has written two seconds later, or never writes."""
    told = arrived(renamed(heard, "A"))
    ear.before["update"] = lambda: heard.advance(seconds=3)

    assert batch.commit(told) == ["applied"] * 5

    assert ear.commands.count("merge") == 2
    assert Event.objects(received_at__gt=heard_at(told)).count() == 5


def heard_at(told: list[Arrival]) -> Any:
    return Event.objects(id__nin=[each.id for each in told]).order_by("-received_at").first().received_at


def test_what_is_answered_is_written(heard: World, ear: Ear) -> None:
    told = arrived(renamed(heard, "A"))
    ear.before["merge"] = lambda: (_ for _ in ()).throw(KeyboardInterrupt)

    with pytest.raises(KeyboardInterrupt):
        batch.commit(told)

    assert Event.objects(id__in=[each.id for each in told]).count() == 0
    assert batch.commit(told) == ["applied"] * 5


@pytest.mark.fault("152")
def test_a_batch_is_repeated_once_when_the_primary_changes(heard: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told, right, failures = arrived(renamed(heard, "A")), many._command, [AutoReconnect("stepped down")]

    def command(*args: Any, **kwargs: Any) -> Any:
        if "update" in args[0] and failures:
            right(*args, **kwargs)  # it was done, and the answer is lost
            raise failures.pop()
        return right(*args, **kwargs)

    monkeypatch.setattr(many, "_command", command)

    assert batch.commit(told) == ["applied"] * 5
    assert names() == {"A"}


@pytest.mark.fault("152")
def test_without_mongodb_nobody_is_answered(heard: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told, attempts = arrived(renamed(heard, "A")), list[Any]()

    def away(*command: Any, **__: Any) -> Any:
        attempts.append(command)
        raise ServerSelectionTimeoutError("nobody is there")

    with monkeypatch.context() as patched:
        patched.setattr(many, "_command", away)
        with pytest.raises(ServerSelectionTimeoutError):
            receive(told[0])
        assert heard.send(told[0].raw).status_code == 503
    assert len(attempts) == 2, "each of them waits for MongoDB as long as may be"
    assert heard.send(told[0].raw).json == {"state": "applied"}
    batch.commit(told)


@pytest.mark.fault("150")
def test_a_process_may_die_anywhere_in_a_batch(lives: Lives) -> None:
    world = lives.world
    for number in range(3):
        sync.create_customer(f"user{number}@here.com")
    world.deliver()
    world.advance(minutes=1)
    told = renamed(world, "A", "B")
    for death in lives.deaths(lambda: batch.commit(arrived(told)), least=2):
        world.deliver(told)

        assert names() == {"B"}, death
        assert Event.objects(id__in=[each.id for each in arrived(told)], state__in=["applied", "stale"]).count() == 6
        assert_in_sync(world)


# --- the committer ---


def test_what_arrives_while_a_batch_is_written_is_the_next_one(heard: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = arrived(renamed(heard, "A", "B"))
    sizes: list[int] = []
    written, begun = threading.Event(), threading.Event()
    right = committer.commit

    def slow(arrivals: list[Arrival]) -> list[str | None]:
        sizes.append(len(arrivals))
        if len(sizes) == 1:
            begun.set()
            assert written.wait(30)
        return right(arrivals)

    monkeypatch.setattr(committer, "commit", slow)
    monkeypatch.setattr(committer, "COMMITTING", 1)
    queue, answers = Committer(), []
    first = threading.Thread(target=lambda: answers.append(queue.commit(told[0])))
    first.start()
    assert begun.wait(30)
    for arrival in told[1:]:
        queue.put(Waiting(arrival, answers.append))
    written.set()
    queue.serve(lambda: len(answers) == 10)
    first.join(30)

    assert sizes == [1, 9]
    assert set(answers) <= {"applied", "stale"}
    assert names() == {"B"}


@pytest.mark.fault("154")
@pytest.mark.parametrize(("limit", "value"), [("SLOW", 0.001), ("ENOUGH", 1)], ids=["after a while", "when many wait"])
def test_a_slow_batch_holds_up_no_other(
    heard: World, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    told = arrived(renamed(heard, "A"))
    held, begun = threading.Event(), threading.Event()
    right = committer.commit

    def slow(arrivals: list[Arrival]) -> list[str | None]:
        if told[0] in arrivals:
            begun.set()
            assert held.wait(30)
        return right(arrivals)

    monkeypatch.setattr(committer, "commit", slow)
    monkeypatch.setattr(committer, "SLOW", 1000)
    monkeypatch.setattr(committer, limit, value)
    queue, answers = Committer(), []
    first = threading.Thread(target=lambda: answers.append(queue.commit(told[0])))
    first.start()
    assert begun.wait(30)

    assert [queue.commit(each) for each in told[1:]] == ["applied"] * 4
    assert answers == []
    held.set()
    first.join(30)
    assert answers == ["applied"]


@pytest.mark.fault("154")
def test_a_full_queue_refuses_and_loses_nothing(heard: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = arrived(renamed(heard, "A"))
    monkeypatch.setattr(committer, "QUEUE", 2)
    queue, answers = Committer(), []
    queue.put(Waiting(told[0], answers.append))
    queue.put(Waiting(told[1], answers.append))

    with pytest.raises(Unavailable):
        queue.commit(told[2])

    queue.serve(lambda: len(answers) == 2)
    assert [queue.commit(each) for each in told[2:]] == ["applied"] * 3
    assert answers == ["applied"] * 2


def test_an_event_that_waits_too_long_is_refused(heard: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = arrived(renamed(heard, "A"))
    monkeypatch.setattr(committer, "COMMITTING", 0)
    monkeypatch.setattr(committer, "LONGEST", 0.01)

    with pytest.raises(Unavailable):
        Committer().commit(told[0])

    monkeypatch.undo()
    batch.commit(told)


def test_an_error_reaches_everybody_of_its_batch_and_the_queue_goes_on(
    heard: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = arrived(renamed(heard, "A"))
    right, answers = committer.commit, []

    def broken(arrivals: list[Arrival]) -> list[str | None]:
        monkeypatch.setattr(committer, "commit", right)
        raise ServerSelectionTimeoutError("nobody is there")

    monkeypatch.setattr(committer, "commit", broken)
    queue = Committer()
    for arrival in told[1:]:
        queue.put(Waiting(arrival, answers.append))

    with pytest.raises(ServerSelectionTimeoutError):
        queue.commit(told[0])

    assert [type(answer) for answer in answers] == [ServerSelectionTimeoutError] * 4
    assert [queue.commit(arrival) for arrival in told] == ["applied"] * 5


# --- the tests of these tests ---


@dataclass(frozen=True)
class Mutant:
    """The batch with one wrong thing, and the claim that it breaks."""

    name: str
    module: ModuleType
    right: str
    wrong: str
    breaks: Callable[[World, Ear], object]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Let the modules be as if they had been written so."""
        file = str(self.module.__file__)
        text, before = Path(file).read_text(encoding="utf-8"), dict(vars(self.module))
        assert text.count(self.right) == 1, f"{self.name}: {file} has changed; say anew what is to be wrong there"
        exec(compile(text.replace(self.right, self.wrong), file, "exec"), vars(self.module))
        taken = {name: value for name, value in vars(batch).items() if self.module is many and name in before}
        vars(batch).update({name: vars(self.module)[name] for name in taken})
        try:
            yield
        finally:
            vars(self.module).update(before)
            vars(batch).update(taken)


MUTANTS = (
    Mutant(
        "answers before the write",
        batch,
        "insert_many(Event, [*rows.values()], self.now + HOLDS)",
        "pass",
        test_events_of_many_objects_are_three_round_trips,
    ),
    Mutant(
        "drops a missed guard",
        batch,
        "if not made:",
        "if False:",
        test_a_document_that_another_changed_meanwhile_is_decided_anew_and_no_other_is,
    ),
    Mutant(
        "writes without the guard",
        many,
        '{"$eq": ["$revision", "$$new.revision"]}',
        "True",
        test_what_another_process_learned_meanwhile_is_not_overwritten,
    ),
    Mutant(
        "decides in another order",
        batch,
        "for number, arrival in self.arrivals.items():\n            if (decided",
        "for number, arrival in reversed(self.arrivals.items()):\n            if (decided",
        test_events_of_many_objects_are_three_round_trips,
    ),
    Mutant(
        "decides each event by the row that was read",
        batch,
        "self.row = {**self.row, **values}",
        "pass",
        lambda world, ear: test_events_of_one_object_are_one_update_in_any_order(world),
    ),
    Mutant(
        "writes rows however late it is",
        many,
        '"$cond": [{"$lt": ["$$NOW", until - clock.TEST_OFFSET]}, True, late]',
        '"$cond": [True, True, late]',
        test_a_batch_that_was_too_slow_is_read_again,
    ),
    Mutant(
        "counts a row of another process as its own",
        batch,
        "self._repeat([*rows])  # another",
        "self.answers.__setitem__(slice(None), ['applied'] * len(rows))  # another",
        test_a_row_that_another_process_wrote_meanwhile_is_no_second_one,
    ),
    Mutant(
        "applies a duplicate again",
        batch,
        "if (row := self.known.get(arrival.id)) is not None:",
        "if (row := None) is not None:",
        test_a_duplicate_is_one_read_and_changes_nothing,
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(database: str, ear: Ear, mutant: Mutant) -> None:
    world = five_customers(database, ear)
    try:
        with mutant.planted(), pytest.raises(AssertionError):
            mutant.breaks(world, ear)
    finally:
        world.stop()
