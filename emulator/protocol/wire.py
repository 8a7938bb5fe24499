"""What travels: a request, a reply, or a connection that is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
API_VERSION = "2026-10-28.endive"  # what stripe-python 16.1 pins
How = Literal["refused", "reset", "timeout"]


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are lower case."""

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
    """One line of the request log: what was asked, and how it ended (`status` 0: the peer got no reply)."""

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

    def __init__(self, how: How, seconds: float = 0.0) -> None:
        super().__init__(how)
        self.how = how
        self.seconds = seconds  # a timeout keeps a real socket open this long before it closes
