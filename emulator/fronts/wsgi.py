"""The WSGI front: /v1/* is Stripe, /_emulator/* is the control door."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from stripe_mongo_sync.emulator.fronts.door import PREFIX, control
from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.wire import Cut, Reply, Request

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden"}


class Door:
    """A WSGI application. A cut raises ConnectionAbortedError, as WSGI has no other way to say it."""

    def __init__(self, emulator: Service) -> None:
        self._emulator = emulator

    def answer(self, request: Request) -> Reply:
        if request.path.startswith(PREFIX):
            return control(self._emulator, request)
        return self._emulator.engine.answer(request)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the caller is gone")  # who dies while sending has asked for nothing
        path = quote(environ["PATH_INFO"].encode("latin-1"))  # WSGI has decoded it: here a slash is no part of an id
        request = Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, body)
        try:
            reply = self.answer(request)
        except Cut as cut:
            raise ConnectionAbortedError(cut.how) from cut
        status = f"{reply.status} {REASONS.get(reply.status, 'Status')}"
        start_response(status, [*reply.headers.items(), ("Content-Length", str(len(reply.body)))])
        return [reply.body]
