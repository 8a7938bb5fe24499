"""`stripe-mongo-sync reconcile`: apply missed events and resolve unfinished documents, once or at an interval."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from stripe_mongo_sync.sync.commands.cli import Given, command, count, flag, rate, say, seconds
from stripe_mongo_sync.sync.errors import BadSettings, CannotReadStripe, SyncError
from stripe_mongo_sync.sync.process.limits import OWNER_READS, RATE
from stripe_mongo_sync.sync.process.stop import STOP, Stopped

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.runs.reconcile import Report

QUIET_FOR = 5.0  # seconds: a run that ends sooner has little to do, and shows no progress


@command(
    "reconcile",
    "apply missed events and resolve unfinished documents",
    connects=False,
    examples=("reconcile", "reconcile --every 5min", "reconcile --full --dry-run"),
)
@flag("--full", "compare every object with its document, too")
@click.option(
    "--owner-reads",
    type=count,
    default=OWNER_READS,
    show_default=True,
    metavar="N",
    help="with --full: GETs per run for lists that need an owner (cards, tax ids, ...)",
)
@click.option("--every", type=seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM: 300, 5min")
@flag("--dry-run", "show what a run would do, and write nothing")
@click.option(
    "--rate",
    type=rate,
    default=f"{RATE:.0f}",
    show_default=True,
    metavar="N",
    help="at most N requests to Stripe per second. Divide it among processes that run together",
)
def main(given: Given) -> int:
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


def _round(given: Given) -> "Report":
    """Run once and report any failure, because the next round may succeed. Raises BadSettings."""
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.database.outage import outage
    from stripe_mongo_sync.sync.library import connect
    from stripe_mongo_sync.sync.logs import log
    from stripe_mongo_sync.sync.runs.reconcile import Report

    try:
        connect()
        return _once(given)
    except BadSettings:
        raise
    except CannotReadStripe as error:
        return Report(unseen=[error.advised])
    except SyncError as error:
        return Report(unseen=[str(error)])
    except PyMongoError as error:
        return Report(unseen=[outage(error)])
    except Exception as error:
        log.exception("this run failed")
        return Report(unseen=[f"this run failed: {type(error).__name__}"])


def _once(given: Given) -> "Report":
    from stripe_mongo_sync.sync.commands.progress_bar import Progress
    from stripe_mongo_sync.sync.runs.reconcile import run_once
    from stripe_mongo_sync.sync.stripe.throttle import RUN_OUTAGE_AFTER, Throttle

    patience = Throttle(given.rate, retry_all=False, outage_after=RUN_OUTAGE_AFTER)
    with Progress(sys.stderr, after=QUIET_FOR) as progress:
        options = {"full": given.full, "dry": given.dry_run, "owner_reads": given.owner_reads}
        return run_once(**options, patience=patience, on_progress=progress.show)
