"""A terminal that a test reads: a real one of the system's, of a given width and encoding."""

import fcntl
import io
import os
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Terminal:
    """What was shown on a terminal."""

    def __init__(self) -> None:
        self.raw = b""

    def lines(self, encoding: str = "utf-8") -> list[str]:
        """Return the lines, as they are seen: with their styles."""
        return self.raw.decode(encoding).replace("\r\n", "\n").splitlines()


@contextmanager
def terminal(patched: pytest.MonkeyPatch, width: int = 80, encoding: str = "utf-8") -> Iterator[Terminal]:
    """Let this process print to a terminal while the block runs; `lines` are complete after it."""
    for name in ("COLUMNS", "NO_COLOR"):
        patched.delenv(name, raising=False)
    patched.setenv("TERM", "xterm")
    shown, (leader, follower) = Terminal(), os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def read() -> None:
        while True:
            try:
                part = os.read(leader, 65_536)
            except OSError:  # nobody can write to it any more
                return
            if not part:
                return
            shown.raw += part

    reading = threading.Thread(target=read)
    reading.start()
    stream = io.TextIOWrapper(io.FileIO(follower, "w"), encoding=encoding, write_through=True)
    try:
        with patched.context() as inner:
            inner.setattr(sys, "stdout", stream)
            yield shown
    finally:
        stream.close()
        reading.join()
        os.close(leader)
