"""While `python -m sync` starts, a signal ends it: imports take a second, and process 1 is sent no signal untaken."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from stripe_mongo_sync.sync.process.stop import ENDS


def begun(arguments: list[str], whole: list[str]) -> bool:
    """Whether Python looks for us, to run us: then its arguments begin with `-m`, and not yet with a path.

    A program that imports us while it starts itself, with `-m` too, has signals of its own.
    """
    return arguments[:1] == ["-m"] and whole[-len(arguments)].removeprefix("-m") == "sync"


def _end(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(2)  # could not look


if begun(sys.argv, sys.orig_argv):
    for each in ENDS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _end)
