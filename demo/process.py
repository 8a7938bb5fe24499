"""A process of the stack, in its own process group, from its start until it is stopped or killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from stripe_mongo_sync.demo.client import NoAnswer
from stripe_mongo_sync.sync.logs import one_line

START = 30.0  # seconds; one is usual, a loaded machine may need many
STOP = 10.0  # seconds for a clean end, before it is killed
POLL = 0.02  # seconds; on the critical path of the start, and a check costs little
LAST_WORDS = 15  # lines at the end of a log that are shown when its process ended


class Ended(RuntimeError):
    """A process of the stack ended by itself, or did not become ready."""


class Process:
    """`python -m …` in its own process group, with its output in a log file."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = [sys.executable, "-m", *arguments]
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id, which is also the id of its group."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise Ended(f"{self.name} is not running")
        return self._popen

    @property
    def running(self) -> bool:
        """Return whether it was started and not stopped. It may have died since: see `check`."""
        return self._popen is not None

    def start(self) -> None:
        """Start it in the directory of its log, so that it does not read the owner's `.env`."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                env=dict(self._environment),
                start_new_session=True,  # Ctrl-C reaches only the owner, which stops the others in order
            )

    def check(self) -> None:
        """Raise Ended, with the end of its log, if it died."""
        if self._popen and (code := self._popen.poll()) is not None:
            raise Ended(f"{self.name} ended with exit code {code}; it last said:\n{self.last_words()}")

    def stop(self) -> None:
        """Ask it to end, then kill its whole group. Stopping twice is harmless."""
        if self._popen:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP)
            self.kill()

    def kill(self, *, alone: bool = False) -> None:
        """Kill it by SIGKILL, with its children unless `alone`."""
        with suppress(ProcessLookupError):  # all may have ended already
            (os.kill if alone else os.killpg)(self.pid, signal.SIGKILL)
        self._running.wait()
        self._popen = None

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"    {one_line(line)}" for line in lines[-LAST_WORDS:])


def wait_until(ready: Callable[[], bool], process: Process) -> None:
    """Return as soon as it is ready; raise Ended if the process ends before, or takes longer than `START`."""
    deadline = time.monotonic() + START
    while True:
        process.check()
        try:
            if ready():
                return
        except (OSError, NoAnswer):
            pass  # not listening yet
        if time.monotonic() > deadline:
            raise Ended(f"{process.name} does not answer; it last said:\n{process.last_words()}")
        time.sleep(POLL)
