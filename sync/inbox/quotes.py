"""What accepting a quote has made is ours because the quote is: it gets a document also with ADOPT=no."""

from collections.abc import Mapping
from typing import Any

from stripe_mongo_sync.models import Quote, SyncedDocument
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.dependents import Dependent, follows

MADE = ("subscription", "subscription_schedule", "invoice")  # the kinds, and the fields of a quote that name them


def _of_ours(kind: str, remotes: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
    """Return the keys of those objects that a quote here names; while all objects are adopted, nobody needs to ask."""
    if current().settings.adopt:
        return set()
    ids = {remote["id"]: key for key, remote in remotes.items() if is_id(remote.get("id"))}
    named = Quote.own_rows().find({kind: {"$in": [*ids]}}, {kind: 1})
    return {ids[row[kind]] for row in named}


def _hear(document: SyncedDocument) -> None:
    """Do nothing: a quote shows its own status, whatever becomes of what it made."""


def _follow(kind: str) -> None:
    follows(Dependent(_hear, among=lambda remotes: _of_ours(kind, remotes), adopts=True), kind)


for made in MADE:
    _follow(made)
