"""The gunicorn worker of this service: a connection holds a thread only while its request is processed.

A client that is silent, sends its head or a small body slowly, does not take its response or does not hang up waits at
the poller for a few seconds, where it costs one file descriptor. If there is no room for a new connection, the one
that has waited longest is closed. Only a larger body is read by a thread, for at most BODY seconds. `gthread`, whose
loop and parser this uses, has no such limits: 16 silent connections block a service with 16 threads.
"""

import errno
import logging
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

from gunicorn.workers.base import Worker as Base
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from stripe_mongo_sync.api.server.bulkhead import LARGEST, LONGEST, Arrival, Kind, arrival, bulkheads, kind_of
from stripe_mongo_sync.api.server.connection import Connection, Place
from stripe_mongo_sync.sync.process.few import Few

HEAD = 5.0  # s from accepting a connection until the head of its request is complete
COMING = 5.0  # s until a small body is complete
QUIET = 1.0  # s of silence, after which a connection is closed for a new one before any that has sent something
BODY = 10.0  # s that a thread reads one body at most; Stripe has given up by then
ANSWER = 30.0  # s until the client has taken the whole response
CLOSING = 2.0  # s for the client to hang up: if it is cut off while it still sends, it may lose the response
UNSENT = 64 * 1024 * 1024  # bytes of all responses together that clients have not taken
DRAINED = 8 * 1024 * 1024  # bytes that are read and discarded from a client that still sends after the response
SPARE = 200  # file descriptors for MongoDB, Stripe, and files that are open anyway
BREATH = 0.05  # s until the next accept, when this machine has no free file descriptor
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Worker(ThreadWorker):
    """The worker of this module. Only `handle` runs in threads; the main thread does the rest, so no lock is needed."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.worker_connections: int = self.cfg.worker_connections
        self.bulkheads = bulkheads(self.cfg.threads)
        self.heads, self.bodies, self.idle = Place(HEAD), Place(COMING), Place(self.cfg.keepalive)
        self.answers, self.closing = Place(ANSWER), Place(CLOSING)
        self.few = Few(self.log)
        self.busy: Callable[[], bytes] = bytes
        self.late: Callable[[], bytes] = bytes

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return one pool with the threads of all kinds; the bulkheads limit each kind."""
        return ThreadPoolExecutor(sum(bulkhead.size for bulkhead in self.bulkheads.values()))

    def init_process(self) -> None:
        """Raise this process's limit of file descriptors as far as it may, and limit the connections to that."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.worker_connections + SPARE
        if soft != resource.RLIM_INFINITY and soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self.worker_connections = max(soft - SPARE, self.cfg.threads)
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
        """Load the application, and the responses that are sent without it."""
        super().load_wsgi()
        from stripe_mongo_sync.api.app import busy, late  # not before the fork

        self.busy, self.late = busy, late

    # --- from the first byte to a thread ---

    def accept(self, listener: Any) -> None:
        """Accept a connection; if there is no room, first close the one that has waited longest."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                if not self._make_room():
                    time.sleep(BREATH)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        if self.nr_conns >= self.worker_connections - 1:
            self._make_room()
        self.nr_conns += 1
        self._wait(Connection(self.cfg, accepted, address, listener.getsockname()), self.heads)

    def _make_room(self) -> bool:
        """Close one connection: one that was answered or is silent, else one of the largest crowd, the longest waiting.

        So strangers who keep coming displace each other, not the few connections that are used again and again.
        """
        crowds = (self.idle, self.answers, self.heads, self.bodies)
        largest = max(crowds, key=lambda place: len(place.waiting))
        dropped = self.closing.first() or self.heads.first(waiting=QUIET) or largest.first()
        if dropped is not None:
            self._drop(dropped)
        return dropped is not None

    def _on_readable(self, connection: Connection) -> None:
        data = connection.sock.take()
        if data is None:
            return
        if not data:
            self._drop(connection)
            return
        connection.came += data
        self._look(connection)

    def _look(self, connection: Connection) -> None:
        """Check how much of a request has arrived, and let the poller or a thread wait for the rest."""
        arrived = arrival(connection.came)
        if arrived is Arrival.BEGINNING and len(connection.came) > LARGEST:
            self._answer(connection, TOO_LARGE)
        elif arrived is Arrival.BEGINNING:
            self._wait(connection, self.heads)
        elif arrived is Arrival.COMING:
            self._wait(connection, self.bodies)
        else:
            self._hand_over(connection, arrived)

    def _hand_over(self, connection: Connection, arrived: Arrival) -> None:
        """Give a request a thread of its kind, let it wait for one, or refuse it with 503."""
        self._leave(connection)
        connection.kind = kind_of(connection.came, arrived)
        bulkhead = self.bulkheads[connection.kind]
        if bulkhead.takes():
            self._start(connection)
        elif bulkhead.is_stuck():
            self._refuse(connection)
        else:
            connection.since = time.monotonic()
            bulkhead.waiting.append(connection)

    def _start(self, connection: Connection) -> None:
        done = self.tpool.submit(self.handle, connection)
        done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, connection, done))

    def _refuse(self, connection: Connection) -> None:
        reason = f"{connection.kind.value} hold all their threads, and wait: more of them are answered 503"
        self.few.warn(connection.kind.name, reason)
        self._go(connection, partial(self._answer, answer=self.busy()))

    # --- in a thread ---

    def handle(self, conn: Connection) -> Any:
        """Process a request. Only a thread for large bodies reads bytes that have not arrived yet."""
        conn.init()
        conn.data_ready = True
        conn.parser.unreader.unread(bytes(conn.came))
        conn.came = bytearray()
        conn.sock.until = time.monotonic() + BODY if conn.kind is Kind.BODY else 0.0
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
        self._go(conn, self._go_on)

    def _answer(self, connection: Connection, answer: bytes) -> None:
        """Answer without a thread, and close the connection."""
        connection.stays = False
        connection.sock.sendall(answer)
        self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        """Wait until the client has taken the response, then for its next request or its end."""
        if connection.sock.unsent:
            self._wait(connection, self.answers, selectors.EVENT_WRITE, self._on_writable)
            while sum(len(part) for each in self.answers.waiting for part in each.sock.unsent) > UNSENT:
                self._drop(next(iter(self.answers.waiting)))
        elif connection.stays:
            connection.came += connection.parser.unreader.take_buffered()
            if connection.came:  # the next request came with this one
                self._look(connection)
            else:
                self._wait(connection, self.idle)
        else:
            connection.sock.shutdown(socket.SHUT_WR)
            self._wait(connection, self.closing, on=self._on_closing)

    def _on_writable(self, connection: Connection) -> None:
        if connection.sock.push():
            self._go_on(connection)

    def _on_closing(self, connection: Connection) -> None:
        data = connection.sock.take()
        connection.drained += len(data or b"")
        if data == b"" or connection.drained > DRAINED:
            self._drop(connection)

    # --- at the poller ---

    def _wait(
        self,
        connection: Connection,
        place: Place,
        event: int = selectors.EVENT_READ,
        on: Callable[[Connection], None] | None = None,
    ) -> None:
        """Let a connection wait for an event or its deadline; waiting again at the same place keeps the deadline."""
        if connection.place is place:
            return
        self._leave(connection)
        connection.sock.setblocking(False)
        self.poller.register(connection.sock, event, partial(self._on_event, connection, on or self._on_readable))
        connection.place = place
        place.waiting[connection] = time.monotonic() + place.seconds

    def _on_event(self, connection: Connection, on: Callable[[Connection], None], _: Any) -> None:
        if connection.place is not None:  # else it was dropped while this event was under way
            self._go(connection, on)

    def _go(self, connection: Connection, on: Callable[[Connection], None]) -> None:
        """Call `on` with a connection; drop the connection if its client is gone."""
        try:
            on(connection)
        except OSError:
            self._drop(connection)

    def _leave(self, connection: Connection) -> None:
        if connection.place is not None:
            del connection.place.waiting[connection]
            connection.place = None
            self.poller.unregister(connection.sock)

    def _drop(self, connection: Connection) -> None:
        self._leave(connection)
        self.nr_conns -= 1
        connection.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for the next event, but at most 0.1 s while requests wait for a thread."""
        pressing = any(bulkhead.waiting for bulkhead in self.bulkheads.values())
        super().wait_for_and_dispatch_events(min(timeout, 0.1) if pressing else timeout)

    def murder_pending(self) -> None:
        """End what is past its deadline; called in each round of the loop."""
        now = time.monotonic()
        for place in (self.heads, self.idle, self.answers, self.closing, self.bodies):
            while place.waiting and (first := next(iter(place.waiting.items())))[1] <= now:
                if place is self.bodies:
                    self._go(first[0], partial(self._answer, answer=self.late()))
                else:
                    self._drop(first[0])
        for bulkhead in self.bulkheads.values():
            while bulkhead.waiting and (bulkhead.is_stuck() or now - bulkhead.waiting[0].since > LONGEST):
                self._refuse(bulkhead.waiting.popleft())

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all idle connections when the worker ends; until then `murder_pending` closes them one by one."""
        while force and self.idle.waiting:
            self._drop(next(iter(self.idle.waiting)))

    def _cap_keepalive(self, deadline: float) -> None:
        """Shorten the deadlines of silent connections when the worker stops."""
        for place in (self.heads, self.idle):
            place.seconds = min(place.seconds, STOP_KEEPALIVE_LINGER)
            place.waiting.update({each: min(until, deadline) for each, until in place.waiting.items()})
