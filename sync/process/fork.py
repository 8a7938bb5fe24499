"""Renews, in a forked child, what belongs to its parent: sockets that both would read, and locks that stay locked.

Everything that has one is renewed in the child before other code runs there. The parent's connections stay open.
"""

import os
import weakref
from collections.abc import Callable
from functools import partial
from types import MethodType

Renew = Callable[[], None]

_renewals: list[Callable[[], Renew | None]] = []  # what is still to be renewed; None where its object is gone
_process = os.getpid()


def in_every_child(renew: Renew) -> None:
    """Call `renew` in each child that this process or its children fork; a method only while its object exists."""
    _renewals[:] = [each for each in _renewals if each() is not None]
    if isinstance(renew, MethodType):
        _renewals.append(partial(_bound, weakref.ref(renew.__self__), renew.__func__))
    else:
        _renewals.append(lambda: renew)


def _bound(owner: "weakref.ref[object]", method: Callable[[object], None]) -> Renew | None:
    there = owner()
    return None if there is None else partial(method, there)


def renew_in_child() -> None:
    """Renew everything if this is a child. Some servers that are written in C fork without Python's hooks."""
    global _process
    if os.getpid() == _process:
        return
    _process = os.getpid()
    for each in list(_renewals):
        if (renew := each()) is not None:
            renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew_in_child)
