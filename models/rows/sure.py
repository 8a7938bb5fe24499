"""Checks of our own code that also run under `python -O`, which removes assertions."""

from typing import Any, TypeVar, overload

T = TypeVar("T")


class Impossible(AssertionError):
    """A fault of our own code, which no caller can provoke."""


@overload
def sure(value: T | None) -> T: ...
@overload
def sure(value: object, kind: type[T]) -> T: ...
def sure(value: Any, kind: type[Any] = object) -> Any:
    """Return `value`. Raises Impossible if it is None or not of this `kind`."""
    if value is None or not isinstance(value, kind):
        raise Impossible(f"here must be {kind.__name__}, not {type(value).__name__}")
    return value
