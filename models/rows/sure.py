"""What must be so for the code to make sense: asked in every process, as `python -O` takes assertions away."""

from typing import Any, TypeVar, overload

T = TypeVar("T")


class Impossible(AssertionError):
    """The code contradicts itself: a fault of ours, which nobody can provoke from outside and nobody can mend there."""


@overload
def sure(value: T | None) -> T: ...
@overload
def sure(value: object, kind: type[T]) -> T: ...
def sure(value: Any, kind: type[Any] = object) -> Any:
    """Return `value`, which is there, and of that `kind`. Raises Impossible where it is not."""
    if value is None or not isinstance(value, kind):
        raise Impossible(f"here must be {kind.__name__}, not {type(value).__name__}")
    return value
