"""Records the requests of the service, and Stripe's replies."""

import json
from dataclasses import dataclass
from email.parser import BytesParser
from typing import Any
from urllib.parse import unquote, urlsplit

import stripe

from stripe_mongo_sync.emulator.protocol.forms import decode

Json = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    """A request and its reply."""

    method: str
    path: str
    params: Json
    status: int
    reply: Any


def parts_of(kind: str, body: bytes) -> Json:
    """The parts of a multipart form; of a file, how many bytes it has."""
    form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found = {}
    for part in form.get_payload():
        content = part.get_payload(decode=True)
        is_file = part.get_filename() is not None
        found[part.get_param("name", header="content-disposition")] = str(len(content)) if is_file else content.decode()
    return found


class Overheard(stripe.HTTPClient):
    """A Stripe client that records its requests and replies."""

    def __init__(self, inner: stripe.HTTPClient, exchanges: list[Exchange]) -> None:
        super().__init__()
        self.inner, self.name, self.exchanges = inner, inner.name, exchanges

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        body, status, replied = self.inner.request(method, url, headers, post_data)
        self._note(method, url, headers, post_data, status, json.loads(body))
        return body, status, replied

    def request_stream(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        """Record the media type of a file in place of what it is."""
        stream, status, replied = self.inner.request_stream(method, url, headers, post_data)
        self._note(method, url, headers, post_data, status, replied["Content-Type"])
        return stream, status, replied

    def _note(self, method: str, url: str, headers: Any, post_data: Any, status: int, reply: Any) -> None:
        parts, kind = urlsplit(url), headers.get("Content-Type", "")
        if kind.startswith("multipart/"):
            posted = parts_of(kind, post_data)
        else:
            posted = decode(post_data.decode() if isinstance(post_data, bytes) else post_data or "")
        params = decode(parts.query) | posted
        self.exchanges.append(Exchange(method.lower(), unquote(parts.path), params, status, reply))

    def close(self) -> None:
        self.inner.close()
