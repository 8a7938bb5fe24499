"""A connection of the worker: its socket, the received bytes of its next request, and the place where it waits.

Reads have a deadline, and writes never block: the rest of a response is sent when the client takes it.
"""

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn

from stripe_mongo_sync.api.server.bulkhead import LARGEST, Kind


class Client(socket.socket):
    """The socket of a connection; it blocks no thread beyond its deadline."""

    until = 0.0  # deadline for a thread that reads it
    unsent: deque[memoryview]

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next bytes; after the deadline raise NoMoreData, which gunicorn ignores silently."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise NoMoreData
        self.settimeout(left)
        try:
            return super().recv(size, flags)
        except TimeoutError as error:
            raise NoMoreData from error

    def take(self) -> bytes | None:
        """Return the bytes that have arrived, b"" at the end of the stream, or None if there are none yet."""
        try:
            return super().recv(LARGEST)
        except BlockingIOError:
            return None

    def send(self, data: Any, flags: int = 0) -> int:
        """Do as `sendall`: gunicorn sends its "100 Continue" by this method."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send what the client takes now, and keep the rest."""
        self.unsent.append(memoryview(data))
        if len(self.unsent) == 1:
            self.push()

    def push(self) -> bool:
        """Send more of the kept bytes; return whether all are sent."""
        if self.gettimeout() != 0.0:
            self.setblocking(False)
        while self.unsent:
            try:
                sent = super().send(self.unsent[0])
            except BlockingIOError:
                return False
            self.unsent[0] = self.unsent[0][sent:]
            if not self.unsent[0]:
                self.unsent.popleft()
        return True


class Connection(TConn):
    """A connection, with the received bytes of its next request."""

    def __init__(self, cfg: Any, accepted: socket.socket, address: Any, server: Any) -> None:
        client = Client(accepted.family, accepted.type, accepted.proto, accepted.detach())
        client.unsent = deque()
        super().__init__(cfg, client, address, server)
        self.came = bytearray()
        self.drained = 0
        self.kind = Kind.PROBE
        self.stays = False  # whether it stays open after this response
        self.since = 0.0  # when its request was whole, and began to wait for a thread
        self.place: Place | None = None
        self.polled = 0  # the event that the poller watches it for
        self.on: Callable[[Connection], None]  # what is done then
        self.work: Callable[[], bool]  # what a thread is to do


@dataclass
class Place:
    """The connections that wait at the poller for the same event, with their deadlines, the longest waiting first."""

    seconds: float
    late: Callable[[Connection], None] | None = None  # what is done after the deadline; else the connection is closed
    waiting: dict[Connection, float] = field(default_factory=dict)

    def first(self, waiting: float = 0.0) -> Connection | None:
        """Return the connection that waits longest, if it has waited for at least `waiting` seconds."""
        for connection, until in self.waiting.items():
            return connection if until - self.seconds + waiting <= time.monotonic() else None
        return None
