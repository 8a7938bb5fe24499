"""The Python API as coroutines, `await create("product", …)`: the event loop never waits for MongoDB or Stripe.

The names and signatures are those of `stripe_mongo_sync`, and each call is made by that function, in a thread: 32 at
once, and more wait in line. `find` is an async iterator. What waits for nothing is the same object here.

Who is cancelled stops waiting, and no more: a call that has not begun is not made, and one that is under way goes on to
its end, as a request does whose client hung up. So give an `idempotency_key` to what creates: repeated with it, the
call returns what came of the first one.
"""

from collections.abc import Iterator
from inspect import isfunction, signature
from typing import Any, get_origin

import stripe_mongo_sync
from stripe_mongo_sync.sync.shop.in_threads import async_iterator, coroutine

PLAIN = frozenset({"current", "on", *stripe_mongo_sync.SERVED})  # functions that wait for nothing, or serve WSGI

__all__ = list(stripe_mongo_sync.__all__)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(stripe_mongo_sync, name)
    if isfunction(found) and name not in PLAIN:
        many = get_origin(signature(found).return_annotation) is Iterator
        found = async_iterator(found) if many else coroutine(found)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
