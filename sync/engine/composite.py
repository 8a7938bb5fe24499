"""Composites and dependents: which kinds are computed from other documents, and what is recomputed when one changes.

A composite document has no object at Stripe. `notify_dependents` calls every dependent of a document that may have
changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import SyncedDocument


@dataclass(frozen=True)
class Rule:
    """A query of the rows that break the rule, and what `field` should be instead: a value or an Expression."""

    field: str
    broken: dict[str, Any]
    right: Any = None


@dataclass(frozen=True)
class Composition:
    """The functions of one composite kind."""

    plan: Callable[[dict[str, Any], ObjectId], tuple[dict[str, Any], dict[str, Any]]]  # values → values, operation
    push: Callable[[SyncedDocument], SyncedDocument]  # does what is pending, and recomputes
    strays: Callable[[SyncedDocument], list[str]]  # the fields that differ from its parts
    rules: Sequence[Rule] = ()  # what each of its rows satisfies, besides the rules of every document


# The rooms above fill these when they are imported.
COMPOSITES: dict[str, Composition] = {}  # by kind
DEPENDENTS: dict[str, list[Callable[[SyncedDocument], None]]] = {}  # by the kind that they depend on
NEEDED: dict[str, Callable[[list[dict[str, Any]]], set[str]]] = {}  # by kind: ids that a dependent needs


def has_dependents(model: type[SyncedDocument]) -> bool:
    """Whether documents of this kind have dependents."""
    return model.resource.kind in DEPENDENTS


def needed(model: type[SyncedDocument], remotes: list[dict[str, Any]]) -> set[str]:
    """Return the ids of those objects, of one kind, that a dependent needs: they are adopted even with ADOPT=no."""
    return NEEDED[model.resource.kind](remotes) if model.resource.kind in NEEDED else set()


def notify_dependents(document: SyncedDocument) -> None:
    """Call every dependent of this document, which may have changed."""
    for follow in DEPENDENTS.get(document.resource.kind, ()):
        follow(document)


def follows(follow: Callable[[SyncedDocument], None], *followed: str) -> None:
    """Register `follow`: it is called with every document of these kinds that may have changed."""
    for kind in followed:
        DEPENDENTS.setdefault(kind, []).append(follow)
