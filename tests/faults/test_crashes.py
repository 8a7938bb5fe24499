"""A process dies at every point of every call of every type; the next run ends what it began, at once or a day later.

In the usual run a customer does; `make faults` runs all types.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.sync.engine.refresh import matches
from tests.faults.calls import Call, Ready, every_call
from tests.support import samples
from tests.support.fuse import Fuse
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.world import World

INSERT, SEND, LINK = "before findAndModify", "before POST", "before findAndModify"


def calls(row: str, verb: str) -> Iterator[Any]:
    """Every call of that verb, or every action; of other types than a customer, not in the usual run."""
    for call in every_call():
        if verb == call.verb or (verb == "action" and call.verb not in ("create", "update", "delete")):
            usual = call.kind == "customer" and row in "12345"
            marks = [pytest.mark.fault(row), *([] if usual else [pytest.mark.long])]
            yield pytest.param(call, marks=marks, id=str(call))


@pytest.fixture
def fused(database: str) -> Iterator[World]:
    """A world whose process can die."""
    made = World(database, fuse=Fuse())
    yield made
    made.stop()


def killed(ready: Ready, effect: int) -> str | None:
    """Make the call, and die before that effect of it."""
    assert ready.world.fuse is not None
    return ready.world.fuse.kill(ready.send, effect)


def effects(ready: Ready) -> int:
    """How many effects come before the one that sends: an order stages its payment first."""
    return 2 if ready.call.kind == "order" else 1


@pytest.mark.parametrize("call", list(calls("1", "create")))
def test_before_the_insert_there_is_nothing_anywhere(fused: World, call: Call) -> None:
    ready = call.ready(fused)

    assert killed(ready, 1) == INSERT

    assert (ready.subject(), ready.made) == (None, set())
    ready.settle(heard=True)
    assert (ready.subject(), ready.made) == (None, set())


@pytest.mark.parametrize("call", list(calls("2", "create")))
def test_inserted_and_never_sent_it_is_sent_once_when_its_lease_is_over(fused: World, call: Call) -> None:
    ready = call.ready(fused)

    assert killed(ready, effects(ready) + 1) == SEND

    document = ready.subject()
    assert document is not None
    assert (document.status, ready.made) == (Status.PENDING, set())
    fused.reconcile()
    assert not ready.made, "its lease is running"
    ready.settle(heard=False)
    ready.assert_kept()
    assert ready.left_to_a_person() or document.fetch_latest().status == Status.ACTIVE


@pytest.mark.parametrize("call", list(calls("3", "create")))
def test_a_reconcile_that_dies_before_it_sends_is_followed_by_one_that_does(fused: World, call: Call) -> None:
    ready = call.ready(fused)
    killed(ready, effects(ready) + 1)
    assert fused.fuse is not None

    for effect in (1, 2, SEND):  # at once, on its way, and just before it sends
        fused.advance(minutes=3)
        died = fused.fuse.kill(fused.reconcile, effect)

    assert died == SEND
    assert not ready.made
    ready.settle(heard=False)
    ready.assert_kept()


@pytest.mark.parametrize("lost", [False, True], ids=["replied", "reply lost"])
@pytest.mark.parametrize("call", list(calls("4", "create")))
def test_made_and_never_linked_it_is_linked_to_that_one_object(fused: World, call: Call, lost: bool) -> None:
    ready = call.ready(fused)
    if lost:
        fused.stripe.fault("cut_after", method="POST")

    assert killed(ready, effects(ready) + 2) == (SEND if lost else LINK)

    made = ready.made
    ready.settle(heard=False)
    ready.assert_kept()
    assert ready.made == made
    document = ready.subject()
    assert document is not None
    assert document.status == Status.ACTIVE


@pytest.mark.parametrize("call", list(calls("5", "create")))
def test_linked_and_never_told_the_caller_repeats_and_is_told(fused: World, call: Call) -> None:
    ready = call.ready(fused)
    ready.send()
    made = ready.made
    fused.start()

    again = ready.send()

    document = ready.subject()
    assert document is not None
    assert (again.status_code, again.json["id"]) == (201, str(document.id))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert ready.made == made
    ready.settle(heard=True)
    ready.assert_kept()


# --- at every point, and the next run when the key is too old ---


def everywhere(lives: Lives, call: Call) -> None:
    """Die at every point, and come back when the key is too old; `tests/crash` comes back while it lasts."""
    world = lives.world
    ready = call.ready(world)
    for death in lives.deaths(ready.send, least=2):
        world.advance(hours=30)
        ready.settle(heard=False)
        ready.assert_kept()
        document = ready.subject()
        assert document is not None
        if call.verb == "update":
            assert ready.done(document) or death.effect == 1 or said(document), "it was not said"


def said(document: SyncedDocument) -> bool:
    """Whether a document says that its last operation was not done, and no longer will be."""
    return document.operation is None and document.error is not None and document.error.type == "expired"


@pytest.mark.parametrize("call", list(calls("52", "update")))
def test_an_update_is_repeated_while_its_key_lasts_and_then_said_to_have_expired(lives: Lives, call: Call) -> None:
    everywhere(lives, call)


@pytest.mark.parametrize("call", list(calls("55", "delete")))
def test_a_deletion_is_repeated_until_both_sides_have_it(lives: Lives, call: Call) -> None:
    everywhere(lives, call)


@pytest.mark.parametrize("call", list(calls("75", "action")))
def test_an_action_is_repeated_while_its_key_lasts_and_then_found_done_or_not(lives: Lives, call: Call) -> None:
    everywhere(lives, call)


@pytest.mark.parametrize("hours", [30, 40 * 24], ids=["a day", "forty days"])
@pytest.mark.parametrize("call", list(calls("76", "create")))
def test_however_late_the_next_run_is_a_creation_comes_to_one_end(lives: Lives, call: Call, hours: float) -> None:
    world = lives.world
    ready = call.ready(world)
    for _ in lives.deaths(ready.send, least=2):
        world.advance(hours=hours)
        ready.settle(heard=False)
        assert_in_sync(world, review=hours > 29 * 24)
        assert len(ready.made) <= 1


def edits(row: str) -> list[Any]:
    """The updates of what a person can edit in the Dashboard, too."""
    return [each for each in calls(row, "update") if RESOURCES[each.values[0].kind].update is not None]


@pytest.mark.parametrize("hours", [0, 30], ids=["at once", "a day later"])
@pytest.mark.parametrize("call", edits("53"))
def test_an_edit_in_the_dashboard_after_an_update_that_nobody_heard_of_stays(
    fused: World, call: Call, hours: float
) -> None:
    ready = call.ready(fused)
    assert killed(ready, 3) == LINK
    document = ready.subject()
    assert document is not None
    edit = samples.another(*next(iter(ready.request["json"].items())))
    fused.advance(minutes=1)
    fused.stripe.dashboard.update(call.kind, document.stripe_id, **edit)
    fused.advance(hours=hours)

    ready.settle(heard=False)

    latest = document.fetch_latest()
    assert matches(edit, type(latest).in_request_shape(latest.stripe or {}))
    assert_in_sync(fused)
