"""Why Stripe did not answer: each reason is told apart, says what to do, and tells no secret.

Real sockets fail here.
"""

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import stripe

from stripe_mongo_sync.sync.stripe.silence import Silence, silence
from stripe_mongo_sync.sync.stripe.transport import Transport, is_here, proxies, proxy_of

PASSWORD = "hunter2"
SOON = (0.3, 0.3)
Answer = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer each connection so, and yield the port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def serve() -> None:
            while True:
                try:
                    caller, _ = door.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(caller, server_side=True) if context else caller as caller:
                        answer(caller)
                except OSError:
                    pass  # it went away

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def saying(text: str) -> Answer:
    """Answer what is asked with these bytes."""

    def answer(caller: socket.socket) -> None:
        caller.recv(65_536)
        caller.sendall(text.encode())

    return answer


def says_nothing(caller: socket.socket) -> None:
    caller.settimeout(10)
    while caller.recv(65_536):
        pass


def breaks_off(caller: socket.socket) -> None:
    caller.recv(65_536)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def asked(url: str, trusted: str | None = None, timeout: tuple[float, float] = (5.0, 5.0)) -> Silence | None:
    """Ask a Stripe there, as the service does, and return why it did not answer."""
    client = stripe.StripeClient(
        "sk_test_x", base_addresses={"api": url}, http_client=Transport(timeout, trusted), max_network_retries=0
    )
    with pytest.raises(stripe.StripeError) as raised:
        client.raw_request("get", "/v1/account")
    return silence(raised.value, url)


def free() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        return int(door.getsockname()[1])


@contextmanager
def full() -> Iterator[int]:
    """A port at which nobody takes a connection, and none is refused."""
    with closing(socket.socket()) as door:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(door.getsockname())
        yield int(door.getsockname()[1])
        for one in waiting:
            one.close()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The certificate of an authority that nobody knows, and a server's that it signed, for 127.0.0.1."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("this machine has no openssl to make a certificate with")
    place = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=place, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=company")
    run("req", *new, "-keyout", "key", "-out", "csr", "-subj", "/CN=localhost")
    (place / "names").write_text("subjectAltName=DNS:localhost")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2")
    run("x509", "-req", "-in", "csr", *signed, "-out", "pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "pem", place / "key")
    return place / "ca.pem", context


MOVED = "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n"
WHO = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def test_each_reason_is_told_apart(
    certified: tuple[Path, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, context = certified
    fine = saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    told = {"refused": asked(f"http://127.0.0.1:{free()}"), "name": asked("http://nobody.invalid")}
    with serving(fine, context) as port:
        told["certificate"] = asked(f"https://localhost:{port}")
        told["another's"] = asked(f"https://127.0.0.1:{port}", str(known))
        told["no bundle"] = asked(f"https://localhost:{port}", str(tmp_path / "nowhere"))
        (tmp_path / "empty").write_text("no certificate")
        told["nothing in the bundle"] = asked(f"https://localhost:{port}", str(tmp_path / "empty"))
    with serving(fine) as port:
        told["no tls"] = asked(f"https://localhost:{port}")
    with serving(says_nothing) as port:
        told["read"] = asked(f"http://127.0.0.1:{port}", timeout=SOON)
    with full() as port:
        told["connect"] = asked(f"http://127.0.0.1:{port}", timeout=SOON)
    with serving(breaks_off) as port:
        told["broken"] = asked(f"http://127.0.0.1:{port}")
    with serving(saying(MOVED)) as port:
        told["moved"] = asked(f"http://127.0.0.1:{port}")
    for scheme in ("http", "https"):
        with serving(saying(WHO)) as port:
            monkeypatch.setenv("ALL_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{port}")
            told[f"login by {scheme}"] = asked(f"{scheme}://stripe.example")
        monkeypatch.setenv("ALL_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{free()}")
        told[f"proxy by {scheme}"] = asked(f"{scheme}://stripe.example")
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:{PASSWORD}@127.0.0.1:9")
    told["another kind of proxy"] = asked("https://stripe.example")
    monkeypatch.setenv("ALL_PROXY", f"http://me:{PASSWORD}@nobody.invalid:9")
    told["nameless proxy"] = asked("https://stripe.example")

    words = {
        "refused": "refused",
        "name": "name of its host is not known",
        "certificate": "certificate is not trusted (unable to get local issuer certificate)",
        "another's": "certificate is not trusted (IP address mismatch",
        "no bundle": "no certificates to trust",
        "nothing in the bundle": "no certificates to trust",
        "no tls": "no TLS connection",
        "read": "did not answer the request in time",
        "connect": "no connection was made in time",
        "broken": "connection broke before",
        "moved": "answered in its place, with 302",
        "login by http": "requires a user and a password (407)",
        "login by https": "requires a user and a password (407)",
        "proxy by http": "proxy 127.0.0.1:",
        "proxy by https": "proxy 127.0.0.1:",
        "another kind of proxy": "cannot be used",
        "nameless proxy": "its name is not known",
    }
    wrong = {name: str(why) for name, why in told.items() if why is None or words[name] not in why.reason}
    assert wrong == {}
    assert all(why.advice for why in told.values() if why)
    assert len({why.reason for why in told.values() if why}) >= len(words) - 5, "each has words of its own"


def test_no_reason_tells_the_password_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http://me:{}@127.0.0.1:9", "socks5h://me:{}@127.0.0.1:9", "http://me:{}@[::1", "me:{}@127.0.0.1:9"):
        monkeypatch.setenv("HTTPS_PROXY", proxy.format(PASSWORD))
        told = asked("https://stripe.example")
        assert PASSWORD not in f"{told!r} {told} {proxy_of('https://stripe.example')}"
        assert "proxy" in str(told), proxy


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "stripe.localhost",
        "127.0.0.1",
        "127.1",
        "127.8.9.9",
        "[::1]",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_local_address_is_never_asked_through_a_proxy(
    host: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert proxies(f"{scheme}://{host}:12111/v1/account") == {}
    assert proxy_of(f"{scheme}://{host}:12111") is None
    assert proxy_of(f"{scheme}://api.stripe.com") == "127.0.0.1:9"


@pytest.mark.parametrize(
    "host", ["api.stripe.com", "localhost.example.com", "10.0.0.1", "128.0.0.1", "notlocalhost", ""]
)
def test_what_is_elsewhere_is_not_here(host: str) -> None:
    assert not is_here(host)


def test_no_proxy_is_asked_for_what_no_proxy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "stripe.example")

    assert proxy_of("https://stripe.example") is None
    assert proxy_of("https://other.example") == "127.0.0.1:9"


def test_certificates_that_are_named_are_trusted_in_place_of_the_usual_ones(
    certified: tuple[Path, ssl.SSLContext],
) -> None:
    known, context = certified
    body = '{"id": "acct_1", "object": "account"}'
    with serving(saying(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"), context) as port:
        client = stripe.StripeClient(
            "sk_test_x", base_addresses={"api": f"https://localhost:{port}"}, http_client=Transport((5, 5), str(known))
        )
        assert client.raw_request("get", "/v1/account").data["id"] == "acct_1"


def test_the_key_follows_no_redirect() -> None:
    asked_there: list[bytes] = []
    with serving(lambda caller: asked_there.append(caller.recv(65_536))) as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n"
        with serving(saying(moved)) as port:
            told = asked(f"http://127.0.0.1:{port}")

    assert told is not None
    assert asked_there == []
