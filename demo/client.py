"""The service's HTTP API, as a shop calls it: JSON in and out, with a bearer token."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

Json = dict[str, Any]
TIMEOUT = 30.0  # seconds to wait for an answer; the service itself answers within 45


class NoAnswer(Exception):
    """The connection ended without an answer: it is unknown whether the service executed the request."""


@dataclass(frozen=True)
class Reply:
    """An answer of the service, of any status."""

    status: int
    headers: Mapping[str, str]
    body: Json


class Client:
    """`Client(url, token).post("/customers", {"username": "ada@here.com"})`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self._opener = build_opener(ProxyHandler({}))  # without the environment's proxies: this is the same machine

    def get(self, path: str) -> Reply:
        """Send a GET."""
        return self.call("GET", path)

    def post(self, path: str, body: Json, *, key: str | None = None) -> Reply:
        """Send a POST, with `key` as its Idempotency-Key."""
        return self.call("POST", path, body, {"Idempotency-Key": key} if key else {})

    def call(self, method: str, path: str, body: Json | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send one request and return the answer. Raises NoAnswer."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, sent, method=method)  # noqa: S310 - the demo's own service
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                return Reply(answer.status, dict(answer.headers), json.load(answer))
        except HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), json.load(error))
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(f"{method} {path}: {error or type(error).__name__}") from error
