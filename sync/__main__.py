"""The command line: `stripe-mongo-sync COMMAND`, in a checkout also `python -m sync COMMAND`. See `sync/commands/`.

A command prints only whole, escaped lines (sync/process/screen.py), and ends in order after a signal
(sync/process/stop.py).
"""

import sys
from argparse import Namespace
from contextlib import nullcontext

from stripe_mongo_sync.sync.commands import parser
from stripe_mongo_sync.sync.commands.cli import CANNOT_CHECK, NEEDS_OPERATOR
from stripe_mongo_sync.sync.errors import BadSettings, NotFound, NotPossible, SyncError
from stripe_mongo_sync.sync.logs import log, log_to_stderr
from stripe_mongo_sync.sync.process import screen
from stripe_mongo_sync.sync.process.starting import ONLY_LOOKS, STARTED_AS
from stripe_mongo_sync.sync.process.stop import STOP, Stopped


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    screen.opened()
    try:
        with STOP.listening():
            code = _run(_given(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        code = _stopped("stopped")
    except Stopped:
        code = _stopped("stopped between two rows: run the same command again to continue")
    finally:
        unsaid = screen.closed()
    if unsaid is not None:
        screen.tell(f"the output could not be written: {unsaid}", error=True)
        return CANNOT_CHECK
    return code


def _stopped(told: str) -> int:
    screen.tell(told, error=True)
    return CANNOT_CHECK


def _given(arguments: list[str]) -> Namespace:
    """Return the parsed command line. Exits with 2 if it is wrong, or not valid text."""
    line = parser()
    for argument in arguments:
        if not argument.isascii() and argument.encode(errors="replace").decode() != argument:
            line.error(f"not text: {argument}")
    given, more = line.parse_known_args(arguments)
    if more and not given.takes_more:
        line.error(f"unrecognized arguments: {' '.join(more)}")
    given.more = more
    return given


def _run(given: Namespace) -> int:
    log_to_stderr()
    token = ONLY_LOOKS.set(given.reads or getattr(given, "dry_run", False))
    try:
        if given.connects:
            if STARTED_AS and not sys.flags.safe_path:
                sys.path.append("")  # for HOOKS, as gunicorn and `python -m` do; last, so that it hides nothing
            from stripe_mongo_sync.sync.library import connect

            connect()
        with nullcontext() if given.reads else STOP.finishing():
            code: int = given.run(given)
    except BadSettings as error:
        screen.tell("cannot start:", *(f"  {problem}" for problem in error.problems), error=True)
        return CANNOT_CHECK
    except SyncError as error:
        screen.tell(str(error), error=True)
        return NEEDS_OPERATOR if isinstance(error, NotFound | NotPossible) else CANNOT_CHECK
    except Stopped:
        raise
    except Exception as error:
        from pymongo.errors import PyMongoError

        if isinstance(error, PyMongoError):
            screen.tell(f"MongoDB does not answer: {type(error).__name__}", error=True)
        else:
            log.exception("this command failed")  # the log shows where; the message, which may quote data, is left out
        return CANNOT_CHECK
    finally:
        ONLY_LOOKS.reset(token)
    return code


if __name__ == "__main__":
    sys.exit(main())
