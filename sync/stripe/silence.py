"""Explains why Stripe did not answer: the cause and a remedy, without a secret.

Only the type and the number of an error are read, because its message may quote the password of a proxy.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import requests
import urllib3.exceptions as urllib3
from stripe import StripeError

from stripe_mongo_sync.sync.stripe.transport import proxy_of

HOSTS = "api.stripe.com and files.stripe.com"
STATUS = "https://status.stripe.com"
TRUSTED = "REQUESTS_CA_BUNDLE or SSL_CERT_FILE"
PROXIES = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
REASON = re.compile(r"[\w ,.'-]{1,120}")  # OpenSSL's reason for rejecting a certificate


@dataclass(frozen=True)
class Silence:
    """Why Stripe did not answer, and what an operator can do."""

    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.advice}"


def silence(error: StripeError, url: str) -> Silence | None:
    """Return why a request to this address got no answer; None if Stripe, or a server in its place, answered."""
    through = proxy_of(url)
    if error.http_status == 407:
        return _login(through)
    if error.http_status is not None and not 300 <= error.http_status < 400:
        return None
    if error.http_status is not None:
        return Silence(
            f"a server between here and Stripe answered in its place, with {error.http_status}",
            f"let this machine reach {HOSTS}, past any login page",
        )
    chain = list(_chain(error.__cause__ or error.__context__))
    return _of_proxy(chain, through) or _of_tls(chain) or _of_network(chain)


def _of_proxy(chain: list[BaseException], through: str | None) -> Silence | None:
    if not (_has(chain, requests.exceptions.ProxyError, urllib3.ProxyError) or (through and _has(chain, *UNFIT))):
        return None
    if _has(chain, ssl.SSLError):
        return None  # beyond it
    if any("407" in str(each) for each in chain if isinstance(each, OSError)):
        return _login(through)
    named = through or "in the environment"
    if _has(chain, *UNFIT):
        return Silence(f"the proxy {named} cannot be used", f"correct {PROXIES}")
    how = " (its name is not known)" if _has(chain, *NAMELESS) else ""
    return Silence(
        f"the proxy {named} cannot be reached, or rejects the request{how}",
        f"correct {PROXIES}, or name Stripe's host in NO_PROXY",
    )


def _login(through: str | None) -> Silence:
    return Silence(
        f"the proxy {through or 'before Stripe'} requires a user and a password (407)",
        f"put its user and password into {PROXIES}: http://user:password@host:port",
    )


def _of_tls(chain: list[BaseException]) -> Silence | None:
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            told = REASON.fullmatch(getattr(each, "verify_message", "") or "")
            return Silence(
                f"its certificate is not trusted{f' ({told[0]})' if told else ''}",
                f"if a proxy of yours intercepts TLS, name its certificate in {TRUSTED}; if not, an attacker may",
            )
    if any(isinstance(each, OSError) and "TLS CA certificate bundle" in str(each) for each in chain):
        return Silence("there are no certificates to trust", f"correct {TRUSTED}: its file cannot be read")
    if any(isinstance(each, ssl.SSLError) and each.reason == "NO_CERTIFICATE_OR_CRL_FOUND" for each in chain):
        return Silence("there are no certificates to trust", f"correct {TRUSTED}: its file contains none")
    if _has(chain, ssl.SSLError, requests.exceptions.SSLError):
        return Silence("no TLS connection can be made", "check that this address speaks https, and what is in between")
    return None


def _of_network(chain: list[BaseException]) -> Silence:
    if _has(chain, *NAMELESS):
        return Silence("the name of its host is not known here", "correct STRIPE_API_BASE, or this machine's DNS")
    if _has(chain, ConnectionRefusedError):
        return Silence(
            "the connection was refused: no server listens there", "correct STRIPE_API_BASE, or open the firewall"
        )
    if any(isinstance(each, OSError) and each.errno in NO_GET for each in chain):
        return Silence("there is no route to the host", "check that this machine reaches the internet")
    if _has(chain, requests.exceptions.ConnectTimeout):
        return Silence(
            "no connection was made in time", f"let this machine reach {HOSTS}, port 443: a firewall may block it"
        )
    if _has(chain, requests.exceptions.ReadTimeout, urllib3.ReadTimeoutError, TimeoutError):
        return Silence("it did not answer the request in time", f"wait; see {STATUS}")
    if _has(chain, urllib3.ProtocolError, ConnectionResetError, BrokenPipeError, ConnectionAbortedError):
        return Silence(
            "the connection broke before an answer came", f"wait; see {STATUS}, and check what is in between"
        )
    return Silence("no readable answer came", f"try again; see {STATUS}")


NAMELESS = (socket.gaierror, urllib3.NameResolutionError)
NO_GET = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
UNFIT = (ValueError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, urllib3.LocationValueError)


def _has(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(each, kinds) for each in chain)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all of its causes: requests and urllib3 wrap each other's errors in several ways."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        one = todo.pop()
        if one is None or any(one is each for each in seen):
            continue
        seen.append(one)
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        todo += [each for each in inner if isinstance(each, BaseException)]
