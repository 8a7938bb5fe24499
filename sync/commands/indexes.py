"""`stripe-mongo-sync indexes`: build the indexes that are missing, before the service is started."""

import time
from typing import TYPE_CHECKING, Any

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Given, command, flag, say
from stripe_mongo_sync.sync.process.screen import tell

if TYPE_CHECKING:
    from stripe_mongo_sync.models.rows.indexes import Gap
    from stripe_mongo_sync.sync.settings import Settings


@command(
    "indexes",
    "build the indexes that are missing, however long it takes; run it before a new version serves",
    connects=False,
    reads=True,
    examples=("indexes --dry-run", "indexes"),
)
@flag("--dry-run", "list what is missing, and build nothing")
def main(given: Given) -> int:
    """Build the missing indexes; return 1 when one could not be built (or, with --dry-run, is missing)."""
    from stripe_mongo_sync.sync.connection import reach

    told = build_missing(reach(), dry=given.dry_run)
    code = NEEDS_OPERATOR if told["missing"] or told["failed"] else 0
    say(given, {**told, "exit_code": code}, *(lines(told) or ["all indexes exist"]))
    return code


def build_missing(settings: "Settings", *, dry: bool = False) -> dict[str, Any]:
    """Build the missing indexes, and return what was built, what was not, and which indexes of others do harm."""
    from stripe_mongo_sync.sync.database import schema
    from stripe_mongo_sync.sync.database.indexes import gaps

    told: dict[str, Any] = {"missing": [], "built": [], "failed": {}, "foreign": []}
    for found in gaps(settings):
        names = [*found.unique, *found.others]
        told["foreign"] += found.foreign
        if dry:
            told["missing"] += names
        elif names:
            failed = _build(found, names)
            told["failed"] |= failed
            told["built"] += [name for name in names if name not in failed]
    if told["failed"]:
        schema.forget()
    elif not dry:
        schema.settle(settings)
    return told


def _build(found: "Gap", names: list[str]) -> dict[str, str]:
    """Build the indexes of a collection; return those that could not be built, and why.

    It is announced first, because in a large collection it takes minutes. Writes go on meanwhile.
    """
    from pymongo.errors import OperationFailure

    from stripe_mongo_sync.models.rows.claimable import REFUSED, is_away
    from stripe_mongo_sync.models.rows.indexes import build

    count, began = found.collection.estimated_document_count(), time.monotonic()
    tell(f"building {', '.join(names)} ({count:,} documents)", error=True)
    try:
        failed = dict(build(found))
    except OperationFailure as error:
        if is_away(error) and error.code not in REFUSED:
            raise
        failed = dict.fromkeys(names, f"MongoDB refuses it ({(error.details or {}).get('codeName', error.code)})")
    tell(f"{found.collection.name}: {time.monotonic() - began:.1f} s", error=True)
    return failed


def lines(told: dict[str, Any]) -> list[str]:
    """Return the result as lines."""
    return [
        *(f"missing: {name}" for name in told["missing"]),
        *(f"built: {name}" for name in told["built"]),
        *(f"could not be built: {name}: {why}" for name, why in told["failed"].items()),
        *(f"not ours, and rejects documents that we accept, or deletes them: {name}" for name in told["foreign"]),
    ]
