"""The emulator as a server: real sockets, cut connections, deliveries, and state that survives a restart."""

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from urllib.request import Request, urlopen

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.control import Control, ControlError
from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.emulator.fronts.webhook_sender import WebhookSender
from stripe_mongo_sync.emulator.state.webhooks import FAST
from tests.contract.conftest import Json


@pytest.fixture
def server(emulator: Emulator) -> Iterator[Server]:
    with Server(emulator) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient(timeout=(1, 1))
    yield stripe.StripeClient("sk_test_x", base_addresses={"api": server.url}, http_client=http)
    http.close()


@pytest.fixture
def control(server: Server) -> Control:
    return Control(server.url)


def test_who_dies_while_sending_has_asked_for_nothing(
    emulator: Emulator, server: Server, client: stripe.StripeClient
) -> None:
    head = (
        "POST /v1/customers HTTP/1.1\r\nHost: stripe\r\nAuthorization: Bearer sk_test_x\r\nIdempotency-Key: k\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\n"
    )
    for sent in ("", "email=a@examp"):
        with socket.create_connection(server.server_address[:2], timeout=5) as dying:
            dying.sendall(f"{head}{sent}".encode())
            dying.shutdown(socket.SHUT_WR)
            assert dying.recv(1) == b""

    assert (emulator.requests, emulator.objects("customer")) == ([], [])
    made = client.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k"})
    assert made.email == "a@example.com"


