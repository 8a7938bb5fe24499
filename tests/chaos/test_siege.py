"""Strangers lay siege to gunicorn, Stripe is slow, MongoDB hangs: probes are answered within a second all the same.

And ordinary webhooks are answered, with 200 or at once with 503. One service for all of it, as strangers would find it.
"""

import json
import resource
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync.api.errors import HEADERS
from stripe_mongo_sync.bench.load import signed
from stripe_mongo_sync.demo.client import Reply
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import Stack
from stripe_mongo_sync.sync.process.few import LINES
from tests.chaos.test_gunicorn import frozen
from tests.support import eventually
from tests.support.answers import at_once
from tests.support.events import event

AT_ONCE = 1.0  # s
MONGODB_S = 6.0  # s: what a call to MongoDB may take, and a little
SILENT, SLOW = 2_000, 200
THREADS = 8  # for calls that write, of a worker; more wait for one of the other worker's, or for their turn
BODY = b"POST /webhooks/stripe HTTP/1.1\r\nHost: here.com\r\n%sContent-Length: %d\r\n\r\n{"
SIGNED = b"Stripe-Signature: t=1,v1=00\r\n"


def connected(stack: Stack) -> socket.socket:
    where = urlsplit(stack.url)
    return socket.create_connection((where.hostname, where.port), 10)


@contextmanager
def sending(stack: Stack, number: int, *sent: bytes) -> Iterator[None]:
    """Let so many connections send this, and then wait."""
    with ExitStack() as open_ones:
        for each in range(number):
            connection = open_ones.enter_context(connected(stack))
            if sent:
                connection.sendall(sent[each % len(sent)])
        yield


@contextmanager
def silent_beside_slow_bodies(stack: Stack, _: Mongod) -> Iterator[None]:
    """More than there is room for: who comes makes room by who is silent."""
    bodies = [BODY % (SIGNED, length) for length in (900, 900_000)]
    with sending(stack, SLOW, *bodies), sending(stack, SILENT):
        yield


def slow_heads(stack: Stack, _: Mongod) -> AbstractContextManager[None]:
    return sending(stack, 40, b"GET /readyz HTTP/1.1\r\nHost: he")


def slow_bodies(stack: Stack, _: Mongod) -> AbstractContextManager[None]:
    """Who has no signature is refused; who claims one, and who has a token, has a deadline and threads of its own."""
    api = b"POST /customers HTTP/1.1\r\nHost: here.com\r\nAuthorization: Bearer %s\r\nContent-Length: 900000\r\n\r\n{"
    bodies = [BODY % (head, length) for head in (b"", SIGNED) for length in (900, 900_000)]
    return sending(stack, 48, *bodies, api % stack.service.token.encode())


def answers_that_nobody_takes(stack: Stack, _: Mongod) -> AbstractContextManager[None]:
    """More than the buffers of both sides hold, for more connections than there are threads."""
    return sending(stack, 2 * THREADS + 4, b"GET /openapi.json HTTP/1.1\r\nHost: here.com\r\n\r\n" * 24)


@contextmanager
def slow_stripe(stack: Stack, _: Mongod) -> Iterator[None]:
    def create(_: int) -> Reply:
        return stack.service.post("/customers", {"username": f"{uuid.uuid4()}@here.com"})

    stack.stripe.fault("slow_after", "POST /v1/customers", seconds=4, times=24)
    with ThreadPoolExecutor(24) as pool:
        told = [pool.submit(create, number) for number in range(24)]
        eventually(lambda: sum(each.fault == "slow_after" for each in stack.stripe.requests) >= THREADS)
        yield
    stack.stripe.clear_faults()
    answers = [each.result() for each in told]
    assert {answer.status for answer in answers} == {201, 503}, "two workers ask Stripe sixteen times at once"
    for answer in answers:
        if answer.status == 503:
            assert answer.body["type"].endswith("/unavailable")
            assert {*HEADERS, "Retry-After", "X-Request-Id"} <= {*answer.headers}


@contextmanager
def hanging_mongodb(stack: Stack, mongod: Mongod) -> Iterator[None]:
    mongod.pause()
    try:
        yield
    finally:
        mongod.resume()
        for other in stack.workers():  # one alone may answer all requests; and a driver takes a second to trust MongoDB
            with frozen(other):
                eventually(lambda: stack.service.get("/readyz").status == 200 and deliver(stack).status == 200, 20)


Siege = Callable[[Stack, Mongod], AbstractContextManager[None]]


def asked(stack: Stack, ask: Callable[[], Reply], within: float) -> int:
    began = time.monotonic()
    status = ask().status
    assert time.monotonic() - began < within, f"{status} took too long"
    return status


