"""The WSGI front: /v1/* is Stripe, and /_emulator/* is the control API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from stripe_mongo_sync.emulator.fronts.control_api import PREFIX, control
from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.wire import ConnectionCut, Reply, Request

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden"}


class WsgiApp:
    """A WSGI application. It raises ConnectionAbortedError for a cut, which WSGI cannot express otherwise."""

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
            raise ConnectionAbortedError("the caller closed the connection")  # half a request is no request
        path = quote(
            environ["PATH_INFO"].encode("latin-1")
        )  # WSGI has decoded it, so an id with a slash cannot be told from a path
        request = Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, body)
        try:
            reply = self.answer(request)
        except ConnectionCut as cut:
            raise ConnectionAbortedError(cut.how) from cut
        status = f"{reply.status} {REASONS.get(reply.status, 'Status')}"
        start_response(status, [*reply.headers.items(), ("Content-Length", str(len(reply.body)))])
        return [reply.body]
