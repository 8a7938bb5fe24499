"""The registry: returns the model of each kind. `models/base/resource.py` fills it as the types are imported."""

from typing import cast

from stripe_mongo_sync.models.base import resource
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.base.lifecycle import StagedDocument
from stripe_mongo_sync.models.rows.database import database

Models = dict[str, type[StagedDocument]]


def kinds() -> Models:
    """Return the model of each kind, in the order of the files."""
    return cast("Models", dict(resource.KINDS))  # only documents register


def synced_kinds(among: Models | None = None) -> dict[str, type[SyncedDocument]]:
    """Return the models of the kinds that Stripe has: all, or all `among` these, but orders."""
    models = kinds() if among is None else among
    return {kind: model for kind, model in models.items() if issubclass(model, SyncedDocument)}


def synced_kind(kind: str) -> type[SyncedDocument] | None:
    """Return the model of this kind of Stripe's, or None: each webhook asks."""
    model = resource.KINDS.get(kind)
    return model if model is not None and issubclass(model, SyncedDocument) else None


def created_kinds() -> Models:
    """Return the models of the created types, as opposed to the mirrored ones."""
    return {kind: model for kind, model in kinds().items() if not model.resource.mirrored}


def changed_kinds() -> Models:
    """Return the models of the types that we change: the created ones, and the mirrored ones with parameters."""
    return {kind: model for kind, model in kinds().items() if model.resource.changeable}


def present_kinds() -> Models:
    """Return the models that may have documents: a mirrored kind has a collection from its first document on.

    One round trip, where asking a hundred collections would be a hundred.
    """
    there = set(database().list_collection_names())
    return {
        kind: model
        for kind, model in kinds().items()
        if not model.resource.mirrored or model._get_collection_name() in there
    }
