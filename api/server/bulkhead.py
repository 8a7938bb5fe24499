"""Which thread a request may take: each kind has threads of its own, and a kind that waits holds none of another's.

A slow Stripe holds the threads of calls that write, a MongoDB that hangs those of whatever asks it, large bodies their
own; and the probes have two, whatever happens. A short burst waits for its turn. Only where no thread of a kind came
free for PATIENCE is the rest answered 503 at once: whoever waited on would hear the same later.
"""

import re
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

LARGEST = 64 * 1024  # bytes of a head, and of a body that is awaited without a thread: nearly every event fits
PROBES = 2  # threads for them: one may wait for MongoDB, and the other answers
PATIENCE = 2.0  # s without a free thread: longer than a usual answer of Stripe's, shorter tha MongoDB's 5 s
LONGEST = 8.0  # s that a request may wait for its turn however fast the others are: then Stripe has given up, too

END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,10})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
KNOCKS = re.compile(rb"\r\n(?:stripe-signature|authorization):", re.IGNORECASE)  # all others are refused as they are
EXPECTS = re.compile(rb"\r\nexpect:", re.IGNORECASE)  # it sends nothing more until it is told to


class Arrival(Enum):
    """How much of a request is there."""

    BEGINNING = "the head is not whole"
    COMING = "the head is whole, and the body small enough to be awaited"
    PART = "the head is whole, and a thread has to read the rest"
    WHOLE = "all of it"


class Kind(Enum):
    """What a request may have to wait for."""

    PROBE = "probes"
    BODY = "large bodies that come slowly"
    WEBHOOK = "webhooks"
    WRITE = "calls that write"
    READ = "calls that read"


def arrival(data: bytes | bytearray) -> Arrival:
    """Return how much of a request these bytes are. What is not understood is the parser's: it is `PART`."""
    end = data.find(END)
    if end < 0:
        return Arrival.BEGINNING
    head, body = bytes(data[: end + 2]), len(data) - end - len(END)
    told = LENGTH.search(head)
    length = int(told[1]) if told else 0
    chunked = CHUNKED.search(head) is not None
    if data.endswith(b"0" + END) and body if chunked else body >= length:
        return Arrival.WHOLE
    if length > LARGEST or body > LARGEST or not KNOCKS.search(head) or EXPECTS.search(head):
        return Arrival.PART
    return Arrival.COMING


def kind_of(data: bytes | bytearray, arrived: Arrival) -> Kind:
    """Return the kind of a request whose head is in these bytes."""
    if arrived is not Arrival.WHOLE:
        return Kind.BODY
    method, _, rest = bytes(data[: data.find(b"\r\n")]).partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path in (b"/healthz", b"/readyz"):
        return Kind.PROBE
    if path.rstrip(b"/").endswith(b"/webhooks/stripe"):
        return Kind.WEBHOOK
    return Kind.READ if method in (b"GET", b"HEAD", b"OPTIONS") else Kind.WRITE


@dataclass
class Bulkhead:
    """The threads of one kind, and the connections that wait for one. Only the worker's main thread knows of it."""

    size: int
    busy: int = 0
    moved: float = field(default_factory=time.monotonic)  # when a thread was taken or came free
    waiting: deque[Any] = field(default_factory=deque)

    def takes(self) -> bool:
        """Take a thread if there is one."""
        if self.busy >= self.size:
            return False
        self.busy, self.moved = self.busy + 1, time.monotonic()
        return True

    def frees(self) -> None:
        """Give a thread back."""
        self.busy, self.moved = self.busy - 1, time.monotonic()

    def is_stuck(self) -> bool:
        """Whether none of its threads came free for so long that it makes no sense to wait."""
        return self.busy >= self.size and time.monotonic() - self.moved > PATIENCE


def bulkheads(threads: int) -> dict[Kind, Bulkhead]:
    """Return those of a worker: `threads` for each kind, and for probes as many as they need."""
    return {kind: Bulkhead(PROBES if kind is Kind.PROBE else threads) for kind in Kind}
