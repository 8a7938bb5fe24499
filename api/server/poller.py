"""The connections that wait at the poller, where each costs one file descriptor, and no thread.

A client that is silent, sends its head or a small body slowly, does not take its response or does not hang up waits
here, for a few seconds. If there is no room for a new connection, one of those is closed. `gthread`, whose loop this
uses, has no such limits: 16 silent connections block a service with 16 threads.
"""

import errno
import resource
import selectors
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from stripe_mongo_sync.api.server.connection import Connection, Place

HEAD = 5.0  # s from accepting a connection until the head of its request is complete
COMING = 5.0  # s until a small body is complete
QUIET = 1.0  # s of silence, after which a connection is closed for a new one before any that has sent something
ANSWER = 30.0  # s until the client has taken the whole response
CLOSING = 2.0  # s for the client to hang up: if it is cut off while it still sends, it may lose the response
SPARE = 200  # file descriptors for MongoDB, Stripe, and files that are open anyway
BREATH = 0.05  # s until the next accept, when this machine has no free file descriptor


class Poller(ThreadWorker):
    """The part of the worker that waits. Only the main thread runs it, so no lock is needed."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.worker_connections: int = self.cfg.worker_connections
        self.heads, self.bodies, self.idle = Place(HEAD), Place(COMING), Place(self.cfg.keepalive)
        self.answers, self.closing = Place(ANSWER), Place(CLOSING)
        self.places = [self.heads, self.idle, self.answers, self.closing, self.bodies]

    def on_readable(self, connection: Connection) -> None:
        """Read what has come on a connection, or its end."""
        raise NotImplementedError

    def init_process(self) -> None:
        """Raise this process's limit of file descriptors as far as it may, and limit the connections to that."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.worker_connections + SPARE
        if soft != resource.RLIM_INFINITY and soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            self.worker_connections = max(soft - SPARE, self.cfg.threads)
        super().init_process()

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
        self.wait(Connection(self.cfg, accepted, address, listener.getsockname()), self.heads)

    def _make_room(self) -> bool:
        """Close one connection: one that was answered or is silent, else one of the largest crowd, the longest waiting.

        So strangers who keep coming displace each other, not the few connections that are used again and again.
        """
        crowds = (self.idle, self.answers, self.heads, self.bodies)
        largest = max(crowds, key=lambda place: len(place.waiting))
        dropped = self.closing.first() or self.heads.first(waiting=QUIET) or largest.first()
        if dropped is not None:
            self.drop(dropped)
        return dropped is not None

    def wait(
        self,
        connection: Connection,
        place: Place,
        event: int = selectors.EVENT_READ,
        on: Callable[[Connection], None] | None = None,
    ) -> None:
        """Let a connection wait for an event or its deadline; waiting again at the same place keeps the deadline."""
        if connection.place is place:
            return
        self.leave(connection)
        connection.on, connection.place = on or self.on_readable, place
        place.waiting[connection] = time.monotonic() + place.seconds
        if connection.polled != event:
            self.unpoll(connection)
            connection.sock.setblocking(False)
            connection.polled = event
            self.poller.register(connection.sock, event, partial(self._on_event, connection))

    def _on_event(self, connection: Connection, _: Any) -> None:
        if connection.place is not None:  # else it was dropped while this event was under way
            self.go(connection, connection.on)

    def go(self, connection: Connection, on: Callable[[Connection], None]) -> None:
        """Call `on` with a connection; drop the connection if its client is gone."""
        try:
            on(connection)
        except OSError:
            self.drop(connection)

    def leave(self, connection: Connection) -> None:
        """Take a connection from its place; the poller goes on watching it."""
        if connection.place is not None:
            del connection.place.waiting[connection]
            connection.place = None

    def unpoll(self, connection: Connection) -> None:
        """Let the poller no longer watch a connection: a thread uses it, or nobody does."""
        if connection.polled:
            connection.polled = 0
            self.poller.unregister(connection.sock)

    def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self.leave(connection)
        self.unpoll(connection)
        self.nr_conns -= 1
        connection.close()

    def murder_pending(self) -> None:
        """End what is past its deadline; called in each round of the loop."""
        now = time.monotonic()
        for place in self.places:
            while place.waiting and (first := next(iter(place.waiting.items())))[1] <= now:
                self.go(first[0], place.late or self.drop)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all idle connections when the worker ends; until then `murder_pending` closes them one by one."""
        while force and self.idle.waiting:
            self.drop(next(iter(self.idle.waiting)))

    def _cap_keepalive(self, deadline: float) -> None:
        """Shorten the deadlines of silent connections when the worker stops."""
        for place in (self.heads, self.idle):
            place.seconds = min(place.seconds, STOP_KEEPALIVE_LINGER)
            place.waiting.update({each: min(until, deadline) for each, until in place.waiting.items()})
