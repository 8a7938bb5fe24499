"""Traces by OpenTelemetry: what requests, batches of webhooks, requests to Stripe and runs took, and what caused what.

They need the extra `traces`, and an address to be sent to. Without both nothing is loaded, and a span costs a call. A
span names the route, the method and the first words of a path, never a person, a query or what was sent.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.environment import read_environment
from stripe_mongo_sync.sync.process.fork import in_every_child

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

NAME = "stripe-mongo-sync"
MISSING = f'OTEL_EXPORTER_OTLP_ENDPOINT is given, and no trace is sent: pip install "{NAME}[traces]"'

_tracer: "Tracer | None" = None
_none = nullcontext[None](None)


def begin() -> None:
    """Trace from now on, if an address is given. Each process does so by itself, after it was forked."""
    given = read_environment().values
    base = given.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
    address = given.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if not (base or address):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import DEFAULT_TRACES_EXPORT_PATH, OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning(MISSING)
        return
    global _tracer
    # The detector reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    provider = TracerProvider(resource=Resource({"service.name": NAME}).merge(OTELResourceDetector().detect()))
    exporter = OTLPSpanExporter(address or f"{base}/{DEFAULT_TRACES_EXPORT_PATH}")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("stripe_mongo_sync")


def _in_a_child() -> None:
    """Trace nothing: the thread that sends is the parent's."""
    global _tracer
    _tracer = None


in_every_child(_in_a_child)


def span(name: str, caller: Any = None, **about: str | int) -> "AbstractContextManager[Span | None]":
    """Return the span of what is done inside a `with`; `caller` are the headers that may name the span that caused it.

    The text of an exception is no part of it.
    """
    if _tracer is None:
        return _none
    from opentelemetry.propagate import extract

    cause = None if caller is None else extract(caller)
    return _tracer.start_as_current_span(
        name, cause, attributes=about, record_exception=False, set_status_on_exception=False
    )


def fails(span: "Span | None", why: str) -> None:
    """Mark a span as failed, with a word of ours."""
    if span is not None:
        from opentelemetry.trace import StatusCode

        span.set_status(StatusCode.ERROR, why)
