"""Stripe, the way there and the clocks lie: lists that do not end, dates that cannot be, names that lead nowhere."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Status
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import CHECKPOINT, State
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.faults.calls import Call, Told
from tests.support.fuse import Fuse
from tests.support.in_sync import assert_in_sync
from tests.support.stock import stock
from tests.support.world import World

Answer = tuple[Any, int, Any]


class Between(stripe.HTTPClient):
    """Something between us and Stripe, which may give another answer than Stripe did."""

    name = "between"

    def __init__(self, stripe_: stripe.HTTPClient, change: Callable[[str, str, Callable[[], Answer]], Answer]) -> None:
        super().__init__()
        self.stripe, self.change = stripe_, change

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        return self.change(method.upper(), url, lambda: self.stripe.request(method, url, headers, post_data))

    def close(self) -> None:
        self.stripe.close()


@contextmanager
def between(
    world: World, monkeypatch: pytest.MonkeyPatch, change: Callable[[str, str, Callable[[], Answer]], Answer]
) -> Iterator[None]:
    """Put it there for the block."""
    transport = world.stripe.transport()
    with monkeypatch.context() as patched:
        patched.setattr(world.stripe, "transport", lambda: Between(transport, change))
        world.start()
        yield
    world.start()


# --- dates and clocks ---


def dated(wrong: timedelta | None) -> Callable[[str, str, Callable[[], Answer]], Answer]:
    def change(method: str, url: str, ask: Callable[[], Answer]) -> Answer:
        body, status, headers = ask()
        headers = {name: value for name, value in dict(headers).items() if name.lower() != "date"}
        if wrong is not None:
            headers["Date"] = format_datetime(clock.local_now().astimezone(UTC) + wrong, usegmt=True)
        return body, status, headers

    return change


@pytest.mark.parametrize("wrong", [None, timedelta(days=-1), timedelta(minutes=-10)], ids=["none", "a day", "minutes"])
@pytest.mark.fault("80")
def test_a_date_that_is_missing_or_late_leaves_both_sides_one(
    world: World, monkeypatch: pytest.MonkeyPatch, wrong: timedelta | None
) -> None:
    with between(world, monkeypatch, dated(wrong)):
        customer = sync.create_customer("user@here.com")
        (created,) = world.webhooks()
        world.advance(seconds=30)
        sync.update(customer.fetch_latest(), {"name": "ours"})
        world.stripe.dashboard.update("customer", customer.stripe_id, phone="theirs")
        world.deliver([*world.webhooks()[::-1], created])
        world.converge()
        assert (customer.fetch_latest().name, customer.fetch_latest().phone) == ("ours", "theirs")
        assert_in_sync(world)


@pytest.mark.fault("80")
def test_a_date_from_the_future_is_corrected_by_the_full_comparison(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with between(world, monkeypatch, dated(timedelta(days=1))):
        customer = sync.create_customer("user@here.com")
        world.deliver()
    world.advance(seconds=30)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="theirs")
    world.deliver()

    world.reconcile(full=True)
    world.converge()

    assert customer.fetch_latest().name == "theirs"
    assert_in_sync(world)


@pytest.mark.parametrize("minutes", [-10, 10])
@pytest.mark.parametrize("verb", ["create", "update", "delete"])
@pytest.mark.long
@pytest.mark.fault("81")
def test_stripes_clock_may_be_off(world: World, verb: str, minutes: float) -> None:
    world.stripe.clock.advance(minutes * 60)
    ready = Call("customer", verb).ready(world)
    world.stripe.fault("cut_after", times=2, method="DELETE" if verb == "delete" else "POST")

    told = ready.told()
    ready.settle(heard=True)

    ready.assert_kept(told)
    assert ready.done(ready.subject())


@pytest.mark.parametrize("minutes", [-10, 10])
@pytest.mark.fault("61")
def test_a_host_whose_clock_is_off_takes_no_lease_early(
    database: str, monkeypatch: pytest.MonkeyPatch, minutes: float
) -> None:
    """What this machine thinks decides nothing, neither its wall clock nor the ids that carry it."""
    world = World(database, fuse=Fuse())
    try:
        wrong = datetime.now(UTC) + timedelta(minutes=minutes)

        class Wrong(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return wrong

        monkeypatch.setattr(clock, "datetime", Wrong)
        world.reconcile()
        world.stripe.fault("cut_before", method="POST", times=2)
        customer = sync.create_customer("user@here.com")
        before = len(world.stripe.objects("customer"))
        assert world.reconcile().counts["send"] == 0
        assert len(world.stripe.objects("customer")) == before
        world.advance(minutes=3)
        assert world.reconcile().counts["send"] == 1
        assert customer.fetch_latest().status == Status.ACTIVE
        assert_in_sync(world)
    finally:
        world.stop()


# --- lists ---


class Cache:
    """A cache on the way that does not know `starting_after`: it gives the first page again, for ever."""

    def __init__(self, path: str) -> None:
        self.path, self.first = path, dict[str, Answer]()
        self.asked = 0

    def __call__(self, method: str, url: str, ask: Callable[[], Answer]) -> Answer:
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if method != "GET" or path != self.path:
            return ask()
        self.asked += 1
        assert self.asked < 50, "it reads for ever"
        if "starting_after" not in query:
            self.first[path] = ask()
        return self.first.get(path) or ask()


@pytest.mark.fault("85")
def test_events_that_never_end_end_the_run_and_not_the_checkpoint(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.reconcile()
    for number in range(120):
        world.stripe.dashboard.create("customer", email=f"{number}@here.com")
    world.webhooks()
    before = State.read(CHECKPOINT)
    with between(world, monkeypatch, Cache("/v1/events")):
        report = world.reconcile()
    assert report.exit_code == 2
    assert "does not continue" in str(report)
    assert State.read(CHECKPOINT) == before

    world.converge()

    assert Customer.objects.count() == 120
    assert_in_sync(world)


@pytest.mark.parametrize("act", ["full", "backfill"])
@pytest.mark.fault("85")
def test_a_list_that_never_ends_is_said_to(world: World, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    stock(world, 120)
    world.webhooks()
    world.reconcile()
    with between(world, monkeypatch, Cache("/v1/customers")):
        if act == "full":
            assert world.reconcile(full=True).exit_code == 2
        else:
            assert backfill(["customer"], patience=Throttle(10_000.0, lambda seconds: None)).exit_code == 2
    world.reconcile(full=True)
    assert Customer.objects.count() == 120
    assert_in_sync(world)


# --- the way there ---


@contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port of this machine at which something else than Stripe answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def nonsense(connection: socket.socket) -> None:
    connection.recv(10_000)
    connection.sendall(b"this is neither TLS nor HTTP\r\n\r\n")


def silence(connection: socket.socket) -> None:
    """Hang up at once."""


@contextmanager
def nowhere(way: str) -> Iterator[str]:
    match way:
        case "no such name":
            yield "http://stripe.invalid"
        case "refused":
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        case "no TLS there":
            with listener(nonsense) as address:
                yield f"https://{address}"
        case "no HTTP there":
            with listener(nonsense) as address:
                yield f"http://{address}"
        case _:
            with listener(silence) as address:
                yield f"http://{address}"


@pytest.mark.parametrize("way", ["no such name", "refused", "no TLS there", "no HTTP there", "cut"])
@pytest.mark.fault("11")
def test_a_way_that_does_not_lead_to_stripe_leaves_it_pending(
    world: World, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """With stripe-python's own HTTP client, and real sockets."""
    ready = Call("customer", "create").ready(world)
    with nowhere(way) as base, monkeypatch.context() as patched:
        patched.setattr(world.stripe, "transport", lambda: None)
        patched.setitem(world.settings, "STRIPE_API_BASE", base)
        world.start()
        told = ready.told()
    world.start()

    assert told == Told.PENDING
    assert not ready.made
    ready.settle(heard=False)
    ready.assert_kept(told)
    assert len(ready.made) == 1
