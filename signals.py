"""While a program of ours starts, a signal ends it: imports take a second, and process 1 is sent no signal untaken."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PROGRAMS = {"demo": 130, "emulator": 0}  # how they end; that of the command line is its own (sync/process/starting.py)


def asked_for(names: Sequence[str], arguments: list[str], whole: list[str]) -> str | None:
    """Return which of these modules `python -m` is about to run; None where it runs anything else.

    With `-m`, Python looks for the module: then its arguments begin with that, and not yet with a path.
    """
    name = whole[-len(arguments)].removeprefix("-m") if arguments[:1] == ["-m"] else None
    return name if name in names else None


def end_while_starting(code: int) -> None:
    """From now on let a signal end this process with `code`, unless it was ignored; a program then takes its own."""

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
