"""The number of the schema: with it, a start need not read the indexes, and refuses a newer version's database.

A schema is every index and every migration. Its number is stored when all of it is done, with the ids of the
collections that were seen whole, and how many indexes there were in all: a collection that was dropped, and restored
without its indexes, has another id, and an index that was dropped is one less.
"""

from dataclasses import dataclass
from typing import Any

from stripe_mongo_sync.models import Erasure, State
from stripe_mongo_sync.models.rows.formerly import ERASURES, OLD, UPGRADE
from stripe_mongo_sync.models.rows.indexes import GUARDED
from stripe_mongo_sync.models.rows.own_rows import OwnRows, collections, indexes_in_all
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER, INSTALLATION, MIGRATIONS, SCHEMA, STRIPE, Edited
from stripe_mongo_sync.sync.database import indexes
from stripe_mongo_sync.sync.database.strangers import neighbours, refuse_strangers
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.settings import Settings

# The digest of each schema that there was, oldest first: its place is its number. A test computes it, and tells when
# indexes or migrations were changed that another must be appended here.
SCHEMAS = (
    "732bfd8624b0",
    "50ef4126cf3f",
    "4d6aae36c2dc",
    "fdafc7167c15",
    "6dbda7ca9d23",
    "f10e63b805fb",
    "1c6eff39f39d",
    "c6b30e49e8e3",
    "464bb3bdb418",
    "478072006e43",
    "4c49cafbcd01",
    "17c5aeaa6c69",
    "f35279ffd886",
    "515ddfb4801e",
    "cc1893390925",
    "dc6d39964cda",
    "2ade4f75e06d",
)
NUMBER = len(SCHEMAS)
OF_0_2 = ("content", "disputes", "of others", "chosen ids", "usernames", "living")  # the migrations of version 0.2
MIGRATED = ("names", "creations", "owners", "fields")  # ours: see sync/runs/migrations.py

Value = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a start reads before it writes: the collections with their ids, the number of their indexes, and the stored
    schema and migrations."""

    collections: dict[str, str]
    indexes: int
    installation: str | None
    schema: Value
    migrations: Value

    def is_whole(self, name: str) -> bool:
        """Whether a collection was seen with all indexes of the schema that is stored."""
        return self.collections.get(name) in self.schema.get("whole", ())


def look() -> Found:
    """Read the state of an opened database. Raises BadSettings if another program's rows are in our collections, or if
    a newer version has worked on it.
    """
    there = collections()
    refuse_strangers(there)
    try:
        state = State.read_each(INSTALLATION, STRIPE, SCHEMA, MIGRATIONS)
    except Edited as error:
        raise BadSettings([f"MONGODB_URI names a database that cannot be used: {error}"]) from None
    schema, migrations = (state.get(name, {}) for name in (SCHEMA, MIGRATIONS))
    _refuse_newer(schema)
    return Found(_ids(there), indexes_in_all(), state.get(INSTALLATION, {}).get("id"), schema, migrations)


def prepare(settings: Settings, found: Found) -> None:
    """Build the missing indexes that a start may build (see `indexes.prepare`); store our number if none is missing.

    Afterwards rows may be written. Raises SyncError if a unique index is missing.
    """
    here = indexes.here(found.collections)
    UPGRADE.end()
    fresh = not migrated(found.migrations) and not having(here, {})
    upgrades = not (fresh or _renamed(found.migrations))
    if upgrades:
        _begin_upgrade(found, here)
    unseen = _unseen(settings, found, here)
    if unseen or found.schema.get("of") != _of(settings):
        if fresh and found.installation is None and (others := neighbours(found.collections)):
            told = "a new installation begins in a database that has another, whose COLLECTION_PREFIX is %s"
            log.warning(f"{told}: nothing of that one is read or changed", ", ".join(others))
        whole = indexes.prepare(settings, unseen, upgrades=upgrades)
        if fresh and whole:  # what is written from now on is of this version
            State.write(MIGRATIONS, {"done": [*OF_0_2, *MIGRATED], "place": None})
        if whole and (fresh or migrated(found.migrations)):
            _store(settings)
    GUARDED.start(settings.retention, (model._get_collection_name() for model in here))


def _begin_upgrade(found: Found, here: list[type[OwnRows]]) -> None:
    """Let the rows of an older version be upgraded before they are used, as `models/rows/formerly.py` does.

    From now on that version refuses the database. What is small is upgraded at once. Raises BadSettings if the
    migrations of version 0.2 are not done.
    """
    known = found.schema.get("number") or set(OF_0_2) <= set(found.migrations.get("done", ()))
    if not known and having(here, OLD):  # else what is known of it was lost, and all is done again
        raise BadSettings(
            [
                "MONGODB_URI names a database of a version before 0.2, or one that 0.2 has not migrated yet. Nothing "
                "was changed; run `reconcile` of version 0.2 here first"
            ]
        )
    if found.schema.get("number") != NUMBER:
        _refuse_newer(State.raised(SCHEMA, {"number": NUMBER, "of": "", "whole": [], "indexes": 0}))
    State.rename("latch", CIRCUIT_BREAKER)
    if Erasure in here:
        ERASURES.upgrade(Erasure._get_collection(), {})
    UPGRADE.begin(lambda: not _renamed(State.read(MIGRATIONS) or {}))
    log.warning("what an older version stored is upgraded as it is found; `%s migrate` upgrades all of it", PROGRAM)


def _renamed(known: Value) -> bool:
    return "names" in known.get("done", ())


def settle(settings: Settings) -> None:
    """Store our number if nothing is missing any more, after a command has done what a start does not do."""
    if migrated(State.read(MIGRATIONS) or {}) and not any(gap.lacking for gap in indexes.gaps(settings)):
        _store(settings)


def forget() -> None:
    """Clear the stored schema, so that the next start checks every index."""
    State.clear(SCHEMA)


def migrated(known: Value) -> bool:
    """Whether all migrations are done."""
    return set(MIGRATED) <= set(known.get("done", ()))


def _store(settings: Settings) -> None:
    seen = {"whole": sorted(_ids(collections()).values()), "indexes": indexes_in_all()}
    _refuse_newer(State.raised(SCHEMA, {"number": NUMBER, "of": _of(settings), **seen}))


def _of(settings: Settings) -> str:
    """Return the schema together with the retention, because the expiry of an index depends on that setting."""
    return f"{NUMBER} {SCHEMAS[-1]} {int(settings.retention.total_seconds())}"


def _refuse_newer(schema: Value) -> None:
    number = schema.get("number", 0)
    if not (isinstance(number, int | float) and number <= NUMBER):  # what we cannot read, we did not write
        raise BadSettings(
            [
                f"MONGODB_URI names a database of schema {number!r}, and this version knows schemas up to {NUMBER}: a "
                "newer version has worked on it. Nothing was changed; run that version or a later one here, or restore "
                "the backup from before the upgrade"
            ]
        )


def _unseen(settings: Settings, found: Found, here: list[type[OwnRows]]) -> list[type[OwnRows]]:
    """Return the models whose indexes must be checked: those of new collections; all, if another schema is stored or
    the number of indexes is not the expected one."""
    new = [model for model in here if not found.is_whole(model._get_collection_name())]
    expected = found.schema.get("indexes", 0) + sum(1 + len(model.wanted(settings.retention)) for model in new)
    return new if (found.schema.get("of"), expected) == (_of(settings), found.indexes) else here


def _ids(there: dict[str, Value]) -> dict[str, str]:
    return {name: str(told.get("info", {}).get("uuid")) for name, told in there.items()}
