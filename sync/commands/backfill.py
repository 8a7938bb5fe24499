"""`stripe-mongo-sync backfill`: copy an existing Stripe account into MongoDB."""

import logging
import sys

import click

from stripe_mongo_sync.sync.commands.cli import Given, command, count, flag, moment, rate, say
from stripe_mongo_sync.sync.process.limits import OWNER_READS, RATE


@command(
    "backfill",
    "copy an existing Stripe account into MongoDB; a run that was stopped continues where it was",
    examples=("backfill", "backfill customer --since 2026-01-01"),
)
@click.argument(
    "types", nargs=-1, metavar="[TYPE]...", help="copy only these: customer, promotion-codes, ...; by default all"
)
@click.option("--since", type=moment, metavar="DATE", help="copy only objects created since then (ISO 8601, UTC)")
@click.option(
    "--rate", type=rate, default=f"{RATE:.0f}", show_default=True, metavar="N", help="at most N requests per second"
)
@click.option(
    "--owner-reads",
    type=count,
    default=OWNER_READS,
    show_default=True,
    metavar="N",
    help="GETs of this run for lists that need an owner (cards, tax ids, ...)",
)
@flag("--restart", "start again from the beginning, even if the last backfill was not finished")
def main(given: Given) -> int:
    """Copy, and show the progress."""
    from stripe_mongo_sync.sync.commands.progress_bar import Progress
    from stripe_mongo_sync.sync.logs import log
    from stripe_mongo_sync.sync.runs.backfill import backfill
    from stripe_mongo_sync.sync.stripe.throttle import Throttle

    patience, before = Throttle(given.rate), log.level
    log.setLevel(logging.WARNING)  # one line per object would bury the warnings
    try:
        with Progress(sys.stderr) as progress:
            whole = backfill(
                list(given.types),
                since=int(given.since.timestamp()) if given.since else None,
                restart=given.restart,
                owner_reads=given.owner_reads,
                patience=patience,
                on_progress=progress.show,
            )
    finally:
        log.setLevel(before)
    say(
        given,
        {**whole.as_json(), "requests": patience.requests},
        *whole.lines,
        f"{patience.requests:,} requests to Stripe",
    )
    return whole.exit_code
