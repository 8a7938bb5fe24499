"""The door of ordinary webhooks: the main thread reads them, and they need neither gunicorn's parser nor Flask.

Ordinary is what Stripe sends, and what a proxy makes of it: a plain head, a good signature, an event. Everything else
goes the general way, where the application says what is wrong with it. What is answered is the application's, too.
"""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response
from gunicorn.config import Config
from gunicorn.http.wsgi import SERVER
from gunicorn.util import http_date

from stripe_mongo_sync.api.app import answer_to
from stripe_mongo_sync.api.prefix import is_unwrapped
from stripe_mongo_sync.sync.engine.admission import asks
from stripe_mongo_sync.sync.inbox.arrival import Arrival, Malformed, arrive
from stripe_mongo_sync.sync.inbox.committer import COMMITTER, Waiting, receive_alone
from stripe_mongo_sync.webhooks.signature import BadSignature, verify

BEGINNING = b"POST /webhooks/stripe HTTP/1.1\r\n"
END = b"\r\n\r\n"
LONGEST = 4_096  # bytes of a head; Stripe sends 600, and proxies add a few hundred
COMMITTING = 2  # threads of a worker that write events: the second one works while a batch is slow
MOST = 50  # fields of a head; gunicorn reads 100
FIELDS = re.compile(rb"(?:[A-Za-z0-9-]+:[\t\x20-\x7e]*\r\n)+")  # what no two parsers read differently
HOST = re.compile(rb"(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}(?::\d{1,5})?")
LENGTH = re.compile(rb"\d{1,7}")
KEEPS = {b"keep-alive": True, b"close": False}
# Fields that change where a request ends, or that could contradict another one.
UNUSUAL = {b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"x-forwarded-ssl", b"x-forwarded-protocol"}
# gunicorn's settings about what a request may be, and who is told of each.
SETTINGS = (
    *("accesslog", "statsd_host", "logger_class", "pre_request", "post_request", "header_map"),
    *("limit_request_line", "limit_request_fields", "limit_request_field_size", "secure_scheme_headers"),
)
OURS = {"logger_class": "stripe_mongo_sync.api.server.logger.Logger"}  # values that change nothing of that
MINE = "door"  # the extension of an application that nobody wraps and changes


@dataclass(frozen=True, slots=True)
class Webhook:
    """An ordinary webhook that has arrived: all its bytes, and whether its connection may stay open."""

    size: int
    keeps: bool
    arrival: Arrival


def door_of(app: Any, cfg: Config) -> "Door | None":
    """Return the door of the application of `wsgi.py`, or None: then all requests go the general way.

    So they do for an application that was wrapped, and with settings of gunicorn that this file does not apply.
    """
    usual = isinstance(app, Flask) and MINE in app.extensions and is_unwrapped(app)
    plain = all(cfg.settings[name].get() in (cfg.settings[name].default, OURS.get(name, ...)) for name in SETTINGS)
    return Door(app) if usual and plain else None


class Door:
    """Reads ordinary webhooks for an application, and writes its answers."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._secrets: tuple[str, ...] = app.config["WEBHOOK_SECRETS"]
        self._pulse, self._connecting = app.extensions["pulse"], app.extensions.get("connecting")
        self._good: dict[tuple[object, bool], str] = {}
        self._taken: list[Waiting] = []
        self._date, self._until = "", 0.0
        COMMITTER.work(COMMITTING)

    def read(self, came: bytearray) -> Webhook | None:
        """Return the ordinary webhook that these bytes begin with; None if it is no such, or not whole."""
        if not came.startswith(BEGINNING) or self._pulse.lost or (self._connecting and self._connecting.why):
            return None
        end = came.find(END, 0, LONGEST)
        fields = _fields(bytes(came[len(BEGINNING) : end + 2])) if end > 0 else {}
        length, signature = fields.get(b"content-length", b""), fields.get(b"stripe-signature")
        keeps = KEEPS.get(fields.get(b"connection", b"keep-alive").lower())
        if signature is None or keeps is None or not LENGTH.fullmatch(length):
            return None
        size = end + len(END) + int(length)
        if len(came) < size or not HOST.fullmatch(fields.get(b"host", b"")) or UNUSUAL & fields.keys():
            return None
        raw = bytes(came[end + len(END) : size])
        try:
            verify(raw, signature.decode("ascii"), self._secrets)
            arrival = arrive(raw)
        except (BadSignature, Malformed):
            return None
        return None if asks(arrival.event) else Webhook(size, keeps, arrival)

    def take(self, webhook: Webhook, done: Callable[[object], None]) -> None:
        """Keep an event for `commit`; `done` is told what became of it, None if it has to go alone, by any thread."""
        self._taken.append(Waiting(webhook.arrival, done))

    def commit(self) -> None:
        """Let the committer store what was taken: all that arrived in one round of the loop is written together."""
        if self._taken:
            COMMITTER.put(*self._taken)
            self._taken.clear()

    def receive_alone(self, webhook: Webhook) -> object:
        """Store an event that cannot be written with others; return the outcome. A thread waits for it."""
        try:
            return receive_alone(webhook.arrival)
        except Exception as error:
            return error

    def answer(self, outcome: object, *, keeps: bool) -> bytes:
        """Return the application's answer to an outcome, as gunicorn would write it."""
        if isinstance(outcome, Exception):
            return _written(answer_to(self._app, outcome), http_date(), keeps).encode()
        if (good := self._good.get((outcome, keeps))) is None:
            response = answer_to(self._app, outcome)
            good = _written(response, "%s", keeps).replace(response.headers["X-Request-Id"], "%s")
            self._good[outcome, keeps] = good
        if (now := time.monotonic()) >= self._until:
            self._date, self._until = http_date(), now + 0.5
        return (good % (self._date, secrets.token_hex(16))).encode()


def _written(response: Response, date: str, keeps: bool) -> str:
    head = {"Server": SERVER, "Date": date, "Connection": "keep-alive" if keeps else "close", **response.headers}
    lines = [f"HTTP/1.1 {response.status}", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", response.get_data(as_text=True)])


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Return the fields of a head by name; none if there are many, or one is odd or there twice."""
    if head.count(b"\r\n") > MOST or not FIELDS.fullmatch(head):
        return {}
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        if (name := name.lower()) in fields:
            return {}
        fields[name] = value.strip(b" \t")
    return fields
