"""Waiting for MongoDB: a server connects in the background, and answers at once while MongoDB hangs."""

import threading
import time
from collections.abc import Callable

import pymongo
from pymongo.errors import NetworkTimeout, PyMongoError, ServerSelectionTimeoutError

from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.sync.errors import SyncError, Unavailable
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.fork import in_every_child

AGAIN = 1.0  # s between two attempts; an attempt that finds no server takes 5 s itself
FIRST = 20.0  # s that a start waits for its first attempt; gunicorn gives a worker 60
KEPT = 1.0  # s for which the result of a ping is used
ASKED = 2.0  # s that a ping may take
NOT_THERE = "MongoDB cannot be reached"
NOT_YET = "the first attempt to reach MongoDB has not ended"


class Connecting:
    """Tries to connect in a thread of its own until it succeeds. `why` is the reason of the last failure, then None."""

    def __init__(self, connect: Callable[[], object]) -> None:
        self.why: str | None = NOT_YET
        self._connect = connect
        self._begin_anew()
        in_every_child(self._begin_anew)

    def _begin_anew(self) -> None:
        """Reset the thread and the lock, because a forked child has none of its parent's threads."""
        self._tried, self._starting = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, wait: float = 0.0) -> None:
        """Start the thread unless it runs, and wait up to `wait` seconds for the end of its first attempt."""
        with self._starting:
            if self.why is not None and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="connecting", daemon=True)
                self._thread.start()
        self._tried.wait(wait)

    def _run(self) -> None:
        pause = threading.Event()
        while (why := self._attempt()) is not None:
            if why != self.why:
                log.error("not serving: %s", why)
            self.why = why
            self._tried.set()
            pause.wait(AGAIN)
        self.why = None
        self._tried.set()
        log.info("connected to MongoDB")

    def _attempt(self) -> str | None:
        """Connect; return None, or the reason of the failure without secrets, because callers see it."""
        try:
            self._connect()
        except Unavailable as error:
            log.debug("%s", error)
            return NOT_THERE
        except SyncError as error:
            return str(error)
        except Exception:  # of any kind: an operator can remove the cause, and the next attempt succeeds
            log.exception("cannot connect")
            return "this service cannot connect: its log says why"
        return None


class Pulse:
    """Whether MongoDB answers. One request at a time pings it; all others use the last result without waiting."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin_anew()
        in_every_child(self._begin_anew)

    def _begin_anew(self) -> None:
        """Reset the state, and replace a lock that a thread of the parent may hold."""
        self.lost = False  # whether a request got no answer, and MongoDB has not answered since
        self._answers, self._until = True, -1.0  # the last result, and until when it is used
        self._asking = threading.Lock()

    def beats(self) -> bool:
        """Return whether MongoDB answers, by a ping that is at most a second old."""
        if self._clock() >= self._until and self._asking.acquire(blocking=False):
            try:
                self._answers = answers()
                self._until = self._clock() + KEPT
                self.lost = self.lost and not self._answers
            finally:
                self._asking.release()
        return self._answers

    def failed(self, error: PyMongoError) -> None:
        """Record that a request got no answer of MongoDB: the next one pings first, and others do not wait."""
        if isinstance(error, NetworkTimeout | ServerSelectionTimeoutError):
            self.lost, self._answers, self._until = True, False, -1.0


def answers() -> bool:
    """Return whether MongoDB answers a ping."""
    try:
        with pymongo.timeout(ASKED):
            database().command("ping")
    except PyMongoError:
        return False
    return True
