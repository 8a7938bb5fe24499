"""A siege: strangers who send a body byte by byte, and others who are silent, for as long as a block takes.

Whom the service sends away is back within a second. It is a process of its own, so that it slows no measuring one.
"""

import multiprocessing
import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from urllib.parse import urlsplit

SILENT, SLOW = 2_000, 200
BEGIN = 60.0  # s until all of them have come
EVERY = 0.5  # s from one byte of a slow body to the next, and until a stranger comes back
HEAD = b"POST /webhooks/stripe HTTP/1.1\r\nHost: here.com\r\nStripe-Signature: t=1,v1=00\r\nContent-Length: %d\r\n\r\n{"
SIZES = (900, 900_000)  # a body that is awaited at the poller, and one that a thread reads


@contextmanager
def siege(url: str) -> Iterator[None]:
    """Besiege the service at this address until the block ends."""
    spawn = multiprocessing.get_context("spawn")
    began = spawn.Event()
    strangers = spawn.Process(target=_besiege, args=(url, began), daemon=True)
    strangers.start()
    try:
        assert began.wait(BEGIN), "the siege did not begin"
        yield
        assert strangers.is_alive(), "the siege ended before the block"
    finally:
        strangers.kill()
        strangers.join()


def _besiege(url: str, began: Event) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with selectors.DefaultSelector() as selector:
        strangers = {number: _come(selector, url, number) for number in range(SLOW + SILENT)}
        began.set()
        due = time.monotonic()
        while True:
            for key, _ in selector.select(max(0.0, due - time.monotonic())):
                if not _is_answered(strangers[key.data]):
                    selector.unregister(strangers[key.data])
                    strangers.pop(key.data).close()
            if time.monotonic() >= due:
                due += EVERY
                for number in range(SLOW + SILENT):
                    if number not in strangers:
                        strangers[number] = _come(selector, url, number)
                    elif number < SLOW:
                        _send(strangers[number], b" ")


def _come(selector: selectors.BaseSelector, url: str, number: int) -> socket.socket:
    where = urlsplit(url)
    stranger = socket.create_connection((where.hostname, where.port), BEGIN)
    stranger.setblocking(False)
    selector.register(stranger, selectors.EVENT_READ, number)
    if number < SLOW:
        _send(stranger, HEAD % SIZES[number % len(SIZES)])
    return stranger


def _send(stranger: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # it was sent away, which the poller tells
        stranger.send(data)


def _is_answered(stranger: socket.socket) -> bool:
    """Return whether something came; at the end of the connection, nothing does."""
    try:
        return bool(stranger.recv(65536))
    except OSError:
        return False
