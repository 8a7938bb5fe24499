"""Why Stripe did not answer: what stood in the way, and what to do about it, a sentence each, without a secret.

It is read from the kind of the error alone, and from its number: what an error says may show the password of a proxy.
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

STATUS = "https://status.stripe.com"
TRUSTED = "REQUESTS_CA_BUNDLE or SSL_CERT_FILE"
PROXIES = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
REASON = re.compile(r"[\w ,.'-]{1,120}")  # of a certificate that fails, as OpenSSL says it


@dataclass(frozen=True)
class Silence:
    """Why there was no answer of Stripe's, and what an operator can do."""

    why: str
    do: str

    def __str__(self) -> str:
        return f"{self.why}: {self.do}"


def silence(error: StripeError, url: str) -> Silence | None:
    """Return why nothing came of a request to this address; None where Stripe, or somebody in its place, answered."""
    through = proxy_of(url)
    if error.http_status == 407:
        return _login(through)
    if error.http_status is not None and not 300 <= error.http_status < 400:
        return None
    if error.http_status is not None:
        return Silence(
            f"somebody between here and Stripe answered for it, with {error.http_status}",
            "let this machine reach api.stripe.com, past any login page",
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
    named = through or "that is named"
    if _has(chain, *UNFIT):
        return Silence(f"the proxy {named} is none that can be used", f"correct {PROXIES}")
    how = " (its name is not known)" if _has(chain, *NAMELESS) else ""
    return Silence(
        f"the proxy {named} cannot be reached, or does not let us through{how}",
        f"correct {PROXIES}, or name Stripe's host in NO_PROXY",
    )


def _login(through: str | None) -> Silence:
    return Silence(
        f"the proxy {through or 'on the way'} wants to know who asks (407)",
        f"put its user and password into {PROXIES}: http://user:password@host:port",
    )


def _of_tls(chain: list[BaseException]) -> Silence | None:
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            told = REASON.fullmatch(getattr(each, "verify_message", "") or "")
            return Silence(
                f"its certificate is not trusted{f' ({told[0]})' if told else ''}",
                f"if a proxy of yours opens TLS, name its certificate in {TRUSTED}; else somebody listens in",
            )
    if any(isinstance(each, OSError) and "TLS CA certificate bundle" in str(each) for each in chain):
        return Silence("there are no certificates to trust", f"correct {TRUSTED}: no such file can be read")
    if any(isinstance(each, ssl.SSLError) and each.reason == "NO_CERTIFICATE_OR_CRL_FOUND" for each in chain):
        return Silence("there are no certificates to trust", f"correct {TRUSTED}: there is none in that file")
    if _has(chain, ssl.SSLError, requests.exceptions.SSLError):
        return Silence("no TLS connection comes about", "see whether that address speaks https, and what is between")
    return None


def _of_network(chain: list[BaseException]) -> Silence:
    if _has(chain, *NAMELESS):
        return Silence("the name of its host is not known here", "correct STRIPE_API_BASE, or this machine's DNS")
    if _has(chain, ConnectionRefusedError):
        return Silence(
            "the connection was refused: nobody listens there", "correct STRIPE_API_BASE, or let the firewall pass it"
        )
    if any(isinstance(each, OSError) and each.errno in NO_GET for each in chain):
        return Silence("no way leads there", "see whether this machine reaches the internet at all")
    if _has(chain, requests.exceptions.ConnectTimeout):
        return Silence(
            "no connection came about in time", "let this machine reach api.stripe.com, port 443: a firewall drops it"
        )
    if _has(chain, requests.exceptions.ReadTimeout, urllib3.ReadTimeoutError, TimeoutError):
        return Silence("it was asked, and did not answer in time", f"wait; see {STATUS}")
    if _has(chain, urllib3.ProtocolError, ConnectionResetError, BrokenPipeError, ConnectionAbortedError):
        return Silence("the connection broke off before an answer came", f"wait; see {STATUS}, and what is between")
    return Silence("no readable answer came", f"try again; see {STATUS}")


NAMELESS = (socket.gaierror, urllib3.NameResolutionError)
NO_GET = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
UNFIT = (ValueError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, urllib3.LocationValueError)


def _has(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(each, kinds) for each in chain)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and all that it came from: requests and urllib3 wrap each other's in several ways."""
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
