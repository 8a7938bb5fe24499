"""`python -m sync reconcile`: settle whatever is left, once or every so many seconds."""

import argparse
import signal
import threading
from typing import TYPE_CHECKING

from pymongo.errors import PyMongoError

from sync.commands.line import command, say, seconds
from sync.reconcile import Report, run_once

if TYPE_CHECKING:
    from sync.commands.line import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    reconcile = command(commands, "reconcile", "settle whatever is left", run)
    reconcile.add_argument("--full", action="store_true", help="compare every object, too")
    reconcile.add_argument("--every", type=seconds, metavar="SECONDS", help="go on until SIGTERM")
    reconcile.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


def run(given: argparse.Namespace) -> int:
    """Reconcile."""
    if given.every is None:
        report = run_once(full=given.full, dry=given.dry_run)
        say(given, report.as_json(), str(report))
        return report.exit_code
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        report = _survivable(given)
        if given.json or report.exit_code or any(report.counts.values()):  # a run that did nothing says nothing
            say(given, report.as_json(), str(report))
        stop.wait(given.every)
    return 0


def _survivable(given: argparse.Namespace) -> Report:
    try:
        return run_once(full=given.full, dry=given.dry_run)
    except PyMongoError as error:  # the next round may find it back
        return Report(unseen=[f"MongoDB does not answer: {type(error).__name__}"])
