"""The command line: `stripe-mongo-sync COMMAND`, in a checkout also `python -m sync COMMAND`. See `sync/commands/`.

A command prints only whole, escaped lines (sync/process/screen.py), and ends in order after a signal
(sync/process/stop.py).
"""

import sys
from contextlib import nullcontext
from typing import NoReturn

import click

from stripe_mongo_sync.sync.commands import ROOT
from stripe_mongo_sync.sync.commands.cli import CANNOT_CHECK, NEEDS_OPERATOR, Given
from stripe_mongo_sync.sync.commands.completion import completed
from stripe_mongo_sync.sync.errors import PROBLEMS, BadSettings, CannotReadStripe, NotFound, NotPossible, SyncError
from stripe_mongo_sync.sync.process import screen
from stripe_mongo_sync.sync.process.starting import ONLY_LOOKS, PROGRAM, STARTED_AS
from stripe_mongo_sync.sync.process.stop import STOP, Stopped


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Exits with 2 if the command line is wrong, or not valid text."""
    arguments = sys.argv[1:] if arguments is None else arguments
    failed = Failure("--json" in arguments)
    screen.opened()
    try:
        with STOP.listening():
            code = 0 if completed() else _run(_given(arguments), failed)
    except click.UsageError as error:
        failed.usage(error)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except KeyboardInterrupt:
        code = failed("stopped", "stopped")
    except Stopped:
        code = failed("stopped", "stopped between two rows: run the same command again to continue")
    finally:
        unsaid = screen.closed()
    if unsaid is not None:
        screen.tell(f"the output could not be written: {unsaid}", error=True)
        return CANNOT_CHECK
    return code


class Failure:
    """Tells why a command did not do what was asked: in lines, or with --json as the API does."""

    def __init__(self, json: bool) -> None:
        self.json = json

    def __call__(self, type: str, *lines: str, code: int = CANNOT_CHECK) -> int:
        """Tell why, and return the exit code."""
        if self.json:
            detail = " ".join([lines[0], "; ".join(line.strip() for line in lines[1:])]).strip()
            told = {"type": f"{PROBLEMS}{type}", "title": type.replace("-", " "), "detail": detail, "exit_code": code}
            screen.put(screen.in_json(told), error=True)
        else:
            first, *more = lines
            screen.tell(screen.Heading(first), *more, error=True)
        return code

    def usage(self, error: click.UsageError) -> NoReturn:
        """Tell what is wrong with a command line, and how it is meant; exit with 2. Without any argument, help."""
        context = error.ctx or ROOT.context_class(ROOT, info_name=PROGRAM, **ROOT.context_settings)
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            whole = context.parent is None
            if whole or not self.json:
                screen.show(f"{context.get_help()}\n", error=not whole)
                sys.exit(0 if whole else CANNOT_CHECK)
        message = " ".join(error.format_message().split())
        if not self.json:
            screen.show(f"{context.get_usage()}\nhelp: {context.command_path} --help\n", error=True)
            message = f"{context.command_path}: error: {message}"
        sys.exit(self("malformed", message))


def _context(arguments: list[str]) -> click.Context:
    width = min(screen.columns(sys.stdout) or screen.WIDTH, screen.WIDTH)
    return ROOT.make_context(PROGRAM, arguments, terminal_width=max(width - 2, 38))


def _given(arguments: list[str]) -> Given:
    """Return the parsed command line. Raises UsageError, also if it is not valid text."""
    for argument in arguments:
        if not argument.isascii() and argument.encode(errors="replace").decode() != argument:
            raise click.UsageError(f"not text: {argument}")
    with _context(arguments) as context:
        given: Given = ROOT.invoke(context)
    return given


def _run(given: Given, failed: Failure) -> int:
    from stripe_mongo_sync.sync import traces
    from stripe_mongo_sync.sync.logs import log, log_to_stderr
    from stripe_mongo_sync.sync.process.environment import logs_as_json

    log_to_stderr(as_json=logs_as_json())
    if given.command.name != "serve":  # it becomes another program, whose workers begin by themselves
        traces.begin()
    token = ONLY_LOOKS.set(given.command.reads or getattr(given, "dry_run", False))
    try:
        if given.command.connects:
            if STARTED_AS and not sys.flags.safe_path:
                sys.path.append("")  # for HOOKS, as gunicorn and `python -m` do; last, so that it hides nothing
            from stripe_mongo_sync.sync.library import connect

            connect()
        with nullcontext() if given.command.reads else STOP.finishing():
            code: int = given.command.run(given)
    except BadSettings as error:
        return failed("bad-settings", "cannot start:", *(f"  {problem}" for problem in error.problems))
    except CannotReadStripe as error:
        return failed(error.type, error.advised)
    except SyncError as error:
        code = NEEDS_OPERATOR if isinstance(error, NotFound | NotPossible) else CANNOT_CHECK
        return failed(error.type, str(error), code=code)
    except (Stopped, click.UsageError):
        raise
    except Exception as error:
        from pymongo.errors import PyMongoError

        from stripe_mongo_sync.models.base.input import Invalid

        if isinstance(error, Invalid):
            return failed(NotPossible.type, str(error), code=NEEDS_OPERATOR)
        if isinstance(error, PyMongoError):
            from stripe_mongo_sync.sync.database.outage import outage

            return failed("unavailable", outage(error))
        log.exception("this command failed")  # the log shows where; the message, which may quote data, is left out
        if given.json:
            return failed("error", f"This command failed ({type(error).__name__}): the log on stderr says where.")
        return CANNOT_CHECK
    finally:
        ONLY_LOOKS.reset(token)
    return code


if __name__ == "__main__":
    sys.exit(main())
