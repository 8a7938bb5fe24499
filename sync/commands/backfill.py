"""`python -m sync backfill`: copy an existing Stripe account into MongoDB."""

import argparse
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync.backfill import backfill
from sync.commands.line import CANNOT_LOOK, command, say
from sync.commands.progress import Progress
from sync.connection import log
from sync.patience import Patience

if TYPE_CHECKING:
    from sync.commands.line import Commands

RATE = 20.0  # requests a second: Stripe takes 25 in a sandbox and 100 live, and the shop needs some of them


def add(commands: "Commands") -> None:
    """Describe the command line."""
    one = command(commands, "backfill", "copy an existing Stripe account into MongoDB", run)
    one.add_argument("types", nargs="*", metavar="TYPE", help="customer, promotion-codes, …; by default all")
    one.add_argument("--since", type=moment, metavar="DATE", help="only what was created since then (ISO 8601, UTC)")
    one.add_argument("--rate", type=rate, default=RATE, metavar="N", help=f"requests a second at most; {RATE:.0f}")
    one.add_argument("--restart", action="store_true", help="begin anew, even if the last one was not finished")


def run(given: argparse.Namespace) -> int:
    """Backfill."""
    patience, progress = Patience(given.rate), Progress(sys.stderr)
    before = log.level
    log.setLevel(logging.WARNING)  # a line for each object would bury the others
    try:
        whole = backfill(given.types, since=given.since, restart=given.restart, patience=patience, note=progress.show)
    except KeyboardInterrupt:
        progress.end()
        print("stopped: the same command goes on from here", file=sys.stderr)
        return CANNOT_LOOK
    finally:
        log.setLevel(before)
    progress.end()
    say(given, {**whole.as_json(), "requests": patience.requests}, f"{whole}\n{patience.requests:,} requests to Stripe")
    return whole.exit_code


def moment(text: str) -> int:
    """Return the second of an ISO date or time; UTC, unless it says otherwise."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a date, like 2026-01-31, or a time, like 2026-01-31T12:00") from error
    return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp())


def rate(text: str) -> float:
    """Return a number of requests a second above zero."""
    value = float(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("must be a number of requests a second above 0")
    return value
