"""The HTTP messages: a request, a reply, an entry of the request log, and a connection that is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
API_VERSION = "2026-10-28.endive"  # what stripe-python 16.1 pins
CutKind = Literal["refused", "reset", "timeout"]


@dataclass(frozen=True)
class Request:
    """An HTTP request; header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class LogEntry:
    """An entry of the request log: the request, and the status of its reply (0: there was none)."""

    method: str
    path: str
    request_id: str
    at: float
    key: str | None = None
    version: str | None = None
    on_behalf: str | None = None  # the Stripe-Account header
    params: Json = field(default_factory=dict)
    kind: str | None = None
    account: str = ""
    livemode: bool = False
    status: int = 0
    replayed: bool = False
    fault: str | None = None


class ConnectionCut(Exception):
    """The connection ends without a reply."""

    def __init__(self, how: CutKind, seconds: float = 0.0) -> None:
        super().__init__(how)
        self.how = how
        self.seconds = seconds  # how long a timeout keeps a real socket open
