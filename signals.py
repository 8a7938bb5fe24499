"""Lets a signal end our programs while they start: imports take a second, and process 1 has no default handlers."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PROGRAMS = {"demo": 130, "emulator": 0}  # exit codes; sync/process/starting.py does this for the command line


def asked_for(names: Sequence[str], arguments: list[str], whole: list[str]) -> str | None:
    """Return the one of these modules that `python -m` is about to run; None if it runs anything else.

    While Python still searches for the module of `-m`, `sys.argv` begins with "-m" instead of a path. A child of
    `multiprocessing` has the arguments of its parent, which are not those that it was started with.
    """
    place = len(whole) - len(arguments)
    if arguments[:1] != ["-m"] or place < 0 or whole[place + 1 :] != arguments[1:]:
        return None
    name = whole[place].removeprefix("-m")
    return name if name in names else None


def end_while_starting(code: int) -> None:
    """Let signals end this process with `code`, except for ignored ones, until the program sets its own handlers."""

    def end(number: int, frame: FrameType | None) -> None:
        with suppress(OSError):
            os.write(2, b"stopped\n")
        os._exit(code)

    for each in ENDS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, end)


for name, code in PROGRAMS.items():
    if asked_for((name, f"{__package__}.{name}"), sys.argv, sys.orig_argv):
        end_while_starting(code)
