"""Connections to Stripe break and stall, Stripe itself dies, and a caller is slow: what is told stays true."""

import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.book import settle, storm
from tests.chaos.load import ALLOWED

RESETS = {"refuse": 0.05, "cut_before": 0.1, "cut_after": 0.1, "bad_body": 0.05}

pytestmark = pytest.mark.long


@pytest.mark.fault("110")
def test_connections_that_stripe_resets(stack: Stack) -> None:
    with storm(stack, clients=6, seed=110) as load:
        stack.stripe.chaos(110, RESETS, "/v1/*")
        load.goes_on(120)
        stack.stripe.chaos(110, {})

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.fault("111")
def test_connections_that_stall_hold_only_their_own_requests(stack: Stack) -> None:
    with storm(stack, clients=6, seed=111) as load:
        for fault in ("timeout_before", "timeout_after", "slow", "slow_after"):
            stack.stripe.fault(fault, "POST /v1/*", times=2, seconds=20)
        load.goes_on(120)

    settle(stack, load)
    assert load.told <= ALLOWED
    assert max(answer.took for answer in load.answers) < 45, "the budget of a request"


@pytest.mark.fault("112")
def test_stripe_dies_and_comes_back_with_its_state(stack: Stack) -> None:
    with storm(stack, clients=6, seed=112) as load:
        for _ in range(3):
            stack.kill("emulator")
            load.asks(10)
            stack.start("emulator")
            load.goes_on()

    settle(stack, load)
    assert load.told <= ALLOWED


@pytest.mark.fault("113")
def test_a_client_that_sends_a_byte_at_a_time_holds_only_its_thread(stack: Stack) -> None:
    body = json.dumps({"username": "slow@here.com"}).encode()
    head = (
        f"POST /customers HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {stack.service.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    where, over = urlsplit(stack.url), threading.Event()
    with storm(stack, seed=113) as load, socket.create_connection((where.hostname, where.port), 60) as slow:
        slow.sendall(head.encode())
        for byte in body:
            slow.sendall(bytes([byte]))
            over.wait(0.1)
            assert time.monotonic() - load.answers[-1].at < 3, "the others are served meanwhile"
        assert slow.recv(65_536).startswith(b"HTTP/1.1 201")

    settle(stack, load)
