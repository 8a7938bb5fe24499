"""What a fork leaves a child is its parent's: sockets that both would read, and locks that nobody there will open.

Whatever has either is renewed in the child before anything else runs there. Nothing is closed in the parent's name.
"""

import os
import weakref
from collections.abc import Callable
from typing import Any

Renew = Callable[[], None]

_renewals: list["weakref.ref[Any]"] = []
_process = os.getpid()


def in_every_child(renew: Renew) -> None:
    """Call `renew` in each child that this process, or one of its children, forks; a method while its object lives."""
    reference: weakref.ref[Any] = (
        weakref.WeakMethod(renew, _renewals.remove) if hasattr(renew, "__self__") else weakref.ref(renew)
    )
    _renewals.append(reference)


def renew_in_child() -> None:
    """Renew everything if this is a child; some servers that are written in C fork without telling Python."""
    global _process
    if os.getpid() == _process:
        return
    _process = os.getpid()
    for reference in list(_renewals):
        if (renew := reference()) is not None:
            renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew_in_child)
