"""Stop: a process that is asked to end finishes what it has in hand, says how to go on, and ends.

SIGTERM, SIGINT and SIGHUP ask. Whoever changes something says what is in hand (`STOP.in_hand()`), and where it may end
(`STOP.here()`); who only reads may be ended anywhere. A second signal ends the process there and then, which is safe as
well: it is as if it were killed. Nothing stops a process that serves: gunicorn has its own way.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stripe_mongo_sync.signals import ENDS


class Stopped(Exception):
    """Whoever runs this wants no more of it: the next run goes on."""


class Stop:
    """Whether this process was asked to end."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._finishes = False
        self._in_hand = 0

    @property
    def asked(self) -> bool:
        """Whether it was."""
        return self._asked.is_set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals meanwhile. Process 1 of a container is sent none that it does not take."""
        before = {}
        if threading.current_thread() is threading.main_thread():  # elsewhere, signals are somebody else's
            # What was ignored from the start stays ignored: that is what nohup is for, and a shell's background.
            taken = [number for number in ENDS if signal.getsignal(number) != signal.SIG_IGN]
            before = {number: signal.signal(number, self._take) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._asked.clear()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Meanwhile, end only where `here` says so; before and after, anywhere."""
        self._finishes = True
        try:
            yield
        finally:
            self._finishes = False

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Finish this, whatever is asked. Raises Stopped when it is finished, and nothing else is in hand."""
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1
        self.here()

    def ask(self) -> None:
        """Ask this process to end. Raises KeyboardInterrupt where it may end anywhere."""
        self._asked.set()
        if not self._finishes:
            raise KeyboardInterrupt

    def here(self) -> None:
        """Raise Stopped if it was asked to, unless something is in hand."""
        if self.asked and not self._in_hand:
            raise Stopped

    def give_up(self) -> None:
        """Raise Stopped if it was asked to, whatever is in hand: there is no end in sight for it."""
        if self.asked:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Let time pass, or raise Stopped; what is in hand waits no longer, so that it is soon finished."""
        self._asked.wait(seconds)
        self.here()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.ask()


STOP = Stop()
