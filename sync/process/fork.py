"""What a fork leaves a child is its parent's: sockets that both would read, and locks that nobody there will open.

Whatever has either is renewed in the child before anything else runs there. Nothing is closed in the parent's name.
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
    """Call `renew` in each child that this process, or one of its children, forks; a method while its object lives."""
    _renewals[:] = [each for each in _renewals if each() is not None]
    if isinstance(renew, MethodType):
        _renewals.append(partial(_bound, weakref.ref(renew.__self__), renew.__func__))
    else:
        _renewals.append(lambda: renew)


def _bound(owner: "weakref.ref[object]", method: Callable[[object], None]) -> Renew | None:
    there = owner()
    return None if there is None else partial(method, there)


def renew_in_child() -> None:
    """Renew everything if this is a child; some servers that are written in C fork without telling Python."""
    global _process
    if os.getpid() == _process:
        return
    _process = os.getpid()
    for each in list(_renewals):
        if (renew := each()) is not None:
            renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew_in_child)
