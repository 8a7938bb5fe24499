"""Makes calls in threads, for callers with an event loop, which must never wait for MongoDB or Stripe.

At most `THREADS` calls run at the same time, and more wait in line; a forked child has threads of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from itertools import islice
from typing import Any, TypeVar

from stripe_mongo_sync.sync.process.fork import in_every_child, renew_in_child

T = TypeVar("T")

THREADS = 32  # calls at once; MongoDB's driver has 100 connections
PAGE = 100  # items that one call in a thread returns


def coroutine(call: Callable[..., T]) -> Callable[..., Any]:
    """Return the coroutine function that makes this call in a thread."""

    @wraps(call)
    async def waiting(*args: Any, **kwargs: Any) -> T:
        return await in_thread(partial(call, *args, **kwargs))

    return waiting


def async_iterator(call: Callable[..., Iterator[T]]) -> Callable[..., AsyncIterator[T]]:
    """Return the function whose async iterator goes in a thread through what this call returns, page by page."""

    @wraps(call)
    async def each(*args: Any, **kwargs: Any) -> AsyncIterator[T]:
        found = await in_thread(partial(call, *args, **kwargs))
        while page := await in_thread(lambda: list(islice(found, PAGE))):
            for one in page:
                yield one

    return each


async def in_thread(call: Callable[[], T]) -> T:
    """Make a call in a thread, in the context of the caller."""
    renew_in_child()  # the threads of a parent are not here
    return await asyncio.get_running_loop().run_in_executor(_threads, copy_context().run, call)


def _renew() -> None:
    global _threads
    _threads = _executor()


def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "stripe_mongo_sync")


_threads = _executor()
in_every_child(_renew)
