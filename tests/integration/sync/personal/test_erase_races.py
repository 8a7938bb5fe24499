"""Erasing while others write: what they saw before it is never written after it, whoever is slow."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event
from stripe_mongo_sync.models.base.notice import HOOK_PATTERNS
from stripe_mongo_sync.models.erasure import rows_of
from stripe_mongo_sync.sync.inbox import inbox
from stripe_mongo_sync.sync.notices import deliver
from stripe_mongo_sync.sync.notices.hooks import HOOKS
from stripe_mongo_sync.sync.personal.erase import erase, personal_rows
from tests.support.mongo import our_database
from tests.support.world import World

MARK = "zq7x-of-a-person"

pytestmark = pytest.mark.erasure_waits


def told_anywhere() -> list[str]:
    """The collections that still tell of the person."""
    database = our_database()
    return [name for name in database.list_collection_names() for row in database[name].find() if MARK in repr(row)]


@pytest.fixture
def customer(world: World) -> Customer:
    made = sync.create_customer("user@here.com", name=MARK)
    world.deliver()
    return made


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], tuple[threading.Event, threading.Event]]:
    """Holds the first call of a method before it does anything: returns what says that it came, and what lets it go."""

    def hold(owner: Any, name: str) -> tuple[threading.Event, threading.Event]:
        came, go, real = threading.Event(), threading.Event(), getattr(owner, name)

        def held(*given: Any, **named: Any) -> Any:
            if not came.is_set():
                came.set()
                assert go.wait(60)
            return real(*given, **named)

        monkeypatch.setattr(owner, name, held)
        return came, go

    return hold


@pytest.mark.parametrize("type", ["customer.updated", "customer.deleted"])
def test_an_event_that_was_applied_beside_an_erasure_keeps_nothing_of_the_person(
    world: World, customer: Customer, beside: Callable[[Any, str], tuple[threading.Event, threading.Event]], type: str
) -> None:
    """The webhook has applied its event, and writes its row when the erasure is long over."""
    if type == "customer.updated":
        world.stripe.dashboard.update("customer", customer.stripe_id, phone="555")
    else:
        world.stripe.dashboard.delete("customer", customer.stripe_id)
    (raw,) = world.webhooks()
    assert MARK.encode() in raw
    came, go = beside(Event, "_insert")
    sending = threading.Thread(target=lambda: world.send(raw))
    sending.start()
    assert came.wait(10)

    assert erase(str(customer.id)).exit_code == 0
    assert told_anywhere() == []
    go.set()
    sending.join()

    assert Event.objects(id=json.loads(raw)["id"]).count() == 1, "the event is kept, without the person"
    assert told_anywhere() == []


def test_a_row_that_is_written_while_the_erasure_searches_is_found(
    world: World, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before the erasure was written, and writes after the first search: the second one finds it."""
    world.stripe.dashboard.update("customer", customer.stripe_id, phone="555")
    (raw,) = world.webhooks()
    real, searches = personal_rows, []

    def searched(*given: Any) -> Any:
        found = real(*given)
        searches.append(found)
        if len(searches) == 2:  # of the erasure itself, whose document is not erased yet
            assert world.send(raw).status_code == 200
        return found

    monkeypatch.setattr("stripe_mongo_sync.sync.personal.erase.personal_rows", searched)

    assert erase(str(customer.id)).exit_code == 0

    assert len(searches) > 2
    assert Event.objects(id=json.loads(raw)["id"]).count() == 1
    assert told_anywhere() == []


def test_what_a_hook_is_to_be_told_is_not_copied_after_the_erasure(
    world: World,
    customer: Customer,
    monkeypatch: pytest.MonkeyPatch,
    beside: Callable[[Any, str], tuple[threading.Event, threading.Event]],
) -> None:
    heard: list[Any] = []
    monkeypatch.setitem(HOOKS, "of_the_test", heard.append)
    monkeypatch.setitem(HOOK_PATTERNS, "of_the_test", ("stripe:customer.updated",))
    world.stripe.dashboard.update("customer", customer.stripe_id, phone="555")
    world.deliver()
    came, go = beside(Delivery, "_insert")
    collecting = threading.Thread(target=deliver.relay_notices)
    collecting.start()
    assert came.wait(10)

    assert erase(str(customer.id)).exit_code == 0
    go.set()
    collecting.join()

    assert Delivery.objects.count() == 1
    assert told_anywhere() == []


def test_an_error_that_quotes_the_person_is_not_written_over_the_erasure(world: World, customer: Customer) -> None:
    world.stripe.dashboard.update("customer", customer.stripe_id, phone="555")
    world.deliver()
    row = Event.objects(type="customer.updated").get()
    row = row.replay()
    erase(str(customer.id))
    row = Event.objects(id=row.id).get()

    assert row.finish(inbox.EventState.RECEIVED, f"cannot read {MARK}", timedelta(0)) is not None

    assert told_anywhere() == []


def test_an_erasure_that_has_nobody_to_wait_for_does_not_wait(world: World, customer: Customer) -> None:
    erase(str(customer.id))
    waits: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stripe_mongo_sync.models.erasure.pause", waits.append)
        erase(str(customer.id))

    assert waits == []
    assert next(iter(rows()), None) is not None


def rows() -> Iterator[Any]:
    return rows_of(Erasure)
