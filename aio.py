"""The Python API as coroutines, `await create("product", …)`: the event loop never waits for MongoDB or Stripe.

The names and signatures are those of `stripe_mongo_sync`. Each call runs that function in a thread: up to 32 at the
same time, and more wait in a queue. `find` is an async iterator. Functions that wait for nothing are the same objects.

Cancelling a task only ends the waiting: a call that has not started is dropped, and a running one continues to its end,
like a request whose client hung up. So pass an `idempotency_key` when you create: a repeated call with the same key
returns the result of the first one.
"""

from collections.abc import Iterator
from inspect import isfunction, signature
from typing import Any, get_origin

import stripe_mongo_sync
from stripe_mongo_sync.sync.shop.in_threads import async_iterator, coroutine

PLAIN = frozenset({"current", "on", *stripe_mongo_sync.SERVED})  # functions that wait for nothing, or serve WSGI

__all__ = list(stripe_mongo_sync.__all__)


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in stripe_mongo_sync.RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(stripe_mongo_sync, name)
    if isfunction(found) and name not in PLAIN:
        many = get_origin(signature(found).return_annotation) is Iterator
        found = async_iterator(found) if many else coroutine(found)
    if name in __all__:  # an old name warns each time
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
