"""`python -m sync reconcile`: settle whatever is left, once or every so many seconds."""

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from pymongo.errors import PyMongoError

from sync.commands.line import command, rate, say, seconds
from sync.commands.progress import Progress
from sync.patience import BREAKS, RATE, Patience
from sync.progress import Note, Step, Stopped
from sync.reconcile import Report, run_once

if TYPE_CHECKING:
    from sync.commands.line import Commands

UNTOLD = 5.0  # seconds: a run that is over by then has little to do, and shows no progress


def add(commands: "Commands") -> None:
    """Describe the command line."""
    reconcile = command(commands, "reconcile", "settle whatever is left", run)
    reconcile.add_argument("--full", action="store_true", help="compare every object, too")
    reconcile.add_argument("--every", type=seconds, metavar="SECONDS", help="go on until SIGTERM")
    reconcile.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    told = f"requests to Stripe a second at most; {RATE:.0f}. Several at once: each its part"
    reconcile.add_argument("--rate", type=rate, default=RATE, metavar="N", help=told)


def run(given: argparse.Namespace) -> int:
    """Reconcile."""
    if given.every is None:
        report = _once(given, lambda step: None)
        say(given, report.as_json(), str(report))
        return report.exit_code
    stop = threading.Event()

    def go_on(step: Step) -> None:
        if stop.is_set():  # between two rows: nothing is left half done
            raise Stopped

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            report = _once(given, go_on)
        except PyMongoError as error:  # the next round may find it back
            report = Report(unseen=[f"MongoDB does not answer: {type(error).__name__}"])
        if given.json or report.exit_code or any(report.counts.values()):  # a run that did nothing says nothing
            say(given, report.as_json(), str(report))
        stop.wait(given.every)
    return 0


def _once(given: argparse.Namespace, go_on: Note) -> Report:
    patience = Patience(given.rate, stubborn=False, lasts=BREAKS)
    with Progress(sys.stderr, after=UNTOLD) as progress:

        def note(step: Step) -> None:
            progress.show(step)
            go_on(step)

        return run_once(full=given.full, dry=given.dry_run, patience=patience, note=note)
