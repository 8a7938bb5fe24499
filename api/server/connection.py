"""A connection as the worker has it: its socket, what came of its next request, and where it waits.

What reads the socket has a deadline, and what writes to it never waits: the rest of an answer is sent when it is taken.
"""

import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn

from stripe_mongo_sync.api.server.bulkhead import LARGEST, Kind


class Client(socket.socket):
    """The socket of a connection, whichever side is slow."""

    until = 0.0  # when a thread that reads it gives up
    unsent: deque[memoryview]

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next bytes; raise NoMoreData, which gunicorn passes over without a word, when time is up."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise NoMoreData
        self.settimeout(left)
        try:
            return super().recv(size, flags)
        except TimeoutError as error:
            raise NoMoreData from error

    def take(self) -> bytes | None:
        """Return what is there, b"" at the end, None where there is nothing yet."""
        try:
            return super().recv(LARGEST)
        except BlockingIOError:
            return None

    def send(self, data: Any, flags: int = 0) -> int:
        """As `sendall`: gunicorn sends its "100 Continue" so."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send what the other side takes now, and keep the rest."""
        self.unsent.append(memoryview(data))
        if len(self.unsent) == 1:
            self.push()

    def push(self) -> bool:
        """Send more of the rest; return whether all is sent."""
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
    """A connection, with what came of its next request."""

    def __init__(self, cfg: Any, accepted: socket.socket, address: Any, server: Any) -> None:
        client = Client(accepted.family, accepted.type, accepted.proto, accepted.detach())
        client.unsent = deque()
        super().__init__(cfg, client, address, server)
        self.came = bytearray()
        self.drained = 0
        self.kind = Kind.PROBE
        self.stays = False  # after this answer
        self.since = 0.0  # when it began to wait for a thread
        self.place: Place | None = None


@dataclass
class Place:
    """Where connections wait at the poller for the same thing, each with its deadline, who waits longest first."""

    seconds: float
    waiting: dict[Connection, float] = field(default_factory=dict)

    def first(self, waiting: float = 0.0) -> Connection | None:
        """Return who waits longest, if that is long enough."""
        for connection, until in self.waiting.items():
            return connection if until - self.seconds + waiting <= time.monotonic() else None
        return None
