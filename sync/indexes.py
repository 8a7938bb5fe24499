"""The indexes of the whole database: what a start may build, what it insists on, and what the command builds."""

from collections.abc import Iterator
from datetime import timedelta

from mongoengine import Document
from pymongo import IndexModel

import models
from models.indexes import Gap, build, expiry, gap
from models.mirrored import Mirrored
from sync.errors import SyncError
from sync.logs import log
from sync.settings import Settings

REQUEST_KEYS_LAST = timedelta(days=45)  # a caller's Idempotency-Key is remembered at least so long
COMMAND = "`python -m sync indexes`"


def wanted(settings: Settings) -> Iterator[tuple[type[Document], list[IndexModel]]]:
    """Yield every collection with the indexes that it should have; a mirrored type's only once it is there."""
    for model in models.present_kinds().values():
        if issubclass(model, Mirrored):
            yield model, model._indexes()
        else:
            yield model, [*model.indexes, expiry(max(settings.retention, REQUEST_KEYS_LAST))]
    for rows in (models.Event, models.Delivery, models.Erasure):
        yield rows, [*rows.indexes, expiry(settings.retention)]


def gaps(settings: Settings) -> Iterator[Gap]:
    """Yield what is not as it should be, collection by collection."""
    for model, indexes in wanted(settings):
        found = gap(model._get_collection(), indexes)
        if found.missing or found.late or found.foreign:
            yield found


def prepare(settings: Settings) -> None:
    """Build what is missing where a collection is empty. Where it has documents, only tell.

    Raises SyncError if a unique index is missing there: without it nothing is unique. Building it may take minutes and
    may fail on what is there already, so that it is no work for a start that others wait for.
    """
    needed, slow = [], []
    for found in gaps(settings):
        if found.is_empty:
            build(found)
            continue
        needed += found.unique
        slow += found.others
    if slow:
        log.warning("these indexes are missing, or of another expiry: %s; %s builds them", ", ".join(slow), COMMAND)
    if needed:
        raise SyncError(f"These unique indexes are missing: {', '.join(needed)}. {COMMAND} builds them.")
