"""What is made of other documents, and what follows them: how such a kind is planned and pushed.

A composed document has no object at Stripe; it follows the documents that it is made of. `tell` says to all that follow
a document that it may have changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import SyncedDocument


@dataclass(frozen=True)
class Composition:
    """How one kind is composed."""

    plan: Callable[[dict[str, Any], ObjectId], tuple[dict[str, Any], dict[str, Any]]]  # checked values → and operation
    push: Callable[[SyncedDocument], SyncedDocument]  # does what is pending, and follows
    strays: Callable[[SyncedDocument], list[str]]  # the fields that are not as what it follows has them


# All are filled as the modules are imported.
COMPOSITES: dict[str, Composition] = {}  # by kind
DEPENDENTS: dict[str, list[Callable[[SyncedDocument], None]]] = {}  # by the kind of what they follow
NEEDED: dict[str, Callable[[list[dict[str, Any]]], set[str]]] = {}  # by kind: which of some objects something follows


def has_dependents(model: type[SyncedDocument]) -> bool:
    """Whether anything follows documents of this kind."""
    return model.resource.kind in DEPENDENTS


def needed(model: type[SyncedDocument], remotes: list[dict[str, Any]]) -> set[str]:
    """Return the ids of those of Stripe's objects, of one kind, that something follows: kept whatever ADOPT says."""
    return NEEDED[model.resource.kind](remotes) if model.resource.kind in NEEDED else set()


def notify_dependents(document: SyncedDocument) -> None:
    """Let everything follow this document, which may have changed."""
    for follow in DEPENDENTS.get(document.resource.kind, ()):
        follow(document)


def follows(follow: Callable[[SyncedDocument], None], *followed: str) -> None:
    """Let `follow` be called with every document of these kinds that may have changed."""
    for kind in followed:
        DEPENDENTS.setdefault(kind, []).append(follow)
