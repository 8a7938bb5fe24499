"""The committer: a queue of events of this process, which a few threads commit in batches.

Who brings an event commits it, together with what else waits, unless another thread does so already: then what arrives
while that one writes is the next batch. So a lone event waits for nobody, and no thread of ours is needed for it. After
a batch of several, as many more are awaited for a moment: whoever was answered sends the next one, and half-filled
batches cost nearly as much. The server does not wait for its events, and has a few threads that commit them (`work`).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stripe_mongo_sync.sync import metrics, traces
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.inbox.arrival import Arrival
from stripe_mongo_sync.sync.inbox.batch import commit
from stripe_mongo_sync.sync.inbox.inbox import receive_alone as _receive_alone
from stripe_mongo_sync.sync.process.fork import in_every_child

COMMITTING = 4  # threads that commit at once
ENOUGH = 32  # events that wait for another thread to begin while one commits: smaller batches cost more than they gain
PAUSE = 0.004  # s after a batch at most, in which as many events are awaited as it had
SLOW = 0.1  # s after which another thread begins with any number of them: one batch may wait for MongoDB
BATCH = 500  # events at most
QUEUE, QUEUE_BYTES = 10_000, 64 * 1024 * 1024  # that wait at most
LONGEST = 10.0  # s that an event may wait for its batch

Answer = str | None  # the state of the event, or None: it has to go alone


@dataclass(frozen=True)
class Waiting:
    """An event that waits to be committed; `done` is then called with its answer, or with the error that it met."""

    arrival: Arrival
    done: Callable[[Answer | BaseException], object]


class Committer:
    """The queue, and who commits it. Any thread may use it."""

    def __init__(self) -> None:
        self._begin_anew()
        in_every_child(self._begin_anew)

    def _begin_anew(self) -> None:
        """Drop what the parent of this process has to commit, and the lock that one of its threads may hold."""
        self._waiting: deque[Waiting] = deque()
        self._bytes = self._committing = 0
        self._began = 0.0  # when the newest batch began, by the monotonic clock
        self._last, self._ended = 0, 0.0  # how many events the batch had that ended last, and when it did
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()

    def put(self, *events: Waiting) -> None:
        """Queue events that arrived together. One that finds the queue full is answered Unavailable."""
        refused = []
        with self._changed:
            for each in events:
                if len(self._waiting) >= QUEUE or self._bytes + len(each.arrival.raw) > QUEUE_BYTES:
                    refused.append(each)
                    continue
                self._waiting.append(each)
                self._bytes += len(each.arrival.raw)
            self._changed.notify()
        metrics.count_webhooks((metrics.NOT_STORED, each.arrival.came) for each in refused)
        for each in refused:
            each.done(Unavailable("Too many events wait to be stored: send it again."))

    def work(self, threads: int) -> None:
        """Let so many threads of this process commit, for all who put events and do not wait themselves."""
        with self._changed:
            while len(self._threads) < threads:
                self._threads.append(threading.Thread(target=self._work, name="committing", daemon=True))
                self._threads[-1].start()

    def _work(self) -> None:
        while True:
            self.serve(lambda: False)

    def commit(self, arrival: Arrival) -> Answer:
        """Commit an event, and return its answer. Raises what its batch raised; Unavailable if it waits too long."""
        told: list[Answer | BaseException] = []
        self.put(Waiting(arrival, told.append))
        if not self.serve(lambda: bool(told)):
            raise Unavailable("MongoDB did not store the event in time: send it again.")
        if isinstance(told[0], BaseException):
            raise told[0]
        return told[0]

    def serve(self, enough: Callable[[], bool]) -> bool:
        """Commit what waits until `enough` says so; return False if there was nothing to do for `LONGEST` seconds."""
        while True:
            with self._changed:
                until = time.monotonic() + LONGEST
                while not (enough() or self._has_room()):
                    if (left := until - time.monotonic()) <= 0:
                        return False
                    self._changed.wait(min(left, self._pause() or SLOW) if self._waiting else left)
                if enough():
                    return True
                batch = self._next()
                self._committing += 1
                self._began = time.monotonic()
            try:
                with traces.span("commit a batch", events=len(batch)):
                    answers: list[Answer | BaseException] = [*commit([each.arrival for each in batch])]
            except BaseException as error:  # MongoDB is away: who waits would only be told so later
                with self._changed:
                    batch += self._next(len(self._waiting))
                answers = [error] * len(batch)
            _count(batch, answers)
            with self._changed:
                self._last, self._ended = len(batch), time.monotonic()
                self._committing -= 1  # first, so that no `done` that fails keeps its place for ever
                self._changed.notify_all()
                for each, answer in zip(batch, answers, strict=True):
                    each.done(answer)

    def _has_room(self) -> bool:
        if not self._waiting or self._pause():
            return False
        slow = time.monotonic() - self._began >= SLOW
        more = slow or len(self._waiting) >= ENOUGH
        return self._committing < (COMMITTING if more else min(COMMITTING, 1))

    def _pause(self) -> float:
        """Return for how many seconds more events are awaited; 0 if as many wait as the last batch had."""
        return max(0.0, self._ended + PAUSE - time.monotonic()) if len(self._waiting) < self._last else 0.0

    def _next(self, most: int = BATCH) -> list[Waiting]:
        batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._bytes -= sum(len(each.arrival.raw) for each in batch)
        return batch


def _count(batch: list[Waiting], answers: list[Answer | BaseException]) -> None:
    """Count a batch, once for all of it; what has to go alone is counted when it did."""
    with suppress(Exception):  # an event is answered, whatever its count meets
        metrics.count_batch(len(batch))
        metrics.count_webhooks(
            (metrics.NOT_STORED if isinstance(answer, BaseException) else answer, each.arrival.came)
            for each, answer in zip(batch, answers, strict=True)
            if answer is not None
        )


COMMITTER = Committer()


def receive(arrival: Arrival) -> str:
    """Apply an event whose signature was verified, and store it. Return its state, or `duplicate`.

    Stripe is read for seconds at most; what would take longer is left to reconcile. Raises PyMongoError or Unavailable
    when the event could not be stored, so that Stripe must send it again.
    """
    return COMMITTER.commit(arrival) or receive_alone(arrival)


def receive_alone(arrival: Arrival) -> str:
    """Do the same with an event that has to go alone."""
    state = metrics.NOT_STORED
    try:
        state = _receive_alone(arrival)
        return state
    finally:
        metrics.count_webhooks([(state, arrival.came)])
