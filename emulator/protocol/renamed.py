"""Old names of the public API: each works for one more release, with a DeprecationWarning that names the new one."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

FAULTS = {"zombie": "late_request"}
CLASSES = {"Cut": "ConnectionCut", "Logged": "LogEntry"}  # of the package `emulator`


def warn(old: str, new: str, stacklevel: int = 3) -> None:
    """Warn the caller of the function that calls this."""
    warnings.warn(renaming(old, new), DeprecationWarning, stacklevel)


def renaming(old: str, new: str) -> str:
    return f"{old} is now called {new}; the old name will be removed in 0.3"


def renamed(old: str, new: Callable[P, R]) -> Callable[P, R]:
    """Return `new` as it was called before: calling it warns."""

    @functools.wraps(new)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        warn(old, new.__name__)
        return new(*args, **kwargs)

    return call


def fault_name(name: str) -> str:
    """Return the name that a fault has today."""
    if name in FAULTS:
        warn(name, FAULTS[name], 5)
    return FAULTS.get(name, name)
