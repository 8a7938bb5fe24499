"""Connections to Stripe break and stall, Stripe itself dies, and callers are slow or many: what is told stays true."""

import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from stripe import WebhookSignature

from demo.stack import Stack
from tests.chaos.book import settle, storm
from tests.chaos.load import DONE, OPEN
from tests.support.answers import at_once

REFUSALS = (402, 404, 409, 422)
RESETS = {"refuse": 0.05, "cut_before": 0.1, "cut_after": 0.1, "bad_body": 0.05}


@pytest.mark.long
@pytest.mark.fault("110")
def test_connections_that_stripe_resets(stack: Stack) -> None:
    with storm(stack, clients=6, seed=110) as load:
        stack.stripe.chaos(110, RESETS, "/v1/*")
        load.goes_on(120)
        stack.stripe.chaos(110, {})

    settle(stack, load)
    assert {answer.status for answer in load.answers} <= {*DONE, *OPEN, *REFUSALS}


@pytest.mark.long
@pytest.mark.fault("111")
def test_connections_that_stall_hold_only_their_own_requests(stack: Stack) -> None:
    with storm(stack, clients=6, seed=111) as load:
        for fault in ("timeout_before", "timeout_after", "slow", "slow_after"):
            stack.stripe.fault(fault, "POST /v1/*", times=2, seconds=20)
        load.goes_on(120)

    settle(stack, load)
    assert {answer.status for answer in load.answers} <= {*DONE, *OPEN, *REFUSALS}
    assert max(answer.took for answer in load.answers) < 45, "the budget of a request"


@pytest.mark.long
@pytest.mark.fault("112")
def test_stripe_dies_and_comes_back_with_its_state(stack: Stack) -> None:
    with storm(stack, clients=6, seed=112) as load:
        for _ in range(3):
            stack.kill("emulator")
            load.asks(10)
            stack.start("emulator")
            load.goes_on()

    settle(stack, load)
    assert {answer.status for answer in load.answers} <= {*DONE, *OPEN, *REFUSALS}


@pytest.mark.long
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


@pytest.mark.fault("29")
def test_one_event_fifty_times_at_once_is_kept_once(stack: Stack) -> None:
    assert stack.service.post("/customers", {"username": "often@here.com"}).status == 201
    told = next(event for event in stack.stripe.events() if event["type"] == "customer.created")
    told |= {"id": "evt_fifty"}

    def send(number: int) -> tuple[int, str]:
        signature = WebhookSignature.generate_signature_header(json.dumps(told), stack.webhook_secret)
        answer = stack.service.call("POST", "/webhooks/stripe", told, {"Stripe-Signature": signature})
        return answer.status, answer.body["state"]

    answers = at_once(50, send)

    assert {status for status, _ in answers} == {200}
    assert sum(state != "duplicate" for _, state in answers) == 1, "one of them was the first"
    assert stack.database["stripe_events"].count_documents({"_id": "evt_fifty"}) == 1
    assert len(stack.stripe.objects("customer")) == stack.database["customers"].count_documents({"status": "active"})