class Hook(ThreadingHTTPServer):
    """A webhook endpoint that answers with the given statuses, then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        received: Queue[tuple[bytes, str]] = Queue()
        statuses: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(statuses.pop(0) if statuses else 200)
                self.end_headers()
                received.put((body, self.headers["Stripe-Signature"]))

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.received = received
        self.statuses = statuses
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestSockets:
    def test_the_library_talks_to_it(self, client: stripe.StripeClient, control: Control) -> None:
        made = client.v1.customers.create({"name": "Zoë", "metadata": {"a b": "c&d"}})

        assert client.v1.customers.retrieve(made.id).name == "Zoë"
        assert control.objects("customer")[0]["metadata"] == {"a b": "c&d"}

    @pytest.mark.parametrize(("fault", "made"), [("refuse", 0), ("cut_before", 0), ("cut_after", 1)])
    def test_a_cut_is_a_connection_error(
        self, client: stripe.StripeClient, control: Control, fault: str, made: int
    ) -> None:
        client.v1.customers.list()  # so that the next request uses a kept-alive connection
        control.fault(fault)

        with pytest.raises(stripe.APIConnectionError):
            client.v1.customers.create({})
        assert len(control.objects("customer")) == made

    def test_a_timeout_outlasts_the_caller(self, client: stripe.StripeClient, control: Control) -> None:
        control.fault("timeout_after", seconds=30)

        with pytest.raises(stripe.APIConnectionError, match=r"[Tt]imed? ?out"):
            client.v1.customers.create({})
        assert len(control.objects("customer")) == 1

    def test_a_connection_serves_many_requests(self, server: Server) -> None:
        host, port = server.server_address[:2]
        with socket.create_connection((str(host), int(port)), timeout=5) as raw:
            for _ in range(2):
                raw.sendall(b"GET /v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_test_x\r\n\r\n")
                assert b"HTTP/1.1 200" in raw.recv(65_536)

    def test_basic_authentication_is_as_good(self, server: Server) -> None:
        token = base64.b64encode(b"sk_test_x:").decode()
        with urlopen(Request(f"{server.url}/v1/account", headers={"Authorization": f"Basic {token}"})) as reply:
            assert json.load(reply)["object"] == "account"


class TestDeliveries:
    def test_an_event_is_delivered_and_retried_until_it_is_taken(
        self, emulator: Emulator, client: stripe.StripeClient, hook: Hook
    ) -> None:
        emulator.webhooks.schedule = (0.0, 0.0, 0.0)
        secret = emulator.endpoint(hook.url)["secret"]
        hook.statuses[:] = [500, 302]
        with WebhookSender(emulator):
            made = client.v1.customers.create({})
            bodies = [hook.received.get(timeout=10) for _ in range(3)]

        assert len({body for body, _ in bodies}) == 1
        event = client.construct_event(bodies[2][0], bodies[2][1], secret)
        assert event.data.object["id"] == made.id
        assert emulator.webhooks.outstanding() == 0
        assert emulator.events()[0]["pending_webhooks"] == 0

    def test_an_endpoint_that_fails_leaves_the_event_pending(self, emulator: Emulator, hook: Hook) -> None:
        emulator.endpoint(hook.url)
        hook.statuses[:] = [500]
        with WebhookSender(emulator):  # which ends only after the running attempt
            emulator.dashboard.create("customer")
            hook.received.get(timeout=10)

        assert emulator.webhooks.outstanding() == 1
        assert emulator.events()[0]["pending_webhooks"] == 1


class TestControl:
    @staticmethod
    def people(control: Control) -> None:
        """Act as buyers and cardholders, from another process."""
        data = {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}
        line = {"price_data": data, "quantity": 1}
        session = control.dashboard.create(
            "checkout.session", mode="payment", success_url="https://example.com", line_items=[line]
        )
        assert control.pay_session(session["id"], "pm_card_chargeDeclined")["status"] == "open"
        assert control.pay_session(session["id"])["payment_status"] == "paid"
        with pytest.raises(ControlError, match="cannot be paid"):
            control.pay_session(session["id"])
        card = {
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://example.com",
        }
        asked = control.dashboard.create("setup_intent", **card)
        assert control.authenticate(asked["id"])["status"] == "succeeded"
        intent = control.dashboard.create("payment_intent", amount=500, currency="usd")
        assert control.dashboard.act("payment_intent", intent["id"], "cancel")["status"] == "canceled"
        owned = control.insert("subscription", customer="cus_x")
        assert control.dashboard.end("subscription", owned["id"])["status"] == "canceled"

    def test_it_mirrors_the_knobs(self, emulator: Emulator, control: Control, client: stripe.StripeClient) -> None:
        made = control.dashboard.create("customer", email="a@example.com")
        control.dashboard.update("customer", made["id"], name="A")
        control.insert("charge", customer=made["id"])
        assert client.v1.charges.list({"customer": made["id"]}).data[0].paid is True
        control.dashboard.delete("customer", made["id"])
        assert control.usable("customer") == []
        assert [event["type"] for event in control.events()] == [
            "customer.created",
            "customer.updated",
            "customer.deleted",
        ]

        self.people(control)
        before = control.clock.now()
        control.clock.advance(3600)
        assert control.clock.now() >= before + 3600
        endpoint = control.endpoint("http://here/hook", "whsec_x")
        assert control.roll_secret(endpoint["id"]).startswith("whsec_")
        control.webhooks.disrupt(drop=1)
        client.v1.customers.create({})
        assert control.webhooks.outstanding() == 0
        control.resend(control.events()[-1]["id"])
        assert control.webhooks.outstanding() == 1
        control.lag_events(60)
        assert client.v1.events.list({"created": {"gte": int(before) + 3000}}).data == []
        control.lag_events(0)
        control.limit(1)
        with pytest.raises(stripe.RateLimitError):
            [client.v1.customers.list() for _ in range(3)]
        control.limit()
        for lose in (control.lose_event, control.hide_event, control.duplicate_events):
            lose("nothing.*")
        control.show_events()
        control.chaos(1, {"503_edge": 1.0})
        with pytest.raises(stripe.APIError):
            client.v1.customers.list()
        control.clear_faults()
        assert control.requests[-1].fault == "503_edge"

    def test_late_requests_and_repairs(self, control: Control, client: stripe.StripeClient) -> None:
        for fault in ("late_request", "500_repair"):
            control.fault(fault)
            with suppress(stripe.StripeError):
                client.v1.customers.create({})

        assert control.release_late_requests() == 1
        assert len(control.repair()) == 1
        assert len(control.objects("customer")) == 2

    def test_a_held_request_is_let_go(self, control: Control, server: Server, emulator: Emulator) -> None:
        control.fault("hold")
        answers: Queue[int] = Queue()
        request = Request(f"{server.url}/v1/account", headers={"Authorization": "Bearer sk_test_x"})

        def ask() -> None:
            with urlopen(request) as reply:
                answers.put(reply.status)

        thread = threading.Thread(target=ask)
        thread.start()
        while not control.requests:  # it is logged before it is held
            pass
        assert answers.empty()
        control.release_holds()
        assert answers.get(timeout=10) == 200
        thread.join()

    def test_keys_and_accounts(self, control: Control, client: stripe.StripeClient) -> None:
        control.restrict("sk_test_x", {"customer": "all"})
        with pytest.raises(stripe.PermissionError):
            client.v1.customers.list()
        control.revoke("sk_test_x")
        with pytest.raises(stripe.AuthenticationError):
            client.v1.products.list()
        control.reset_account("acct_2")
        control.wipe()
        assert control.account == "acct_2"

    def test_an_unknown_control_or_argument_is_named(self, control: Control) -> None:
        with pytest.raises(ControlError, match=r"404.*no control is called POST flood"):
            control.post("flood")
        with pytest.raises(ControlError, match=r"404.*no control is called GET flood"):
            control.get("flood")
        with pytest.raises(ControlError, match=r"422.*no fault is called 'flood'"):
            control.fault("flood")
        with pytest.raises(ControlError, match=r"422.*colour"):
            control.post("wipe", colour="red")
        with pytest.raises(ControlError, match=r"400.*Invalid email address"):
            control.dashboard.create("customer", email="x")
        with pytest.raises(ControlError, match="422"):
            control.insert("unicorn")


class Process:
    """Runs `python -m emulator` on a free port."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "emulator", "--port", "0", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline()
        self.url = self.ready.split()[-1]

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            self.end(signal.SIGKILL)

    def end(self, number: int) -> int:
        self._process.send_signal(number)
        code = self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


