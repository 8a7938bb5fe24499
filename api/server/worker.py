"""The gunicorn worker of this service: a connection holds a thread only while its request needs one.

An ordinary webhook needs none: the main thread reads it (`door.py`), and others write it. Any other request gets a
thread of its kind when it is whole; only a larger body is read by a thread, for at most BODY seconds.
"""

import gc
import logging
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from gunicorn.workers.base import Worker as Base

from stripe_mongo_sync.api.server.bulkhead import LARGEST, LONGEST, Arrival, Kind, arrival, bulkheads, kind_of
from stripe_mongo_sync.api.server.connection import Connection, Place
from stripe_mongo_sync.api.server.poller import Poller
from stripe_mongo_sync.sync.process.few import Few

if TYPE_CHECKING:
    from stripe_mongo_sync.api.server.door import Door, Webhook

BODY = 10.0  # s that a thread reads one body at most; Stripe has given up by then
TAKEN = 15.0  # s that an event may take to be stored; MongoDB is given up before
UNSENT = 64 * 1024 * 1024  # bytes of all responses together that clients have not taken
DRAINED = 8 * 1024 * 1024  # bytes that are read and discarded from a client that still sends after the response
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Worker(Poller):
    """The worker of this module. Only `handle` and `_receive` run in threads; the main thread does the rest."""

    alive: bool

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.bulkheads = bulkheads(self.cfg.threads)
        self.few = Few(self.log)
        self.door: Door | None = None
        self.outcomes: deque[Callable[[], None]] = deque()
        self.woken = False
        self.keeps = bool(self.cfg.keepalive)  # read once: gunicorn looks each of its settings up in a table of all
        self.busy: Callable[[], bytes] = bytes
        self.count_busy: Callable[..., None] = lambda **told: None
        self.late: Callable[[], bytes] = bytes
        self.bodies.late = lambda connection: self._answer(connection, self.late())
        self.taken = Place(TAKEN, lambda connection: self._answer(connection, self.busy()))
        self.places.append(self.taken)

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return one pool with the threads of all kinds; the bulkheads limit each kind."""
        return ThreadPoolExecutor(sum(bulkhead.size for bulkhead in self.bulkheads.values()))

    def init_process(self) -> None:
        """Limit the lines that strangers cause in gunicorn's log, and begin."""
        logging.getLogger("gunicorn.error").addFilter(self.few.of_strangers)
        super().init_process()

    def init_signals(self) -> None:
        """Ignore SIGINT: a terminal sends Ctrl-C to the master, too, which then signals each worker once."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End now, without the thread pool's `shutdown`: its lock may be held by the main thread, which runs this."""
        Base.handle_quit(self, sig, frame)

    def load_wsgi(self) -> None:
        """Load the application, its door, and the responses that are sent without it."""
        super().load_wsgi()
        from stripe_mongo_sync.api.errors import busy, late  # not before the fork
        from stripe_mongo_sync.api.server.door import door_of
        from stripe_mongo_sync.sync.metrics import count_busy

        self.busy, self.late, self.door = busy, late, door_of(self.wsgi, self.cfg)
        self.count_busy = count_busy
        gc.freeze()  # what is loaded stays: the collector need not walk through it again and again

    # --- from the first byte to a thread ---

    def on_readable(self, connection: Connection) -> None:
        """Read what has come on a connection, or its end."""
        data = connection.sock.take()
        if data is None:
            return
        if not data:
            self.drop(connection)
            return
        connection.came += data
        self._look(connection)

    def _look(self, connection: Connection) -> None:
        """Take an ordinary webhook; of another request, check how much has arrived, and where it waits for the rest."""
        if self.door is not None and (webhook := self.door.read(connection.came)) is not None:
            self._take(connection, self.door, webhook)
            return
        arrived = arrival(connection.came)
        if arrived is Arrival.BEGINNING and len(connection.came) > LARGEST:
            self._answer(connection, TOO_LARGE)
        elif arrived is Arrival.BEGINNING:
            self.wait(connection, self.heads)
        elif arrived is Arrival.COMING:
            self.wait(connection, self.bodies)
        else:
            self._hand_over(connection, kind_of(connection.came, arrived), partial(self.handle, connection))

    def _hand_over(self, connection: Connection, kind: Kind, work: Callable[[], bool]) -> None:
        """Give a request a thread of its kind, let it wait for one, or refuse it with 503."""
        self.leave(connection)
        self.unpoll(connection)
        connection.kind, connection.work, connection.since = kind, work, time.monotonic()
        bulkhead = self.bulkheads[connection.kind]
        if bulkhead.takes():
            self._start(connection)
        elif bulkhead.is_stuck():
            self._refuse(connection)
        else:
            bulkhead.waiting.append(connection)

    def _start(self, connection: Connection) -> None:
        done = self.tpool.submit(connection.work)
        done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, connection, done))

    def _refuse(self, connection: Connection) -> None:
        reason = f"{connection.kind.value} hold all their threads, and wait: more of them are answered 503"
        self.few.warn(connection.kind.name, reason)
        self.count_busy(webhook=connection.kind is Kind.WEBHOOK, waited=time.monotonic() - connection.since)
        self.go(connection, partial(self._answer, answer=self.busy()))

    # --- an ordinary webhook ---

    def _take(self, connection: Connection, door: "Door", webhook: "Webhook") -> None:
        """Let the committer store an event, and its client wait for the answer."""
        del connection.came[: webhook.size]
        self.wait(connection, self.taken, on=self.unpoll)  # what it sends meanwhile is read when it is answered
        door.take(webhook, partial(self._on_outcome, connection, door, webhook))

    def _on_outcome(self, connection: Connection, door: "Door", webhook: "Webhook", outcome: object) -> None:
        """Note what became of an event, and wake the main thread once for all of a batch; any thread calls it."""
        self.outcomes.append(partial(self._reply, connection, door, webhook, outcome))
        if not self.woken:
            self.woken = True
            self.method_queue.defer(self._reply_to_all)

    def _reply_to_all(self) -> None:
        self.woken = False
        while self.outcomes:
            self.outcomes.popleft()()

    def _reply(self, connection: Connection, door: "Door", webhook: "Webhook", outcome: object) -> None:
        """Answer a webhook, unless its client has gone, or let a thread store the event alone."""
        if connection.place is not self.taken:
            return
        if outcome is None:
            self._hand_over(connection, Kind.WEBHOOK, partial(self._receive_alone, connection, door, webhook))
            return
        connection.stays = webhook.keeps and self._count()
        self.go(connection, partial(self._send, answer=door.answer(outcome, keeps=connection.stays)))

    # --- in a thread ---

    def _receive_alone(self, connection: Connection, door: "Door", webhook: "Webhook") -> bool:
        """Store an event alone, and answer; return whether the connection stays open."""
        outcome = door.receive_alone(webhook)
        keeps = webhook.keeps and self._count()
        with suppress(OSError):  # its client has gone
            connection.sock.sendall(door.answer(outcome, keeps=keeps))
            return keeps
        return False

    def _count(self) -> bool:
        """Count a request as gunicorn does; return whether its connection may stay open."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        return self.alive and self.keeps

    def handle(self, conn: Connection) -> Any:
        """Process a request. Only a thread for large bodies or uploads reads bytes that have not arrived yet."""
        conn.init()
        conn.data_ready = True
        conn.parser.unreader.unread(bytes(conn.came))
        conn.came = bytearray()
        conn.sock.until = time.monotonic() + BODY if conn.kind in (Kind.BODY, Kind.UPLOAD) else 0.0
        return super().handle(conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Return whether the connection can be used again: not if part of this request is still unread."""
        conn.sock.until = 0.0
        return keepalive and bool(conn.parser.finish_body())

    # --- from the answer to the end ---

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Give the thread to the next request of its kind, and let this connection continue."""
        bulkhead = self.bulkheads[conn.kind]
        bulkhead.frees()
        if bulkhead.waiting and bulkhead.takes():
            self._start(bulkhead.waiting.popleft())
        if not fs.cancelled() and (error := fs.exception()) is not None:
            self.log.error("a request ended in %s", type(error).__name__)
        conn.stays = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        self.go(conn, self._go_on)

    def _answer(self, connection: Connection, answer: bytes) -> None:
        """Answer without a thread, and close the connection."""
        connection.stays = False
        self._send(connection, answer)

    def _send(self, connection: Connection, answer: bytes) -> None:
        connection.sock.sendall(answer)
        self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """Wait until the client has taken the response, then for its next request or its end."""
        if connection.sock.unsent:
            self.wait(connection, self.answers, selectors.EVENT_WRITE, self._on_writable)
            while sum(len(part) for each in self.answers.waiting for part in each.sock.unsent) > UNSENT:
                self.drop(next(iter(self.answers.waiting)))
        elif connection.stays:
            if connection.parser is not None:
                connection.came += connection.parser.unreader.take_buffered()
            if connection.came:  # the next request came with this one
                self._look(connection)
            else:
                self.wait(connection, self.idle)
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            self.wait(connection, self.closing, on=self._on_closing)

    def _on_writable(self, connection: Connection) -> None:
        if connection.sock.push():
            self._go_on(connection)

    def _on_closing(self, connection: Connection) -> None:
        data = connection.sock.take()
        connection.drained += len(data or b"")
        if data == b"" or connection.drained > DRAINED:
            self.drop(connection)

    # --- in each round of the loop ---

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for the next event, but at most 0.1 s while requests wait for a thread."""
        pressing = any(bulkhead.waiting for bulkhead in self.bulkheads.values())
        super().wait_for_and_dispatch_events(min(timeout, 0.1) if pressing else timeout)
        if self.door is not None:
            self.door.commit()

    def murder_pending(self) -> None:
        """End what is past its deadline; called in each round of the loop."""
        super().murder_pending()
        now = time.monotonic()
        for bulkhead in self.bulkheads.values():
            while bulkhead.waiting and (bulkhead.is_stuck() or now - bulkhead.waiting[0].since > LONGEST):
                self._refuse(bulkhead.waiting.popleft())
