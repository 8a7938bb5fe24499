"""`stripe-mongo-sync reconcile`: settle whatever is left, once or every so many seconds."""

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import command, count, rate, say, seconds
from stripe_mongo_sync.sync.commands.progress_bar import Progress
from stripe_mongo_sync.sync.errors import BadSettings, SyncError
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.limits import OWNER_READS, RATE
from stripe_mongo_sync.sync.process.stop import STOP, Stopped

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.commands.cli import Commands
    from stripe_mongo_sync.sync.runs.reconcile import Report

UNTOLD = 5.0  # seconds: a run that is over by then has little to do, and shows no progress


def add(commands: "Commands") -> None:
    """Describe the command line."""
    reconcile = command(commands, "reconcile", "settle whatever is left", run, connects=False)
    reconcile.add_argument("--full", action="store_true", help="compare every object, too")
    reconcile.add_argument(
        "--owner-reads",
        type=count,
        default=OWNER_READS,
        metavar="N",
        help=f"with --full: GETs of a run for what is listed under its owner only (cards, tax ids, …); {OWNER_READS:,}",
    )
    reconcile.add_argument("--every", type=seconds, metavar="SECONDS", help="go on until SIGTERM")
    reconcile.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    told = f"requests to Stripe a second at most; {RATE:.0f}. Several at once: each its part"
    reconcile.add_argument("--rate", type=rate, default=RATE, metavar="N", help=told)


def run(given: argparse.Namespace) -> int:
    """Reconcile."""
    from stripe_mongo_sync.sync.library import connect

    if given.every is None:
        connect()
        report = _once(given)
        say(given, report.as_json(), str(report))
        return report.exit_code
    while not STOP.asked:
        report = _round(given)
        if given.json or report.exit_code or any(report.counts.values()):  # a run that did nothing says nothing
            say(given, report.as_json(), str(report))  # if nobody reads it, or the disk is full, the work goes on
        with suppress(Stopped):
            STOP.wait(given.every)
    return 0


def _round(given: argparse.Namespace) -> "Report":
    """Run once, whatever happens: the next round may find MongoDB back, or a document mended. Raises BadSettings."""
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.library import connect
    from stripe_mongo_sync.sync.runs.reconcile import Report

    try:
        connect()
        return _once(given)
    except BadSettings:
        raise
    except SyncError as error:
        return Report(unseen=[str(error)])
    except PyMongoError as error:
        return Report(unseen=[f"MongoDB does not answer: {type(error).__name__}"])
    except Exception as error:
        log.exception("this round broke off")
        return Report(unseen=[f"this round broke off: {type(error).__name__}"])


def _once(given: argparse.Namespace) -> "Report":
    from stripe_mongo_sync.sync.runs.reconcile import run_once
    from stripe_mongo_sync.sync.stripe.throttle import RUN_OUTAGE_AFTER, Throttle

    patience = Throttle(given.rate, retry_all=False, outage_after=RUN_OUTAGE_AFTER)
    with Progress(sys.stderr, after=UNTOLD) as progress:
        options = {"full": given.full, "dry": given.dry_run, "owner_reads": given.owner_reads}
        return run_once(**options, patience=patience, note=progress.show)
