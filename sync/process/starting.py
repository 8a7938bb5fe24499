"""What the command line was started as; and while it starts, a signal ends it: process 1 is sent no signal untaken."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from stripe_mongo_sync.sync.process.stop import ENDS

SCRIPT = "stripe-mongo-sync"  # as it is installed: from anywhere
MODULES = ("sync", "stripe_mongo_sync.sync")  # the first in a checkout


def started_as(arguments: list[str], whole: list[str]) -> str | None:
    """Return how to start us, as it was done just now; None for a program of others, which has signals of its own.

    With `-m`, Python looks for us, to run us: then its arguments begin with that, and not yet with a path.
    """
    if arguments[:1] == ["-m"]:
        name = whole[-len(arguments)].removeprefix("-m")
        return f"python -m {name}" if name in MODULES else None
    return SCRIPT if arguments and os.path.basename(arguments[0]) == SCRIPT else None


def _end(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(2)  # could not look


STARTED_AS = started_as(sys.argv, sys.orig_argv)
PROGRAM = STARTED_AS or SCRIPT  # what messages name: the API's, too, which no command line started
if STARTED_AS:
    for each in ENDS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _end)
