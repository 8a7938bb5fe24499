"""The indexes of the whole database: what a start may build, what it insists on, and what the command builds."""

from collections.abc import Collection, Iterable, Iterator

from stripe_mongo_sync import models
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.rows.indexes import Gap, build, gap
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.sync.errors import SyncError
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.settings import Settings

COMMAND = f"`{PROGRAM} indexes`"


def ours() -> Iterator[type[OwnRows]]:
    """Yield what has indexes: every kind of document, and what comes and goes with them."""
    yield from models.kinds().values()
    yield from (models.Event, models.Delivery, models.Erasure)


def here(names: Collection[str]) -> list[type[OwnRows]]:
    """Return those of which there is a collection: any other is made with its first row."""
    return [model for model in ours() if model._get_collection_name() in names]


def gaps(settings: Settings, among: Iterable[type[OwnRows]] | None = None) -> Iterator[Gap]:
    """Yield what is not as it should be, collection by collection."""
    for model in here(database().list_collection_names()) if among is None else among:
        found = gap(model._get_collection(), model.wanted(settings.retention))
        if found.missing or found.late or found.foreign:
            yield found


def prepare(settings: Settings, among: Iterable[type[OwnRows]]) -> bool:
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
