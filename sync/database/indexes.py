"""The indexes of the whole database: what a start may build, what it insists on, and what the command builds."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from mongoengine import Document
from pymongo import IndexModel

from stripe_mongo_sync import models
from stripe_mongo_sync.models.base.document import SyncedDocument
from stripe_mongo_sync.models.mirrored import Mirrored
from stripe_mongo_sync.models.rows.indexes import Gap, build, expiry, gap
from stripe_mongo_sync.sync.errors import SyncError
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.settings import Settings

REQUEST_KEYS_LAST = timedelta(days=45)  # a caller's Idempotency-Key is remembered at least so long
COMMAND = f"`{PROGRAM} indexes`"


def ours(kinds: Iterable[type[Document]]) -> Iterator[type[Document]]:
    """Yield what has indexes: these kinds of documents, and what comes and goes with them."""
    yield from (*kinds, models.Event, models.Delivery, models.Erasure)


def wanted(settings: Settings, model: type[Any]) -> list[IndexModel]:
    """Return the indexes that a collection should have; a mirrored type's only once it is there."""
    if issubclass(model, Mirrored):
        return model._indexes()
    keep = max(settings.retention, REQUEST_KEYS_LAST) if issubclass(model, SyncedDocument) else settings.retention
    return [*model.indexes, expiry(keep)]


def gaps(settings: Settings, among: Iterable[type[Document]] | None = None) -> Iterator[Gap]:
    """Yield what is not as it should be, collection by collection."""
    for model in ours(models.present_kinds().values()) if among is None else among:
        found = gap(model._get_collection(), wanted(settings, model))
        if found.missing or found.late or found.foreign:
            yield found


def prepare(settings: Settings, among: Iterable[type[Document]]) -> bool:
    """Build what is missing where a collection is empty; where it has documents, only tell. Whether all is there.

    Raises SyncError if a unique index is missing there: without it nothing is unique. Building it may take minutes and
    may fail on what is there already, so that it is no work for a start that others wait for.
    """
    needed, slow = [], []
    for found in gaps(settings, among):
        if found.is_empty:
            build(found)
            continue
        needed += found.unique
        slow += found.others
    if slow:
        log.warning("these indexes are missing, or of another expiry: %s; %s builds them", ", ".join(slow), COMMAND)
    if needed:
        raise SyncError(f"These unique indexes are missing: {', '.join(needed)}. {COMMAND} builds them.")
    return not slow
