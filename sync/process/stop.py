"""Stop: a process that is asked to end finishes its present work, prints how to continue, and ends.

SIGTERM, SIGINT and SIGHUP ask. Code that changes something marks its work (`STOP.in_hand()`) and the places where it
may end (`STOP.here()`); code that only reads may be ended anywhere. A second signal ends the process immediately, which
is as safe as a kill. A process that serves is not stopped here: gunicorn handles its signals.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stripe_mongo_sync.signals import ENDS


class Stopped(Exception):
    """This process was asked to end: the next run continues."""


class Stop:
    """Whether this process was asked to end."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._finishes = False
        self._in_hand = 0

    @property
    def asked(self) -> bool:
        """Whether this process was asked to end."""
        return self._asked.is_set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals while the block runs. Process 1 of a container gets only signals that it handles."""
        before = {}
        if threading.current_thread() is threading.main_thread():  # Python handles signals in no other
            # A signal that was ignored from the start stays ignored, for nohup and a shell's background jobs.
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
        """Let the process end only in `here` while the block runs; before and after it, anywhere."""
        self._finishes = True
        try:
            yield
        finally:
            self._finishes = False

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Finish this block even if asked to end. Raises Stopped after it, if nothing else is in hand."""
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
        """Raise Stopped if the process was asked to end, unless something is in hand."""
        if self.asked and not self._in_hand:
            raise Stopped

    def give_up(self) -> None:
        """Raise Stopped if the process was asked to end, even if something is in hand, which may take too long."""
        if self.asked:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Wait, or raise Stopped. When asked to end, work in hand stops waiting, so that it finishes soon."""
        self._asked.wait(seconds)
        self.here()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.ask()


STOP = Stop()
