"""Lets inserts ask who was erased without importing `models/erasure.py`, which registers itself here."""

from typing import Protocol, TypeVar

from stripe_mongo_sync.models.rows.sure import sure


class Memory(Protocol):
    """The class that knows who was erased."""

    @classmethod
    def concerns(cls, ids: set[str]) -> bool:
        """Whether any of these objects belongs to a person who was erased."""

    @classmethod
    def include_if_related(cls, owners: set[str], more: set[str]) -> bool:
        """Whether one of the `owners` belongs to a person who was erased; if so, record that `more` does, too."""


Remembering = TypeVar("Remembering", bound=type[Memory])

_memory: type[Memory] | None = None


def remembers(memory: Remembering) -> Remembering:
    """Register the class that knows who was erased."""
    global _memory
    _memory = memory
    return memory


def forgotten() -> type[Memory]:
    """Return that class. Raises Impossible while none is registered, so that nothing is inserted without it."""
    return sure(_memory)
