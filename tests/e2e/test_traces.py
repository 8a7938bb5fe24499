"""Traces, as a collector receives them: what a request caused, in each process, and nobody by name."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from stripe import WebhookSignature

from stripe_mongo_sync.demo.stack import Stack
from tests.support import eventually
from tests.support.events import event
from tests.support.mongo import MongoServer

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
NAME = "ada@here.com"


class Collector:
    """A server of the protocol OTLP, which keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.keep(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keep(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Any]:
        return [span for span in list(self.spans) if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_collector_sees_what_each_process_did_and_what_caused_it(
    mongo_server: MongoServer, collector: Collector
) -> None:
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Stack(mongodb=mongo_server.uri("x"), environment=traced) as stack:
        caused = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"}
        made = stack.service.call("POST", "/customers", {"username": NAME}, caused)
        assert made.status == 201
        stack.service.get(f"/customers/{NAME}")
        raw = event("plan.updated", {"id": "x_1", "object": "odd"}, 1).decode()
        signature = WebhookSignature.generate_signature_header(raw, stack.webhook_secret)
        sent = {"Stripe-Signature": signature}
        assert stack.service.call("POST", "/webhooks/stripe", json.loads(raw), sent).status == 200
        stack.stripe.fault("refuse", "GET /v1/events", times=2)
        assert stack.reconcile()[0] == 2
        eventually(lambda: collector.named("commit a batch"))

    (request,) = collector.named("POST /customers")
    assert request.trace_id.hex() == CALLER
    assert {each.key: each.value.int_value for each in request.attributes} == {"http.response.status_code": 201}
    posted = [span for span in collector.named("Stripe POST /v1/customers") if span.trace_id == request.trace_id]
    assert [span.parent_span_id for span in posted] == [request.span_id]
    assert [span for span in collector.spans if span.name.startswith("GET /customers/<")]
    (run,) = collector.named("reconcile")
    failed = [span for span in collector.named("Stripe GET /v1/events") if span.trace_id == run.trace_id]
    assert {span.status.message for span in failed} == {"unknown"}
    assert collector.services == {"stripe-mongo-sync"}
    for secret in (NAME, made.body["id"], made.body["stripe_id"], stack.webhook_secret):
        assert secret.encode() not in collector.raw


def test_a_collector_that_is_away_delays_no_answer(mongo_server: MongoServer) -> None:
    with Stack(
        mongodb=mongo_server.uri("x"),
        environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"},
    ) as stack:
        assert stack.service.post("/customers", {"username": NAME}).status == 201
        assert stack.reconcile()[0] == 0
