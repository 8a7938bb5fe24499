"""Gauges: what the database says when `/metrics` is read, by the questions of `status`, which indexes answer.

They are the same whichever process is asked. Without MongoDB only the counters are told, and that it is away.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import pymongo
from mongoengine.connection import ConnectionFailure
from pymongo.errors import PyMongoError

from stripe_mongo_sync.models import Delivery, DeliveryState, Event, StagedDocument, UsageRecord, present_kinds
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.tally import count_each, counts, having
from stripe_mongo_sync.models.state import HEARTBEAT, State, last_success
from stripe_mongo_sync.sync import metrics
from stripe_mongo_sync.sync.errors import SyncError
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.operator.mongodb import bytes_left
from stripe_mongo_sync.sync.operator.status import IN_REVIEW, due_since, is_confirmed, notices, unconfirmed_since

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Values = dict[tuple[str, ...], float]  # by the values of its labels

TIMEOUT = 5.0  # s for all of them; Prometheus waits for 10 s
QUEUES = {"events": Event, "hooks": Delivery, "usage": UsageRecord}  # what is due beside documents
DELIVERIES = (DeliveryState.PENDING, DeliveryState.DEAD)  # those that are done expire


def exposition() -> bytes:
    """Return the counters and the gauges, in the text format of Prometheus."""
    from prometheus_client import generate_latest

    return generate_latest(_Told([*metrics.collected(), *_gauges()]))


class _Told:
    """What Prometheus's library writes down."""

    def __init__(self, told: "list[Metric]") -> None:
        self._told = told

    def collect(self) -> "list[Metric]":
        """Return it."""
        return self._told


def _gauges() -> "list[Metric]":
    try:
        with pymongo.timeout(TIMEOUT):
            found = [*_of_database()]
    except (PyMongoError, SyncError, ConnectionFailure) as error:
        log.warning("metrics are told without those of MongoDB (%s)", type(error).__name__)
        found = []
    return [_gauge("mongodb_up", "Whether MongoDB answered this.", {(): bool(found)}), *found]


def _of_database() -> "Iterator[Metric]":
    now = clock.now()
    there = having(present_kinds().values(), {})
    events, _ = counts(Event, "state", EventState)
    deliveries, _ = counts(Delivery, "state", DELIVERIES)
    unmoved, told_since = notices(there)
    deliveries[DeliveryState.PENDING] = deliveries.get(DeliveryState.PENDING, 0) + unmoved
    due = due_since(now, [*there, Event, Delivery, UsageRecord])
    review = count_each(there, IN_REVIEW)
    unconfirmed = count_each([model for model in there if is_confirmed(model)], unconfirmed_since(now))
    since: dict[str, list[datetime]] = {
        "documents": [at for source, at in due.items() if issubclass(source, StagedDocument)],
        **{what: [due[source]] if source in due else [] for what, source in QUEUES.items()},
    }
    since["hooks"] += told_since
    late: Values = {(what,): (now - min([now, *each])).total_seconds() for what, each in since.items()}
    yield _gauge("events", "Received events.", {(state,): events.get(state, 0) for state in EventState}, "state")
    yield _gauge("oldest_due_seconds", "Since when something is due; 0: nothing is.", late, "what")
    yield _gauge("documents_in_review", "Documents that an operator must decide about.", {(): review})
    yield _gauge("unconfirmed_documents", "Documents that no webhook confirmed in an hour.", {(): unconfirmed})
    if (left := bytes_left()) is not None:
        yield _gauge("mongodb_disk_free_bytes", "Bytes that are left on the disk of MongoDB.", {(): left})
    yield _gauge(
        "hook_deliveries",
        "Deliveries to hooks that are not done.",
        {(state,): deliveries.get(state, 0) for state in DELIVERIES},
        "state",
    )
    heartbeat = State.read(HEARTBEAT)
    saw = heartbeat or {}
    missing, wrong = saw.get("without_webhook", 0.0), len(saw.get("indexes", ()))
    yield _gauge("events_without_webhook_ratio", "Share of the newest events that no webhook brought.", {(): missing})
    yield _gauge("indexes_wrong", "Indexes that the last reconcile found missing, wrong or not ours.", {(): wrong})
    yield _gauge(
        "reconcile_last_success_timestamp_seconds",
        "When a reconcile last looked at everything; 0: never.",
        {(): last_success(heartbeat) or 0.0},
    )


def _gauge(name: str, says: str, values: Values, *labels: str) -> "Metric":
    from prometheus_client.metrics_core import GaugeMetricFamily

    family = GaugeMetricFamily(metrics.PREFIX + name, says, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family
