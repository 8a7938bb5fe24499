"""`stripe-mongo-sync reconcile`: apply missed events and resolve unfinished documents, once or at an interval."""

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import Commands, command, count, rate, say, seconds
from stripe_mongo_sync.sync.commands.progress_bar import Progress
from stripe_mongo_sync.sync.errors import BadSettings, SyncError
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.limits import OWNER_READS, RATE
from stripe_mongo_sync.sync.process.stop import STOP, Stopped

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.runs.reconcile import Report

QUIET_FOR = 5.0  # seconds: a run that ends sooner has little to do, and shows no progress


def add(commands: Commands) -> None:
    """Describe the command line."""
    reconcile = command(
        commands, "reconcile", "apply missed events and resolve unfinished documents", run, connects=False
    )
    reconcile.add_argument("--full", action="store_true", help="compare every object with its document, too")
    reconcile.add_argument(
        "--owner-reads",
        type=count,
        default=OWNER_READS,
        metavar="N",
        help=f"with --full: GETs per run for lists that need an owner (cards, tax ids, …); {OWNER_READS:,}",
    )
    reconcile.add_argument("--every", type=seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM")
    reconcile.add_argument("--dry-run", action="store_true", help="show what a run would do, and write nothing")
    told = f"at most N requests to Stripe per second; {RATE:.0f}. Divide it among processes that run together"
    reconcile.add_argument("--rate", type=rate, default=RATE, metavar="N", help=told)


def run(given: argparse.Namespace) -> int:
    """Run once, or until SIGTERM."""
    from stripe_mongo_sync.sync.library import connect

    if given.every is None:
        connect()
        report = _once(given)
        say(given, report.as_json(), *report.lines)
        return report.exit_code
    while not STOP.asked:
        report = _round(given)
        if given.json or report.exit_code or any(report.counts.values()):  # a run that did nothing prints nothing
            say(given, report.as_json(), *report.lines)  # a closed pipe or a full disk does not end the work
        with suppress(Stopped):
            STOP.wait(given.every)
    return 0


def _round(given: argparse.Namespace) -> "Report":
    """Run once and report any failure, because the next round may succeed. Raises BadSettings."""
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
        log.exception("this run failed")
        return Report(unseen=[f"this run failed: {type(error).__name__}"])


def _once(given: argparse.Namespace) -> "Report":
    from stripe_mongo_sync.sync.runs.reconcile import run_once
    from stripe_mongo_sync.sync.stripe.throttle import RUN_OUTAGE_AFTER, Throttle

    patience = Throttle(given.rate, retry_all=False, outage_after=RUN_OUTAGE_AFTER)
    with Progress(sys.stderr, after=QUIET_FOR) as progress:
        options = {"full": given.full, "dry": given.dry_run, "owner_reads": given.owner_reads}
        return run_once(**options, patience=patience, on_progress=progress.show)
