"""One row that nobody can work on is counted and named, and holds up nothing: no run, no other row, no later round."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
import stripe
from bson.datetime_ms import DatetimeMS

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Event, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.runs import reconcile
from stripe_mongo_sync.sync.runs.reconcile import Report
from tests.support import samples
from tests.support.altered import altering
from tests.support.representatives import representatives, row
from tests.support.run import Run
from tests.support.world import World

HALF = "\ud83d"  # half a character: JSON can say it, BSON cannot
AFTER_THE_YEAR_9999 = DatetimeMS(10**15)  # MongoDB can hold it, Python cannot

# What may be in a stored row that no version of ours writes, so that MongoDB cannot claim it, or nobody can read it.
BROKEN: dict[str, dict[str, Any]] = {
    "no operation": {"operation": "text"},
    "no revision": {"revision": "text"},
    "no attempts": {"operation": {"verb": 7, "attempts": "text"}},
}


def waiting(world: World, name: str) -> SyncedDocument:
    """A product that Stripe did not hear of: the next run but one minute later makes it."""
    world.stripe.fault("timeout_before", path="/v1/products", times=2)
    document = sync.create(kinds()["product"], {"name": name})[0]
    world.stripe.clear_faults()
    assert document.status == "pending"
    return document


def due(document: SyncedDocument, **fields: Any) -> None:
    """Let a document be what is longest due, with these fields as they are."""
    long_ago = document.created_at.replace(year=document.created_at.year - 1)
    document._get_collection().update_one({"_id": document.id}, {"$set": {**fields, "due_at": long_ago}})


@pytest.mark.parametrize("fields", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("kind", ["customer", "order"])
def test_a_document_that_cannot_be_read_or_changed_ends_no_run(
    world: World, run: Run, kind: str, fields: dict[str, Any]
) -> None:
    broken = samples.create(kind)
    world.deliver()
    world.reconcile()
    other = waiting(world, "Chair")
    world.advance(minutes=10)
    due(broken, **fields)

    assert run("reconcile --dry-run")[0] == 1
    code, told = run("reconcile")

    assert code == 1
    assert told["unseen"] == []
    assert told["counts"]["failed"] == 1
    assert other.fetch_latest().status == "active"
    world.advance(minutes=5)
    code, told = run("reconcile")
    assert (code, told["counts"]["failed"]) == (1, 1), "each round says so"


def test_a_date_that_the_driver_cannot_read_ends_no_run(world: World, run: Run) -> None:
    broken = samples.create("customer")
    world.deliver()
    world.reconcile()
    other = waiting(world, "Chair")
    world.advance(minutes=10)
    due(broken)
    far = {"$set": {"confirmed_at": {"$toDate": 9_000_000_000_000_000}}}
    broken._get_collection().update_one({"_id": broken.id}, [far])

    assert run("reconcile")[0] == 1
    assert other.fetch_latest().status == "active"


def test_a_document_that_cannot_be_read_ends_no_comparison(world: World, run: Run) -> None:
    """It may also be the oldest, from which on a run without a checkpoint reads the events."""
    broken = samples.create("customer", "broken")
    changes = {"created_at": AFTER_THE_YEAR_9999, "operation": "text"}
    broken._get_collection().update_one({"_id": broken.id}, {"$set": changes})
    world.webhooks()
    world.advance(minutes=20)
    unknown = world.stripe.dashboard.create("customer", name="x")
    world.webhooks()
    world.advance(minutes=20)

    code, told = run("reconcile --full")

    assert (code, told["unseen"], told["full"]) == (0, [], True)
    restored = broken.fetch_latest()
    assert (restored.operation, restored.created_at.year) == (None, broken.created_at.year)
    assert kinds()["customer"].by_stripe_id(unknown["id"]) is not None
    assert State.read(CHECKPOINT)


@pytest.mark.parametrize("kind", representatives(created_kinds(), row("path", "has_created_event", "parts", "expand")))
def test_an_object_that_cannot_be_stored_ends_no_run(database: str, kind: str) -> None:
    poisoned: list[str] = []

    def poison(method: str, path: str, body: Any) -> Any:
        if method == "get" and poisoned and isinstance(body, dict) and body.get("id") in poisoned:
            body["poison"] = HALF
        return body

    world = World(database, around=altering(poison))
    try:
        document = samples.create(kind)
        world.deliver()
        world.reconcile()
        other = waiting(world, "Chair")
        world.advance(minutes=10)
        due(document.fetch_latest())
        poisoned.append(str(document.fetch_latest().stripe_id))

        report = world.reconcile()

        failed = kind != "order"  # which has no object of its own
        assert report.counts["failed"] == failed
        assert (report.exit_code, report.unseen) == (failed, [])
        assert other.fetch_latest().status == "active"
        assert State.read(CHECKPOINT)["read_at"] >= other.created_at.timestamp(), "it went on to the end"
    finally:
        world.stop()


def test_a_bug_of_ours_that_one_document_meets_ends_no_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = samples.create("customer"), samples.create("customer", "second")
    world.deliver()
    world.reconcile()
    for document in (first, second):
        due(document.fetch_latest())
    met: list[Any] = []
    look = reconcile.resolve

    def stumble(document: SyncedDocument, *more: Any) -> None:
        met.append(document.id)
        if document.id == first.id:
            raise ZeroDivisionError
        look(document, *more)

    monkeypatch.setattr("stripe_mongo_sync.sync.runs.reconcile.resolve", stumble)

    report = world.reconcile()

    assert sorted(met) == sorted([first.id, second.id])
    assert (report.counts["failed"], report.exit_code) == (1, 1)
    assert second.fetch_latest().due_at is None


def test_an_order_that_cannot_be_followed_ends_no_full_comparison(world: World, run: Run) -> None:
    order = samples.create("order")
    world.deliver()
    run("reconcile --full")
    order._get_collection().update_one({"_id": order.id}, {"$set": {"updated_at": AFTER_THE_YEAR_9999}})

    code, told = run("reconcile --full")

    assert (code, told["unseen"]) == (0, [])
    assert order.fetch_latest().updated_at.year < 9999


@pytest.mark.parametrize("fields", [{"attempts": "text"}, {"raw": "text"}, {"raw": b"no json"}, {"type": 7}], ids=str)
def test_a_row_of_the_inbox_that_cannot_be_read_ends_no_run(world: World, run: Run, fields: dict[str, Any]) -> None:
    world.reconcile()
    customer = sync.create_customer("user@here.com")
    world.deliver()
    other = waiting(world, "Chair")
    world.advance(minutes=10)
    (row,) = Event.objects
    opened = {"state": "received", "due_at": row.received_at, "finished_at": None, **fields}
    Event._get_collection().update_one({"_id": row.id}, {"$set": opened})

    code, told = run("reconcile")

    assert code == (0 if fields == {"type": 7} else 1)
    assert told["unseen"] == []
    assert other.fetch_latest().status == "active"
    assert customer.fetch_latest().status == "active"


@pytest.mark.parametrize(
    "event",
    [{}, "text", {"id": 7}, {"id": HALF}, {"id": "evt_1", "object": "event"}],
    ids=lambda event: json.dumps(event),
)
def test_what_is_no_event_in_the_list_of_events_ends_no_run_and_moves_no_checkpoint(database: str, event: Any) -> None:
    shown: list[Any] = []

    def add(method: str, path: str, body: Any) -> Any:
        if shown and path.startswith("events?") and isinstance(body, dict):
            body["data"] = [*shown, *body["data"]]
        return body

    world = World(database, around=altering(add))
    try:
        world.reconcile()
        before = State.read(CHECKPOINT)
        other = waiting(world, "Chair")
        world.advance(minutes=10)
        shown.append(event)

        report = world.reconcile()

        assert (report.exit_code, report.counts["failed"], report.unseen) == (1, 1, [])
        assert other.fetch_latest().status == "active"
        assert State.read(CHECKPOINT) == before
        shown.clear()
        world.reconcile()
        assert State.read(CHECKPOINT) != before
    finally:
        world.stop()


def test_an_event_about_a_document_that_mongodb_cannot_change_is_kept_and_answered(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver()
    world.advance(seconds=5)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
    customer._get_collection().update_one({"_id": customer.id}, {"$set": {"revision": "text"}})

    assert world.deliver() == ["received"]


def test_a_round_that_breaks_off_is_not_the_last_and_never_in_sync(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds: list[Callable[[], Report]] = []

    def break_off(error: Exception) -> Callable[[], Report]:
        def once() -> Report:
            raise error

        return once

    def end() -> Report:
        signal.raise_signal(signal.SIGTERM)
        return Report()

    rounds += [break_off(error) for error in (ZeroDivisionError(), stripe.StripeError(), sync.SyncError(), OSError())]
    rounds.append(end)
    monkeypatch.setattr(reconcile, "run_once", lambda **given: rounds.pop(0)())
    from stripe_mongo_sync.sync.__main__ import main

    assert main(["reconcile", "--every", "0.001"]) == 0

    assert not rounds, "it went on to the end"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert not any("in sync" in line for line in lines)


def test_who_could_not_look_does_not_say_in_sync() -> None:
    assert str(Report(unseen=["Stripe could not be read"])) == "Stripe could not be read"
    assert "in sync" not in str(Report(stopped=True))
    assert "in sync" not in str(Report(latched=True))
    assert str(Report()) == "in sync: nothing to do"
