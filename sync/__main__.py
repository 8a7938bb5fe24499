"""The commands: `python -m sync reconcile | status | operations | new-installation`.

Exit codes are the same everywhere: 0 in order, 1 needs an operator, 2 could not look (or was not told how).
"""

import argparse
import json
import logging
import signal
import sys
import threading
from typing import Any

from pymongo.errors import PyMongoError

from models.event import EventState
from models.state import State
from sync import operations
from sync.connection import connect
from sync.errors import BadSettings, NotFound, SyncError
from sync.reconcile import Report, run_once
from sync.status import status

NEEDS_OPERATOR, CANNOT_LOOK = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("stripe").setLevel(logging.WARNING)  # its own log would show request bodies
    try:
        connect()
        code: int = given.run(given)
    except BadSettings as error:
        print("cannot start:", *error.problems, sep="\n  ", file=sys.stderr)
        return CANNOT_LOOK
    except PyMongoError as error:
        print(f"MongoDB does not answer: {type(error).__name__}", file=sys.stderr)
        return CANNOT_LOOK
    except SyncError as error:
        print(error, file=sys.stderr)
        return NEEDS_OPERATOR if isinstance(error, NotFound | operations.NotPossible) else CANNOT_LOOK
    return code


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    root = argparse.ArgumentParser(prog="python -m sync", description="Keep Stripe and MongoDB as one.")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    reconcile = commands.add_parser("reconcile", help="settle whatever is left")
    reconcile.add_argument("--full", action="store_true", help="compare every object, too")
    reconcile.add_argument("--every", type=seconds, metavar="SECONDS", help="go on until SIGTERM")
    reconcile.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    reconcile.set_defaults(run=_reconcile)

    show = commands.add_parser("status", help="tell what is pending, stuck, drifted or in review")
    show.set_defaults(run=_status)

    work = commands.add_parser("operations", help="settle by hand what needs a person")
    work.set_defaults(run=_operations)
    verbs = work.add_subparsers(required=True, metavar="ACTION", dest="action")
    verbs.add_parser("list", help="every document that is pending, has twins, or is in review; every dead event")
    for name, told in operations.ACTIONS.items():
        one = verbs.add_parser(name, help=(told.__doc__ or "").splitlines()[0])
        one.add_argument("id", help="the id of the document, or of an event")
        if name == "link":
            one.add_argument("stripe_id", help="the id of the Stripe object")
    verbs.add_parser("confirm", help="release the brakes after a run met its cap of undos and deletions")

    renew = commands.add_parser("new-installation", help="give a cloned database an identity of its own")
    renew.set_defaults(run=_new_installation)

    for command in (reconcile, show, *verbs.choices.values()):
        command.add_argument("--json", action="store_true", help="print JSON")
    return root


def seconds(text: str) -> float:
    """Return a number of seconds above zero."""
    value = float(text)
    if not 0 < value < 10**7:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return value


def _reconcile(given: argparse.Namespace) -> int:
    if given.every is None:
        report = run_once(full=given.full, dry=given.dry_run)
        _say(given, report.as_json(), str(report))
        return report.exit_code
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        report = _run_survivable(given)
        if given.json or report.exit_code or any(report.counts.values()):  # a run that did nothing says nothing
            _say(given, report.as_json(), str(report))
        stop.wait(given.every)
    return 0


def _run_survivable(given: argparse.Namespace) -> Report:
    try:
        return run_once(full=given.full, dry=given.dry_run)
    except PyMongoError as error:  # the next round may find it back
        return Report(unseen=[f"MongoDB does not answer: {type(error).__name__}"])


def _status(given: argparse.Namespace) -> int:
    found = status()
    _say(given, found.as_json(), str(found))
    return found.exit_code


def _operations(given: argparse.Namespace) -> int:
    if given.action == "list":
        found = operations.listed()
        _say(given, found, "\n".join(operations.line(one) for one in found) or "nothing is pending")
    elif given.action == "confirm":
        operations.confirm()
        _say(given, {"confirmed": True}, "the brakes are released")
    else:
        extra = [given.stripe_id] if given.action == "link" else []
        one = operations.shown(operations.ACTIONS[given.action](given.id, *extra))
        _say(given, one, operations.line(one))
        return NEEDS_OPERATOR if one["review"] or one["status"] == EventState.DEAD else 0
    return 0


def _new_installation(given: argparse.Namespace) -> int:
    print(f"this database is now the installation {State.renew_installation()}; restart every process of it")
    return 0


def _say(given: argparse.Namespace, data: Any, text: str) -> None:
    print(json.dumps(data, default=str) if given.json else text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
