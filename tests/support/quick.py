"""A bound of a processor's time that holds on a machine with neighbours: it catches what grows with a square."""

import gc
import time
from collections.abc import Callable
from typing import Any

ATTEMPTS = 4


def timed(what: str, call: Callable[[], Any], bound: float) -> Any:
    """Return or raise what a call does that takes less than so many seconds of a processor, at one of several attempts.

    Work that grows with the square of a text exceeds the bound at each of them; a neighbour's load, at some.
    """
    for _ in range(ATTEMPTS):
        result: Any = None
        raised: Exception | None = None
        gc.freeze()  # what other tests left in this process is not looked through while this is timed
        began = time.process_time()
        try:
            result = call()
        except Exception as error:  # to refuse may not take longer than to do
            raised = error
        took = time.process_time() - began
        gc.unfreeze()
        if took < bound:
            if raised is not None:
                raise raised
            return result
    raise AssertionError(f"{what} took {took:.2f} s")
