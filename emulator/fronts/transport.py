"""The in-process front: an HTTP client for stripe-python that passes its bytes to the engine without a socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import stripe
from requests.structures import CaseInsensitiveDict

from stripe_mongo_sync.emulator.protocol.wire import ConnectionCut, Reply, Request

WHY = {
    "refused": "ConnectionError: [Errno 111] Connection refused",
    "reset": "ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
    "timeout": "ReadTimeout: Read timed out.",
}


class Transport(stripe.HTTPClient):
    """For `StripeClient(key, http_client=…)`. Any number of threads can share one."""

    name = "emulator"

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        super().__init__()
        self._answer = answer

    def request(  # type: ignore[override]  # bytes, as every client of stripe-python returns in fact
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        parts = urlsplit(url)
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        lower = {name.lower(): str(value) for name, value in (headers or {}).items()}
        request = Request(method.upper(), parts.path, parts.query, lower, body)
        try:
            reply = self._answer(request)
        except ConnectionCut as cut:
            message = f"Unexpected error communicating with Stripe.\n\n(Network error: {WHY[cut.how]})"
            raise stripe.APIConnectionError(message, should_retry=True) from cut  # type: ignore[no-untyped-call]
        return reply.body, reply.status, CaseInsensitiveDict(reply.headers)

    def request_stream(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[BytesIO, int, Mapping[str, str]]:
        body, status, replied = self.request(method, url, headers, post_data)
        return BytesIO(body), status, replied

    def _sleep_time_seconds(self, num_retries: int) -> float:
        """Let the library retry without delay, which would protect no server here."""
        return 0.0

    def close(self) -> None:
        pass
