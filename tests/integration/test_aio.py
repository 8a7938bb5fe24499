"""The Python API as coroutines: the same calls, in threads of their own, while the event loop goes on."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction, signature
from typing import Any

import pytest

import stripe_mongo_sync
from stripe_mongo_sync import aio
from stripe_mongo_sync.models import Product
from stripe_mongo_sync.sync.shop import in_threads
from tests.support.forks import child, ended
from tests.support.world import World

NAME = "user@here.com"
PATIENCE = 60.0  # s, on a busy machine
WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


@pytest.fixture
def held(world: World) -> Iterator[Any]:
    """The first request that would change something waits at Stripe until it is released."""
    fault = world.stripe.fault("hold", method="POST")
    yield fault
    fault.release()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Lets so many calls be under way at once."""

    def only(count: int) -> None:
        monkeypatch.setattr(in_threads, "THREADS", count)
        in_threads._renew()

    yield only
    monkeypatch.undo()
    in_threads._renew()


def test_every_name_is_there_with_the_signature_that_it_has() -> None:
    assert aio.__all__ == stripe_mongo_sync.__all__
    for name in aio.__all__:
        plain, here = getattr(stripe_mongo_sync, name), getattr(aio, name)
        if isfunction(plain) and name not in aio.PLAIN:
            assert iscoroutinefunction(here) or isasyncgenfunction(here), name
            assert signature(here) == signature(plain)
            assert here.__doc__ == plain.__doc__
        else:
            assert here is plain
    assert isasyncgenfunction(aio.find)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        aio.__getattr__("nothing")


def test_the_loop_goes_on_while_stripe_is_slow(world: World, held: Any) -> None:

    async def shop() -> None:
        slow = asyncio.create_task(aio.create_customer(NAME))
        assert await asyncio.to_thread(held.entered.wait, PATIENCE)
        pending = await aio.get("customer", NAME)
        assert (pending.status, slow.done()) == ("pending", False)
        assert [each.id async for each in aio.find("customer")] == [pending.id]
        held.release()
        assert ((await slow).id, (await slow).status) == (pending.id, "active")

    asyncio.run(shop())


def test_many_calls_at_once_each_return_their_own(world: World) -> None:
    async def shop() -> list[str]:
        made = await asyncio.gather(*(aio.create("product", name=str(n)) for n in range(12)))
        await aio.update(made[0], name="first")
        await aio.delete("product", made[1].id)
        return [each.name for each in made]

    assert asyncio.run(shop()) == [str(n) for n in range(12)]
    assert sorted(each["name"] for each in world.stripe.objects("product")) == sorted(
        ["first", *map(str, range(2, 12))]
    )


def test_no_more_are_under_way_than_there_are_threads(world: World, held: Any, threads: Callable[[int], None]) -> None:
    threads(1)

    async def shop() -> None:
        first, second = (asyncio.create_task(aio.create("product", name=name)) for name in ("one", "two"))
        assert await asyncio.to_thread(held.entered.wait, PATIENCE)
        assert Product.objects.count() == 1, "the other waits in line"
        held.release()
        assert [each.status for each in await asyncio.gather(first, second)] == ["active", "active"]

    asyncio.run(shop())


def test_who_is_cancelled_stops_waiting_and_the_call_goes_on(
    world: World, held: Any, threads: Callable[[int], None]
) -> None:
    threads(1)

    async def shop() -> None:
        begun = asyncio.create_task(aio.create("product", name="begun", idempotency_key="one"))
        assert await asyncio.to_thread(held.entered.wait, PATIENCE)
        in_line = asyncio.create_task(aio.create("product", name="in line"))
        await asyncio.wait([in_line], timeout=0)
        begun.cancel()
        in_line.cancel()
        for each in (begun, in_line):
            with pytest.raises(asyncio.CancelledError):
                await each
        held.release()
        assert (await aio.create("product", name="begun", idempotency_key="one")).status == "active"

    asyncio.run(shop())
    assert [each["name"] for each in world.stripe.objects("product")] == ["begun"]


def test_errors_and_the_context_are_those_of_who_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def shop() -> None:
        with pytest.raises(stripe_mongo_sync.NotFound):
            await aio.get("customer", NAME)
        with pytest.raises(aio.Invalid):
            await aio.create("products", name="Lamp")
        with pytest.raises(aio.Invalid):
            _ = [each async for each in aio.find("product", status="paid")]
        WHO.set("ann")
        assert await in_threads.in_thread(lambda: (WHO.get(), threading.current_thread().name[:17])) == (
            "ann",
            "stripe_mongo_sync",
        )

    asyncio.run(shop())
    assert WHO.get() == "nobody"


def test_an_iterator_may_be_left_and_reads_no_further(world: World) -> None:
    for n in range(3):
        stripe_mongo_sync.create("product", name=str(n))

    async def shop() -> list[str]:
        async for each in aio.find("product"):
            return [each.name, *[other.name async for other in aio.find("product", starting_after=each, limit=1)]]
        return []

    assert asyncio.run(shop()) == ["2", "1"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_second_loop_and_a_child_have_threads(world: World) -> None:
    made: list[Any] = [asyncio.run(aio.create("product", name=name)) for name in ("one", "two")]

    assert ended(child(lambda: asyncio.run(aio.get("product", made[0].id)))) == [0]
    assert asyncio.run(aio.get("product", made[1].id)).name == "two"
