"""What the engine must know of a Stripe type, besides its fields: where it lives, how it is undone, what holds it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from models.base import SyncedDocument


class Undo(StrEnum):
    """How an unwanted object is made unusable."""

    DELETE = "delete"  # DELETE it
    ARCHIVE = "archive"  # Stripe cannot delete it: POST active=false
    DELETE_OR_ARCHIVE = "delete or archive"  # DELETE it; where Stripe refuses (a product with prices), archive it


@dataclass(frozen=True)
class Resource:
    """A row of the registry. Facts are Stripe's API reference, by type."""

    kind: str  # Stripe's `object`, and the stem of its events
    prefix: str  # of its ids; "" where callers may choose them
    path: str  # /v1/…
    undo: Undo
    deletable: bool  # whether DELETE exists
    own_id: bool = False  # whether the caller may choose the id
    searchable: bool = True  # whether its list has a `created` filter
    money: frozenset[str] = frozenset()  # verbs that move money
    holds: tuple[str, ...] = ()  # lists which, when not empty for this object, forbid an automatic undo

    @property
    def created_event(self) -> str:
        """The only type of event that may link a document by its key."""
        return f"{self.kind}.created"

    @property
    def deleted_event(self) -> str:
        """The type of event that proves that an object is gone."""
        return f"{self.kind}.deleted"

    def url(self, stripe_id: str) -> str:
        """The path of one object; a person may have chosen an id that a path would read otherwise."""
        return f"{self.path}/{quote(stripe_id, safe='')}"


KINDS: "dict[str, type[SyncedDocument]]" = {}  # filled as the model files are imported


def register(model: "type[SyncedDocument]") -> None:
    """Make `model` the one of its kind."""
    assert model.resource.kind not in KINDS, f"two models for {model.resource.kind}"
    KINDS[model.resource.kind] = model


def kinds() -> "dict[str, type[SyncedDocument]]":
    """Return the model of each kind, in the order of the files."""
    return dict(KINDS)


def is_gone(remote: dict[str, Any]) -> bool:
    """Whether this is the stub that Stripe shows of a deleted object."""
    return remote.get("deleted") is True
