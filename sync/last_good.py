"""The settings in force: gunicorn's master reads and checks them, and its workers inherit them.

The master reads them again for each new worker, after a SIGHUP or in place of one that ended. If the new ones have an
error, the previous ones stay in force, and the log and `/readyz` say why: an error in a setting ends no running
service. At the first start there are no previous ones, so gunicorn ends immediately with exit code 2.
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

RETRY_AFTER = 20.0  # s until an unreachable MongoDB is tried again: an attempt takes 5 s, for each worker
CHECK_TIMEOUT = 30.0  # s for the child that checks new settings: gunicorn's master waits for it, and does nothing else
UNREACHABLE = "MONGODB_URI names a MongoDB that cannot be reached, or does not let us in"
SIZE = 512  # bytes of the summary, which only names settings


class LastGood:
    """The settings as the master last accepted them. Each worker has a copy; only `slip` and `serves` are shared."""

    def __init__(self) -> None:
        self.settings: Settings | None = None  # None under another server, where create_app() reads them
        self._shared = mmap(-1, 1 + SIZE)  # one byte for `serves`, the rest for `slip`
        self._logged: list[str] = []
        self._unreachable = (("", ""), 0.0)  # the last unreachable MongoDB, and when to try it again

    @property
    def slip(self) -> str:
        """Name the settings that were refused at the last reading, if any; then the previous ones are in force."""
        return self._shared[1:].rstrip(b"\0").decode(errors="replace")

    @property
    def serves(self) -> bool:
        """Return whether a worker has begun to serve. From then on, no bad setting ends the service."""
        return self._shared[0] != 0

    def begins_to_serve(self) -> None:
        """Tell the master and all workers that one of them serves."""
        self._shared[0] = 1

    def begin(self) -> None:
        """Read the settings for the first time. Raises BadSettings."""
        from stripe_mongo_sync.sync.settings import Settings  # late: a worker class may first replace what this imports

        self.settings = Settings.from_environment(serve=True)

    def renew(self, complain: Callable[[str], Any]) -> None:
        """Read the settings again for a new worker. If they have errors, log these once, and keep the previous ones."""
        problems = self._read()
        names = ", ".join(dict.fromkeys(problem.split(" ")[0].rstrip(":") for problem in problems))
        slip = f"refused: {names}; the previous settings are in force, and the log says why" if problems else ""
        if problems and problems != self._logged:
            complain("the new settings are refused, and the previous ones stay in force: " + "; ".join(problems))
        self._logged, self._shared[1:] = problems, slip.encode()[:SIZE].ljust(SIZE, b"\0")

    def _read(self) -> list[str]:
        """Put the new settings in force and return nothing, or return their errors."""
        from stripe_mongo_sync.sync.errors import BadSettings
        from stripe_mongo_sync.sync.settings import Settings

        try:
            new = Settings.from_environment(serve=True)
        except BadSettings as error:
            return list(error.problems)
        except Exception as error:  # of any kind: the running service can continue
            return [f".env cannot be read ({type(error).__name__})"]
        place = (new.mongodb_uri, new.collection_prefix)
        new_place = self.settings is not None and (self.settings.mongodb_uri, self.settings.collection_prefix) != place
        if self.serves and new_place and self._unreachable[0] == place and time.monotonic() < self._unreachable[1]:
            return [UNREACHABLE]
        if self.serves and (new.hooks or new_place) and (wrong := _check_in_child(new, new_place=new_place)):
            self._unreachable = (place, time.monotonic() + RETRY_AFTER) if wrong == [UNREACHABLE] else self._unreachable
            return wrong
        self.settings = new
        return []


def _check_in_child(new: "Settings", *, new_place: bool) -> list[str]:
    """Return what is wrong with the modules of hooks, or with a MongoDB that differs from the previous one.

    A child process tries both, so that neither their code nor a connection stays in gunicorn's master.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, CHECK_TIMEOUT)
            os.write(writes, json.dumps(_problems(new, new_place=new_place))[: 64 * 1024].encode())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        said = pipe.read()
    with suppress(ChildProcessError):  # gunicorn may be first
        os.waitpid(child, 0)
    try:
        return list(json.loads(said))
    except ValueError:
        return [f"HOOKS ends the process that imports it, or takes longer than {CHECK_TIMEOUT:.0f} s"]


def _problems(new: "Settings", *, new_place: bool) -> list[str]:
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.connection import disconnect, open_database
    from stripe_mongo_sync.sync.errors import BadSettings, SyncError
    from stripe_mongo_sync.sync.notices.hooks import load

    if new_place:
        try:
            disconnect()
            open_database(new)
        except (SyncError, PyMongoError):
            return [UNREACHABLE]
    try:
        load(new.hooks)
    except BadSettings as error:
        return list(error.problems)
    except Exception as error:
        return [f"HOOKS cannot be imported ({type(error).__name__})"]
    return []


LAST_GOOD = LastGood()
