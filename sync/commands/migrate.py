"""`stripe-mongo-sync migrate`: rewrite what an older version stored, and bring the indexes up to it."""

import sys

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Given, command, say
from stripe_mongo_sync.sync.commands.indexes import build_missing, lines


@command(
    "migrate",
    "rewrite what an older version stored, and build the indexes that are missing; run it after an upgrade",
    examples=("migrate",),
)
def main(given: Given) -> int:
    """Migrate, beside a running service of this version; return 1 when an index could not be built."""
    from stripe_mongo_sync.sync.commands.progress_bar import Progress
    from stripe_mongo_sync.sync.connection import current
    from stripe_mongo_sync.sync.database.indexes import drop_old
    from stripe_mongo_sync.sync.runs.migrations import migrate

    settings = current().settings
    before = build_missing(settings)  # by these, what is upgraded meanwhile is found
    with Progress(sys.stderr) as progress:
        rewritten = migrate(progress.show)
    dropped = drop_old()
    told = build_missing(settings)
    told |= {"built": [*before["built"], *told["built"]], "rewritten": rewritten, "dropped": dropped}
    code = NEEDS_OPERATOR if told["failed"] else 0
    done = [f"{name}: {count:,} rows were rewritten" for name, count in rewritten.items() if count]
    done += [*lines(told), *(f"dropped: {name}" for name in told["dropped"])]
    say(given, {**told, "exit_code": code}, *(done or ["nothing is to be migrated"]))
    return code
