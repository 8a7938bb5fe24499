"""`stripe-mongo-sync backfill`: copy an existing Stripe account into MongoDB."""

import argparse
import logging
import sys
from datetime import UTC, datetime

from stripe_mongo_sync.sync.commands.cli import Commands, command, count, rate, say
from stripe_mongo_sync.sync.commands.progress_bar import Progress
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.limits import OWNER_READS, RATE


def add(commands: Commands) -> None:
    """Describe the command line."""
    one = command(commands, "backfill", "copy an existing Stripe account into MongoDB", run)
    one.add_argument(
        "types", nargs="*", metavar="TYPE", help="copy only these: customer, promotion-codes, …; by default all"
    )
    one.add_argument(
        "--since", type=moment, metavar="DATE", help="copy only objects created since then (ISO 8601, UTC)"
    )
    one.add_argument("--rate", type=rate, default=RATE, metavar="N", help=f"at most N requests per second; {RATE:.0f}")
    one.add_argument(
        "--owner-reads",
        type=count,
        default=OWNER_READS,
        metavar="N",
        help=f"GETs of this run for lists that need an owner (cards, tax ids, …); {OWNER_READS:,}",
    )
    one.add_argument(
        "--restart",
        action="store_true",
        help="start again from the beginning, even if the last backfill was not finished",
    )


def run(given: argparse.Namespace) -> int:
    """Copy, and show the progress."""
    from stripe_mongo_sync.sync.runs.backfill import backfill
    from stripe_mongo_sync.sync.stripe.throttle import Throttle

    patience, before = Throttle(given.rate), log.level
    log.setLevel(logging.WARNING)  # one line per object would bury the warnings
    try:
        with Progress(sys.stderr) as progress:
            whole = backfill(
                given.types,
                since=given.since,
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


def moment(text: str) -> int:
    """Return the Unix time of an ISO date or time, which is UTC unless it names a zone."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a date, like 2026-01-31, or a time, like 2026-01-31T12:00") from error
    return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp())
