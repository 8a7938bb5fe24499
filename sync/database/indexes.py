"""The indexes of the database: which a start builds, which it requires, and which only the command builds."""

from collections.abc import Collection, Iterable, Iterator

from bson import MinKey

from stripe_mongo_sync import models
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.rows.indexes import Gap, build, drop_outlived, gap
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.errors import SyncError
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.settings import Settings

COMMAND = f"`{PROGRAM} indexes`"


def ours() -> Iterator[type[OwnRows]]:
    """Yield every model that has indexes."""
    yield from models.kinds().values()
    yield from (models.Event, models.Delivery, models.UsageRecord, models.Erasure)


def here(names: Collection[str]) -> list[type[OwnRows]]:
    """Return the models whose collections exist: MongoDB creates any other with its first row."""
    return [model for model in ours() if model._get_collection_name() in names]


def in_use() -> set[type[OwnRows]]:
    """Return the models whose collections have rows."""
    return having(here(database().list_collection_names()), {"_id": {"$gt": MinKey()}})  # answered by an index


def drop_old() -> list[str]:
    """Drop the indexes over the names of older versions, once no row has them; return their names."""
    models = here(database().list_collection_names())
    dropped = (drop_outlived(model._get_collection(), model.names.gone) for model in models if model.names is not None)
    return [name for names in dropped for name in names]


def gaps(settings: Settings, among: Iterable[type[OwnRows]] | None = None) -> Iterator[Gap]:
    """Yield each collection whose indexes differ from those that it should have."""
    for model in here(database().list_collection_names()) if among is None else among:
        found = gap(model._get_collection(), model.wanted(settings.retention))
        if found.missing or found.late or found.foreign:
            yield found


def prepare(settings: Settings, among: Iterable[type[OwnRows]], *, upgrades: bool = False) -> bool:
    """Build the missing indexes of empty collections, and only log those of others. Return whether none is missing.

    Raises SyncError if a unique index of a collection with documents is missing. To build it may take minutes, and may
    fail because of duplicates, so that a start, which callers wait for, does not do it. Only while it `upgrades` the
    rows of an older version, it builds those too, which then have no entries yet.
    """
    needed, slow = [], []
    for found in gaps(settings, among):
        if (found.is_empty or (upgrades and found.unique)) and not build(found):
            continue
        needed += found.unique
        slow += found.others
    if slow:
        log.warning("these indexes are missing, or of another expiry: %s; %s builds them", ", ".join(slow), COMMAND)
    if needed:
        raise SyncError(f"These unique indexes are missing: {', '.join(needed)}. {COMMAND} builds them.")
    return not slow
