"""A transport that shows the service something else than the emulator answered: what no emulator should have to say."""

import json
from collections.abc import Callable
from typing import Any

import stripe

Alter = Callable[[str, str, Any], Any]  # of the method, the path below /v1/ with its query, and what was answered


class Altered(stripe.HTTPClient):
    """Passes on what it is asked, and alters good answers."""

    name = "altered"

    def __init__(self, inner: stripe.HTTPClient, alter: Alter) -> None:
        super().__init__()
        self._inner, self._alter = inner, alter

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        body, status, replied = self._inner.request(method, url, headers, post_data, **more)
        if status == 200:
            told = self._alter(method.lower(), url.split("/v1/", 1)[-1], json.loads(body))
            body = json.dumps(told).encode()
        return body, status, replied

    def _sleep_time_seconds(self, num_retries: int) -> float:
        return 0.0

    def close(self) -> None:
        pass


def altering(alter: Alter) -> Callable[[stripe.HTTPClient], stripe.HTTPClient]:
    """Return what a world's transport is passed through (`around`)."""
    return lambda transport: Altered(transport, alter)
