"""While `python -m sync` starts, a signal ends it: imports take a second, and process 1 is sent no signal untaken."""

import os
import signal
import sys
from types import FrameType

from sync.stop import ENDS


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"stopped\n")
    os._exit(2)  # could not look


if sys.argv[:1] == ["-m"]:  # so Python says that it looks for what to run; whoever imports us has signals of their own
    for each in ENDS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _end)
