"""Who was forgotten, as what is born here must ask: `models/erasure.py` knows, and says so when it is imported."""

from typing import Protocol, TypeVar

from stripe_mongo_sync.models.rows.sure import sure


class Memory(Protocol):
    """What knows who was forgotten."""

    @classmethod
    def concerns(cls, ids: set[str]) -> bool:
        """Whether any of these objects belongs to somebody who was forgotten."""

    @classmethod
    def include_if_related(cls, owners: set[str], more: set[str]) -> bool:
        """The same, of what these decide whose it is; then `more` belongs to them, too."""


Remembering = TypeVar("Remembering", bound=type[Memory])

_memory: type[Memory] | None = None


def remembers(memory: Remembering) -> Remembering:
    """Decorate the class that knows."""
    global _memory
    _memory = memory
    return memory


def forgotten() -> type[Memory]:
    """Return the class that knows: nothing is born while there is none."""
    return sure(_memory)