class TestProcess:
    def test_it_says_when_it_is_ready_and_stops_on_sigterm(self) -> None:
        with Process() as process:
            assert process.ready == f"emulator ready at {process.url}\n"
            assert process.end(signal.SIGTERM) == 0

    def test_state_survives_a_kill(self, tmp_path: Path, hook: Hook) -> None:
        arguments = ("--state", str(tmp_path / "state"), "--seed", "1", "--account", "acct_kept")

        def use(url: str) -> Json:
            return (
                stripe.StripeClient("sk_test_x", base_addresses={"api": url})
                .v1.customers.create({"name": "a"}, {"idempotency_key": "k"})
                .to_dict()
            )

        with Process(*arguments) as first:
            made = use(first.url)
            Control(first.url).clock.advance(3600)
            first.end(signal.SIGKILL)
        with Process(*arguments, "--webhook-url", hook.url, "--webhook-secret", "whsec_x", "--fast-retries") as second:
            control = Control(second.url)
            assert use(second.url)["id"] == made["id"]
            assert control.objects("customer")[0]["id"] == made["id"]
            assert control.clock.now() > made["created"] + 3000
            assert control.account == "acct_kept"
            fresh = control.dashboard.create("customer")
            assert fresh["id"] != made["id"]
            body, signature = hook.received.get(timeout=10)
            assert stripe.Webhook.construct_event(body, signature, "whsec_x", tolerance=7200).type == "customer.created"
            second.end(signal.SIGTERM)


def test_the_fast_schedule_is_fast() -> None:
    assert sum(FAST) < 90
