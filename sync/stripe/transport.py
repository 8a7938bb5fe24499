"""The way to Stripe: HTTP by sessions of this process alone, one a thread, and past any proxy where Stripe is local."""

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


class Transport(stripe.HTTPClient):
    """What stripe-python sends with. Any number of threads may use one, and so may whoever a process forks.

    `trusted` is a file, or a folder, of certificates to trust in place of those that stripe-python brings.
    """

    name = "requests"

    def __init__(self, timeout: tuple[float, float], trusted: str | None = None) -> None:
        super().__init__()
        self._timeout, self._trusted = timeout, trusted
        self.renew()
        in_every_child(self.renew)

    def renew(self) -> None:
        """Let every thread begin a new session; idle connections end with the last session that holds them.

        In a child that is its own copy: what closes is a number of a socket, and the parent's side hears nothing.
        """
        self._of_thread = threading.local()

    def request(  # type: ignore[override]  # bytes, as every client of stripe-python returns in fact
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request. Raises APIConnectionError, whose cause says what happened."""
        try:
            answer = self._session.request(
                method,
                url,
                headers=dict(headers or {}),
                data=post_data,
                timeout=self._timeout,
                verify=self._trusted or stripe.ca_bundle_path,
                proxies=proxies(url),
                allow_redirects=False,  # Stripe sends nobody elsewhere, and the key must not go there
            )
            return answer.content, answer.status_code, answer.headers
        except (requests.RequestException, OSError, ValueError) as error:
            # What it says may show the address of a proxy, with its password.
            message = f"Stripe was not reached ({type(error).__name__})"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = requests.Session()
            session.trust_env = False  # a ~/.netrc would take the place of the key; proxies are asked for below
        return session

    def close(self) -> None:
        """Let the connections go."""
        self.renew()


def let_go(session: requests.Session) -> None:
    """Leave a session, which is somebody else's, as it is, but without its connections: as it would be unpickled."""
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.__setstate__(adapter.__getstate__())


def is_here(host: str) -> bool:
    """Whether a host is this machine, however it is written: localhost, 127.1, [::1], 0.0.0.0."""
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
    """Return the proxies that the environment names for an address; none for a local one, whatever NO_PROXY says."""
    return {} if is_here(urlsplit(url).hostname or "") else dict(get_environ_proxies(url))


def proxy_of(url: str) -> str | None:
    """Return the proxy through which an address is asked, without what logs in there; None: it is asked directly."""
    chosen = select_proxy(url, proxies(url))
    if not chosen:
        return None
    try:
        parts = urlsplit(chosen if "://" in chosen else f"http://{chosen}")
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return "an address that cannot be read"
