"""Bulkheads: each kind of request has threads of its own, so that a kind whose threads all wait blocks no other kind.

A slow Stripe occupies the threads of calls that write, a hanging MongoDB those of all requests that use it, large
bodies and uploads their own; the probes always have two. A short burst waits for its turn. If no thread of a kind came
free for STUCK_AFTER, further requests of that kind are answered 503 immediately: waiting longer would not help them.
"""

import re
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

LARGEST = 64 * 1024  # bytes of a head, and of a body that is awaited without a thread: nearly every event fits
PROBES = 2  # threads for probes: one may wait for MongoDB while the other answers
UPLOADS = 2  # threads for uploads, each of which may hold some megabytes while Stripe takes them
STUCK_AFTER = 2.0  # s without a free thread: longer than a usual answer of Stripe's, shorter than MongoDB's 5 s
LONGEST = 8.0  # s that a request may wait for its turn, however fast the others are: by then Stripe has given up

END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,10})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
HAS_CREDENTIALS = re.compile(rb"\r\n(?:stripe-signature|authorization):", re.IGNORECASE)  # others are refused unread
EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)  # the client sends its body only after a 100 Continue


class Arrival(Enum):
    """How much of a request has arrived."""

    BEGINNING = "the head is not whole"
    COMING = "the head is whole, and the body small enough to be awaited"
    PART = "the head is whole, and a thread has to read the rest"
    WHOLE = "all of it"


class Kind(Enum):
    """The kinds of requests that have threads of their own."""

    PROBE = "probes"
    BODY = "large bodies that come slowly"
    UPLOAD = "uploads"
    WEBHOOK = "webhooks"
    WRITE = "calls that write"
    READ = "calls that read"


def arrival(data: bytes | bytearray) -> Arrival:
    """Return how much of a request these bytes are; `PART` also if they are malformed, which the parser must refuse."""
    end = data.find(END)
    if end < 0:
        return Arrival.BEGINNING
    head, body = bytes(data[: end + 2]), len(data) - end - len(END)
    found = LENGTH.search(head)
    length = int(found[1]) if found else 0
    chunked = CHUNKED.search(head) is not None
    if data.endswith(b"0" + END) and body if chunked else body >= length:
        return Arrival.WHOLE
    if length > LARGEST or body > LARGEST or not HAS_CREDENTIALS.search(head) or EXPECTS.search(head):
        return Arrival.PART
    return Arrival.COMING


def kind_of(data: bytes | bytearray, arrived: Arrival) -> Kind:
    """Return the kind of a request whose head is in these bytes."""
    method, _, rest = bytes(data[: data.find(b"\r\n")]).partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method == b"POST" and path.endswith(b"/evidence"):
        return Kind.UPLOAD
    if arrived is not Arrival.WHOLE:
        return Kind.BODY
    if path in (b"/healthz", b"/readyz"):
        return Kind.PROBE
    if path.rstrip(b"/").endswith(b"/webhooks/stripe"):
        return Kind.WEBHOOK
    return Kind.READ if method in (b"GET", b"HEAD", b"OPTIONS") else Kind.WRITE


@dataclass
class Bulkhead:
    """The threads of one kind, and the connections that wait for one. Only the worker's main thread uses it."""

    size: int
    busy: int = 0
    moved: float = field(default_factory=time.monotonic)  # when a thread was taken or came free
    waiting: deque[Any] = field(default_factory=deque)

    def takes(self) -> bool:
        """Take a thread if one is free, and return whether one was."""
        if self.busy >= self.size:
            return False
        self.busy, self.moved = self.busy + 1, time.monotonic()
        return True

    def frees(self) -> None:
        """Give a thread back."""
        self.busy, self.moved = self.busy - 1, time.monotonic()

    def is_stuck(self) -> bool:
        """Return whether all threads are busy, and none came free for STUCK_AFTER."""
        return self.busy >= self.size and time.monotonic() - self.moved > STUCK_AFTER


def bulkheads(threads: int) -> dict[Kind, Bulkhead]:
    """Return the bulkheads of a worker, with `threads` for each kind, except for probes and uploads."""
    few = {Kind.PROBE: PROBES, Kind.UPLOAD: UPLOADS}
    return {kind: Bulkhead(few.get(kind, threads)) for kind in Kind}
