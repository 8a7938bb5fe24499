"""What tests ask of answers over HTTP: that they keep their shape, leave nothing behind, and hold in a crowd."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from werkzeug.test import TestResponse

from tests.support.mongo import our_database
from tests.support.world import World

T = TypeVar("T")


def problem(response: TestResponse, status: int, type: str) -> dict[str, Any]:
    """Assert that this is that problem, in the one shape that all have, and return it."""
    told = response.get_json(force=True, silent=True) or {}
    assert (response.status_code, told.get("type", "").rpartition("/")[2]) == (status, type), response.data
    assert response.mimetype == "application/problem+json"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert response.headers["X-Request-Id"]
    return dict(told)


def everything(world: World) -> dict[str, list[Any]]:
    """Every document of every collection, by its name."""
    database = our_database()
    return {name: list(database[name].find().sort("_id")) for name in sorted(database.list_collection_names())}


@contextmanager
def untouched(world: World, *, may_read: bool = False) -> Iterator[None]:
    """Assert that the block writes nothing on either side, and unless it `may_read`, asks Stripe nothing."""
    before, asked = everything(world), len(world.stripe.requests)
    yield
    assert everything(world) == before
    since = world.stripe.requests[asked:]
    assert [request for request in since if not may_read or request.method != "GET"] == []


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """Call `call(0)` … `call(count - 1)` from as many threads, all let go at the same moment; return what each said."""
    ready = threading.Barrier(count)

    def one(number: int) -> T:
        ready.wait(30)
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
