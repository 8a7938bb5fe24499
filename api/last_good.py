"""The settings in force: gunicorn's master reads and checks them, and its workers have them from it.

They are read anew for each worker that is made, after a SIGHUP or in the place of another. Where they have a slip then,
the ones before stay in force, and the log and `/readyz` say why: a slip ends no running service. At the first start
there are none before, so it ends at once, with exit code 2.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.settings import Settings

AGAIN = 20.0  # s until it is looked for again: that takes 5 s, and would for each worker
TRIED = 30.0  # s that a child may take to try new settings: gunicorn's master, which waits for it, does nothing else
AWAY = "MONGODB_URI names a MongoDB that cannot be reached, or does not let us in"
SIZE = 512  # bytes; it names settings, so it is short


class LastGood:
    """What the master knows of the settings. A worker is its copy, except for `slip`, which all of them share."""

    def __init__(self) -> None:
        self.settings: Settings | None = None  # None where nobody checked them: whoever serves reads them itself
        self._shared = mmap(-1, 1 + SIZE)  # whether a worker has begun to serve, and the slip
        self._told: list[str] = []
        self._away = (("", ""), 0.0)  # the MongoDB that was not found last, and until when it is not looked for

    @property
    def slip(self) -> str:
        """Which of the settings that were read last are refused, so that those before are in force."""
        return self._shared[1:].rstrip(b"\0").decode(errors="replace")

    @property
    def serves(self) -> bool:
        """Whether a worker has begun to serve: from then on nothing ends the service but who is to end it."""
        return self._shared[0] != 0

    def begins_to_serve(self) -> None:
        """Let all of them know."""
        self._shared[0] = 1

    def begin(self) -> None:
        """Read them for the first time. Raises BadSettings."""
        from stripe_mongo_sync.sync.settings import Settings  # late: a worker class may first replace what this imports

        self.settings = Settings.from_environment(serve=True)

    def renew(self, complain: Callable[[str], Any]) -> None:
        """Read them for one more worker; if they cannot be used, tell why, once, and leave all as it is."""
        problems = self._read()
        names = ", ".join(dict.fromkeys(problem.split(" ")[0].rstrip(":") for problem in problems))
        slip = f"refused: {names}; the ones before are in force, and the log says why" if problems else ""
        if problems and problems != self._told:
            complain("the new settings are refused, and the ones before stay in force: " + "; ".join(problems))
        self._told, self._shared[1:] = problems, slip.encode()[:SIZE].ljust(SIZE, b"\0")

    def _read(self) -> list[str]:
        """Put new settings in force; or return what is wrong with them."""
        from stripe_mongo_sync.sync.errors import BadSettings
        from stripe_mongo_sync.sync.settings import Settings

        try:
            new = Settings.from_environment(serve=True)
        except BadSettings as error:
            return list(error.problems)
        except Exception as error:  # whatever it is, the service that runs can go on
            return [f".env cannot be read ({type(error).__name__})"]
        place = (new.mongodb_uri, new.collection_prefix)
        moves = self.settings is not None and (self.settings.mongodb_uri, self.settings.collection_prefix) != place
        if self.serves and moves and self._away[0] == place and time.monotonic() < self._away[1]:
            return [AWAY]
        if self.serves and (new.hooks or moves) and (wrong := _check_in_child(new, moves=moves)):
            self._away = (place, time.monotonic() + AGAIN) if wrong == [AWAY] else self._away
            return wrong
        self.settings = new
        return []


def _check_in_child(new: "Settings", *, moves: bool) -> list[str]:
    """Return what is wrong with the modules of hooks, or with a MongoDB that is another than before.

    A child tries both: neither is this process's own.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, TRIED)
            os.write(writes, json.dumps(_problems(new, moves=moves))[: 64 * 1024].encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        said = told.read()
    with suppress(ChildProcessError):  # gunicorn may be first
        os.waitpid(child, 0)
    try:
        return list(json.loads(said))
    except ValueError:
        return [f"HOOKS ends the process that imports it, or takes longer than {TRIED:.0f} s"]


def _problems(new: "Settings", *, moves: bool) -> list[str]:
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.connection import disconnect, open_database
    from stripe_mongo_sync.sync.errors import BadSettings, SyncError
    from stripe_mongo_sync.sync.notices.hooks import load

    if moves:
        try:
            disconnect()
            open_database(new)
        except (SyncError, PyMongoError):
            return [AWAY]
    try:
        load(new.hooks)
    except BadSettings as error:
        return list(error.problems)
    except Exception as error:
        return [f"HOOKS cannot be imported ({type(error).__name__})"]
    return []


LAST_GOOD = LastGood()
