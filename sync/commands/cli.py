"""The functions and argument types that the command lines of all commands share."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeAlias

from stripe_mongo_sync.sync.logs import one_line
from stripe_mongo_sync.sync.process.screen import in_json, tell

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
NEEDS_OPERATOR, CANNOT_CHECK = 1, 2


class Line(argparse.ArgumentParser):
    """A command line whose errors are one line, even if the arguments that they quote are several."""

    def error(self, message: str) -> NoReturn:
        """Print the error, and exit with 2."""
        super().error(one_line(message))


def command(
    commands: Commands,
    name: str,
    help: str,
    run: Callable[[argparse.Namespace], int],
    *,
    connects: bool = True,
    reads: bool = False,
) -> argparse.ArgumentParser:
    """Add a command that calls `run` and has the option `--json`; return its parser, for its other arguments.

    With `connects`, the process is connected to MongoDB and Stripe before `run` is called. A command that only `reads`
    may be stopped anywhere; the others say where (sync/process/stop.py).
    """
    added = commands.add_parser(name, help=help)
    added.add_argument("--json", action="store_true", help="print JSON")
    added.set_defaults(run=run, connects=connects, reads=reads)
    return added


def group(commands: Commands, name: str, help: str) -> Commands:
    """Add a command that consists of others, and return where to add those."""
    return commands.add_parser(name, help=help).add_subparsers(required=True, metavar="ACTION", dest="action")


def say(given: argparse.Namespace, data: Any, *lines: str) -> bool:
    """Print `data` with `--json`, else these lines; return False when the output is closed."""
    return tell(in_json(data)) if given.json else tell(*lines)


def seconds(text: str) -> float:
    """Return a number of seconds above zero."""
    value = float(text)
    if not 0 < value < 10**7:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return value


def count(text: str) -> int:
    """Return a whole number above zero."""
    value = int(text)
    if not 0 < value < 10**7:
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return value


def rate(text: str) -> float:
    """Return a number of requests a second above zero."""
    value = float(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("must be a number of requests a second above 0")
    return value


def moment(text: str) -> datetime:
    """Return the moment of an ISO date or time, which is UTC unless it names a zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be a date, 2026-11-23, or a time, 2026-11-23T18:00+01:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
