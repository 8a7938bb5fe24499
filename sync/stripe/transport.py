"""HTTP transport to Stripe, with one session for each thread of this process, and without a proxy to a local host."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
import stripe
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from stripe_mongo_sync.sync.process.fork import in_every_child
from stripe_mongo_sync.sync.process.mongodb_address import is_local


class Name(str):
    """A parameter's name that equals no text: `raw_request` would take `usage` or `base` for arguments of its own."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class Transport(stripe.HTTPClient):
    """The HTTP client of stripe-python. Any number of threads and forked children may use one.

    `trusted` is a file or a directory of certificates to trust in place of stripe-python's.
    """

    name = "requests"

    def __init__(self, timeout: tuple[float, float], trusted: str | None = None) -> None:
        super().__init__()
        self._timeout, self._trusted = timeout, trusted
        self.renew()
        in_every_child(self.renew)

    def renew(self) -> None:
        """Let every thread start a new session; idle connections end with the last session that holds them.

        A child closes only its own copies of the sockets, so that the parent's connections stay open.
        """
        self._of_thread = threading.local()

    def request(  # type: ignore[override]  # bytes, as every client of stripe-python returns in fact
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request. Raises APIConnectionError, whose cause is the original error."""
        answer = self._answer(method, url, headers, post_data, stream=False)
        return answer.content, answer.status_code, answer.headers

    def request_stream(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Send one request, and return the body as a stream. Raises the same, and while it is read."""
        plain = {**(headers or {}), "Accept-Encoding": "identity"}  # the stream would not be unpacked
        answer = self._answer(method, url, plain, post_data, stream=True)
        return answer.raw, answer.status_code, answer.headers

    def _answer(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any, *, stream: bool
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                url,
                headers=dict(headers or {}),
                data=post_data,
                timeout=self._timeout,
                verify=self._trusted or stripe.ca_bundle_path,
                proxies=proxies(url),
                allow_redirects=False,  # Stripe never redirects, and another host must not get the key
                stream=stream,
            )
        except (requests.RequestException, OSError, ValueError) as error:
            # Its message may quote a proxy's address, with the password.
            message = f"Stripe was not reached ({type(error).__name__})"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = requests.Session()
            session.trust_env = False  # a ~/.netrc would replace the key; `proxies` reads the proxies
        return session

    def close(self) -> None:
        """Abandon the connections."""
        self.renew()


def let_go(session: requests.Session) -> None:
    """Remove the connections of an application's session, but nothing else: as if it were unpickled."""
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.__setstate__(adapter.__getstate__())


def is_here(host: str) -> bool:
    """Whether a host is this machine, in any notation: localhost, 127.1, [::1], 0.0.0.0."""
    host = host.rstrip(".").lower()
    if is_local(host) or host.endswith(".localhost"):
        return True
    with suppress(OSError):
        host = socket.inet_ntoa(socket.inet_aton(host))
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def proxies(url: str) -> dict[str, str]:
    """Return the environment's proxies for an address; none for a local one, whatever NO_PROXY says."""
    return {} if is_here(urlsplit(url).hostname or "") else dict(get_environ_proxies(url))


def proxy_of(url: str) -> str | None:
    """Return the proxy for an address, without its credentials, or None if there is none."""
    chosen = select_proxy(url, proxies(url))
    if not chosen:
        return None
    try:
        parts = urlsplit(chosen if "://" in chosen else f"http://{chosen}")
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return "an address that cannot be read"
