"""A load generator that needs little processor time: prepared requests, raw sockets, one thread."""

import os
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from stripe import WebhookSignature

TIMEOUT = 60.0  # seconds without any answer


class BadAnswer(AssertionError):
    """The service gave a wrong answer, so its speed does not count."""


def request(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a POST as the bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def signed(url: str, path: str, body: bytes, secret: str) -> bytes:
    """Return the request by which Stripe would send this event."""
    signature = WebhookSignature.generate_signature_header(body.decode(), secret)
    return request(url, path, body, {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature})


def fire(url: str, requests: Sequence[bytes], connections: int, *, status: int, says: bytes = b"") -> list[float]:
    """Send each request once, over so many persistent connections, opened all at once; return the latencies in seconds.

    The first request of a connection takes as long as its answer and the connection together. Raises BadAnswer unless
    every answer has this status, and contains `says`.
    """
    waiting, latencies = iter(requests), []
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with selectors.DefaultSelector() as selector:
        for first in list(zip(range(connections), waiting, strict=False)):
            one = _Connection(first[1])
            one.socket.connect_ex((host, port))
            selector.register(one.socket, selectors.EVENT_WRITE, one)
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            if not ready:
                raise BadAnswer(f"no answer within {TIMEOUT:.0f} s")
            for key, event in ready:
                one = key.data
                if event & selectors.EVENT_WRITE:
                    one.begin()
                    selector.modify(one.socket, selectors.EVENT_READ, one)
                    continue
                answer = one.receive()
                if answer is None:
                    continue
                latencies.append(time.monotonic() - one.sent)
                if int(answer[9:12]) != status or says not in answer:
                    raise BadAnswer(answer.decode(errors="replace"))
                following = next(waiting, None)
                if following is None:
                    selector.unregister(one.socket)
                    one.socket.close()
                else:
                    one.send(following)
    assert len(latencies) == len(requests)
    return latencies


class _Connection:
    def __init__(self, first: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.first, self.sent = first, time.monotonic()

    def begin(self) -> None:
        """Send the first request, now that the connection is open. Raises OSError if it was refused."""
        if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self.socket.setblocking(True)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened = self.sent
        self.send(self.first)
        self.sent = opened

    def send(self, request: bytes) -> None:
        self._received = b""
        self.sent = time.monotonic()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Return the answer if it is complete."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise BadAnswer("the connection was closed without an answer")
        self._received += chunk
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return None
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return self._received if len(body) >= int(lengths[0].partition(b":")[2]) else None
