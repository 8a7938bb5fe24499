"""Dependents: who hears of a document that may have changed, such as an order of its payment.

A dependent needs nothing of a change but the document as it is now, so hearing twice, or late, does no harm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stripe_mongo_sync.models import SyncedDocument

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Dependent:
    """One of those who hear of the documents of a kind."""

    notify: Callable[[SyncedDocument], None]
    # Of objects of that kind, by any key: the keys of those of which it wants to hear. None: of every one.
    among: Callable[[Mapping[Any, Json]], set[Any]] | None = None
    adopts: bool = False  # it needs these objects even with ADOPT=no


# By kind. The rooms above fill this when they are imported.
DEPENDENTS: dict[str, list[Dependent]] = {}


def follows(dependent: Dependent, *kinds: str) -> None:
    """Register a dependent of these kinds."""
    for kind in kinds:
        DEPENDENTS.setdefault(kind, []).append(dependent)


def dependents_of(kind: str, remotes: Mapping[Any, Json], *, adopting: bool = False) -> set[Any]:
    """Return the keys of those objects of a kind whose documents somebody wants to hear of, with one query for all.

    The key of an object is the id of its document; of one without a document, anything. `adopting`, only of those that
    somebody needs even with ADOPT=no.
    """
    there = [each for each in DEPENDENTS.get(kind, ()) if remotes and (each.adopts or not adopting)]
    return set().union(*(each.among(remotes) if each.among else remotes for each in there))


def needs(kind: str) -> bool:
    """Whether somebody needs some objects of this kind even with ADOPT=no."""
    return any(dependent.adopts for dependent in DEPENDENTS.get(kind, ()))


def needed(kind: str, remotes: list[dict[str, Any]]) -> set[str]:
    """Return the ids of those objects of a kind that somebody needs: they are adopted even with ADOPT=no."""
    return dependents_of(kind, {remote["id"]: remote for remote in remotes}, adopting=True)


def notify_dependents_of(model: type[SyncedDocument], stripe_id: str) -> None:
    """Call every dependent of the document of this object, which may have changed."""
    if model.resource.kind in DEPENDENTS and (document := model.by_stripe_id(stripe_id)) is not None:
        notify_dependents(document)


def notify_dependents(document: SyncedDocument) -> None:
    """Call every dependent of this document, which may have changed."""
    for dependent in DEPENDENTS.get(document.resource.kind, ()):
        dependent.notify(document)
