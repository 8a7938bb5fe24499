"""Counts what a process serves, for `/metrics`. A process that serves nothing counts nothing, and loads nothing for it.

Each worker of gunicorn counts in files of its own place, which every worker adds up; the one that takes the place of a
dead one goes on with its files. So no count is lost with a worker, and there are no more files than workers. A label
has one of the values that are listed here or in the registry of types: never a person, an id or a path.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.sync.process.fork import in_every_child

if TYPE_CHECKING:
    from prometheus_client import Histogram, Metric

PREFIX = "stripe_sync_"
DUPLICATE, REFUSED, NOT_STORED = "duplicate", "refused", "not_stored"
WEBHOOKS = (*map(str, EventState), DUPLICATE, REFUSED, NOT_STORED)  # what became of a webhook
METHODS = ("get", "post", "delete")
ANSWERS = ("reply", "refusal", "unknown", "denied")  # of Stripe; denied: to this key
OPERATIONS = ("done", "refused", "pending")  # what a push made of an operation
STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Counters:
    """The counters. What has few values is there from the beginning, with zero: so its first increase is seen, too."""

    def __init__(self, place: int | None = None) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, values

        self.place = place
        self.shared = bool(values.ValueClass._multiprocess)  # or else in the memory of this process
        self.registry = own = CollectorRegistry()  # not the one that an application may serve itself
        webhooks = Counter("stripe_sync_webhooks_total", "Webhooks, by what became of them.", ["state"], registry=own)
        self.webhooks = {state: webhooks.labels(state) for state in WEBHOOKS}
        self.webhook_seconds = Histogram(
            "stripe_sync_webhook_seconds",
            "From a signed webhook to its outcome.",
            registry=own,
            buckets=SECONDS,
        )
        self.batch_size = Histogram(
            "stripe_sync_batch_size", "Events that were committed together.", registry=own, buckets=EVENTS
        )
        requests = Counter(
            "stripe_sync_stripe_requests_total",
            "Requests to Stripe, by method and by the kind of answer.",
            ["method", "outcome"],
            registry=own,
        )
        self.stripe_requests = {(way, answer): requests.labels(way, answer) for way in METHODS for answer in ANSWERS}
        self.stripe_request_seconds = Histogram(
            "stripe_sync_stripe_request_seconds", "What Stripe took to answer.", registry=own, buckets=SECONDS
        )
        self.operations = Counter(
            "stripe_sync_operations_total",
            "Operations that were sent to Stripe, by what the answer made of them.",
            ["kind", "verb", "outcome"],
            registry=own,
        )
        http = Histogram(
            "stripe_sync_http_request_seconds",
            "From a request of the API to its response, by the class of its status.",
            ["status"],
            registry=own,
            buckets=SECONDS,
        )
        self.http_request_seconds = {status: http.labels(status) for status in STATUSES}


_counters: Counters | None = None


def begin() -> None:
    """Count what this process serves from now on, unless it counts already."""
    global _counters
    _counters = _counters or Counters()


def begin_at(place: int) -> None:
    """Count from now on as gunicorn's worker at this place, in the folder PROMETHEUS_MULTIPROC_DIR. Raises OSError, or
    whatever else is wrong with it; then this process can `begin` to count in its memory.
    """
    from prometheus_client import values

    global _counters
    values.ValueClass = values.MultiProcessValue(lambda: f"place{place}")  # type: ignore[no-untyped-call]
    try:
        _counters = Counters(place)
    except BaseException:
        values.ValueClass = values.MutexValue
        raise


def _in_a_child() -> None:
    """Count anew, without locks that a thread of the parent may hold. A child of a worker has no place to count at."""
    global _counters
    if _counters is not None and _counters.place is not None:
        _counters = None
    elif _counters is not None and not _counters.shared:
        _counters = Counters()


in_every_child(_in_a_child)


def collected() -> "list[Metric]":
    """Return what was counted: by all workers since gunicorn started, or else by this process."""
    if _counters is None:
        return []
    if not _counters.shared:
        found: Iterable[Metric] = _counters.registry.collect()
    else:
        from prometheus_client.multiprocess import MultiProcessCollector

        found = MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]
    own = sorted((each for each in found if each.name.startswith(PREFIX)), key=lambda each: each.name)
    for each in own:  # when a process began to count is nobody's question, and not told of several
        each.samples = [sample for sample in each.samples if not sample.name.endswith("_created")]
    return own


def count_webhooks(told: Iterable[tuple[str, float]]) -> None:
    """Count webhooks by their states; the second of each pair is when it came, by `perf_counter`."""
    if _counters is None:
        return
    now, all_told = perf_counter(), [*told]
    for state, number in Counter(state for state, _ in all_told).items():
        _counters.webhooks[state].inc(number)
    _observe(_counters.webhook_seconds, [now - came for _, came in all_told])


def count_batch(events: int) -> None:
    """Count a batch of events that were committed together."""
    if _counters is not None:
        _counters.batch_size.observe(events)


def count_stripe_request(method: str, outcome: str, seconds: float) -> None:
    """Count a request to Stripe."""
    if _counters is not None:
        _counters.stripe_requests[method, outcome].inc()
        _counters.stripe_request_seconds.observe(seconds)


def count_operation(kind: str, verb: str, outcome: str) -> None:
    """Count an operation that was sent to Stripe."""
    if _counters is not None:
        _counters.operations.labels(kind, verb, outcome).inc()


def count_http_request(status: int, seconds: float) -> None:
    """Count a request of the API."""
    if _counters is not None:
        _counters.http_request_seconds[f"{status // 100}xx"].observe(seconds)


def count_busy(*, webhook: bool, waited: float) -> None:
    """Count a request that the server answered with 503 by itself, because no thread came free for it."""
    if webhook:
        count_webhooks([(NOT_STORED, perf_counter() - waited)])
    else:
        count_http_request(503, waited)


def _observe(histogram: "Histogram", values: Sequence[float]) -> None:
    """Observe many values at once: each bucket changes once, not for each value, as by `Histogram.observe`."""
    histogram._sum.inc(sum(values))
    for bucket, number in Counter(bisect_left(histogram._upper_bounds, value) for value in values).items():
        histogram._buckets[bucket].inc(number)