def news() -> bytes:
    raw = event("customer.updated", {"id": "cus_1", "object": "customer"}, 1)
    return json.dumps(json.loads(raw) | {"id": f"evt_{uuid.uuid4().hex}"}).encode()


def deliver(stack: Stack) -> Reply:
    told = json.loads(news())
    signature = WebhookSignature.generate_signature_header(json.dumps(told), stack.webhook_secret)
    return stack.service.call("POST", "/webhooks/stripe", told, {"Stripe-Signature": signature})


def assert_refused_soon(stack: Stack) -> None:
    """Assert that webhooks are answered 503 while MongoDB hangs: the first after one call, the others at once."""
    with ExitStack() as open_ones, ThreadPoolExecutor(24) as pool:
        first = []
        for other in stack.workers():  # each of the two has its own to learn from
            with frozen(other):
                for _ in range(12):
                    first.append(open_ones.enter_context(connected(stack)))
                    first[-1].sendall(signed(stack.url, "/webhooks/stripe", news(), stack.webhook_secret))
                assert asked(stack, lambda: stack.service.get("/healthz"), AT_ONCE) == 200, "it comes after those"
        told = [pool.submit(answered, each) for each in first]
        while not all(each.done() for each in told):
            assert asked(stack, lambda: stack.service.get("/healthz"), AT_ONCE) == 200

        assert {each.result() for each in told} == {503}
        later = at_once(12, lambda _: asked(stack, lambda: deliver(stack), 2.5))
        assert set(later) == {503}, "one asks whether MongoDB is there again, the others do not wait for it"


def answered(connection: socket.socket) -> int:
    connection.settimeout(MONGODB_S)
    return int(connection.recv(4096)[9:12])


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process have that many connections."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "siege", [silent_beside_slow_bodies, slow_heads, slow_bodies, answers_that_nobody_takes, slow_stripe]
)
def test_beside_a_siege_probes_and_webhooks_are_answered_at_once(stack: Stack, mongod: Mongod, siege: Siege) -> None:
    with siege(stack, mongod):
        for _ in range(6):  # whichever worker answers
            assert asked(stack, lambda: stack.service.get("/healthz"), AT_ONCE) == 200
            assert asked(stack, lambda: stack.service.get("/readyz"), AT_ONCE) == 200
            assert asked(stack, lambda: deliver(stack), AT_ONCE) == 200


def test_while_mongodb_hangs_probes_are_answered_at_once_and_soon_webhooks_are(stack: Stack, mongod: Mongod) -> None:
    with hanging_mongodb(stack, mongod):
        assert_refused_soon(stack)

    assert deliver(stack).status == 200


def test_no_header_says_where_the_path_begins(stack: Stack) -> None:
    """Everybody comes from this machine here, as through a proxy on it."""
    for said in ({"SCRIPT_NAME": "/webhooks"}, {"Script-Name": "/webhooks"}, {"PATH_INFO": "/customers"}):
        assert stack.service.call("GET", "/webhooks/customers", headers=said).status == 404
    assert stack.service.call("GET", "/healthz", headers={"SCRIPT_NAME": "/elsewhere"}).status == 200
    scheme = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off"}
    assert stack.service.call("GET", "/healthz", headers=scheme).status == 200, "who is not believed cannot contradict"


def test_what_nobody_can_read_is_logged_in_a_few_lines(stack: Stack) -> None:
    log = stack.process("gunicorn").log
    for _ in range(100):
        with connected(stack) as stranger:
            stranger.sendall(b"GET /\x00 HTTP/1.1\x1b[2J\r\nHost here.com\r\n\r\n")
            assert stranger.recv(4096).startswith(b"HTTP/1.1 400")

    lines = [line for line in log.read_text().splitlines() if "Invalid request" in line]
    assert 1 <= len(lines) <= 2 * LINES, "ten a minute of each worker"
    assert all(line.isprintable() for line in lines)


def test_whoever_is_slow_or_sends_all_at_once_is_answered_whole(stack: Stack) -> None:
    """The other side of it: nothing that is patient and honest suffers."""
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: here.com\r\n\r\n"
    with connected(stack) as slow:
        for each in (ask * 8)[:-1]:
            slow.sendall(bytes([each]))
        began = time.monotonic()
        asked(stack, lambda: stack.service.get("/healthz"), AT_ONCE)
        slow.sendall(ask[-1:])
        slow.shutdown(socket.SHUT_WR)
        came = b"".join(iter(lambda: slow.recv(16_384), b""))

    assert came.count(b"HTTP/1.1 200 OK") == 8
    assert came.count(json.dumps(stack.service.get("/openapi.json").body).encode()) == 8
    assert time.monotonic() - began < MONGODB_S
