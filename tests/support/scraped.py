"""What Prometheus makes of `/metrics`, read by its own parser."""

from collections import Counter
from typing import Any

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from stripe_mongo_sync.models import changed_kinds, kinds
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.sync.metrics import EVENTS, SECONDS

LE = {*(str(float(bound)) for bound in (*SECONDS, *EVENTS)), "+Inf"}
CLOSED = {  # every value that a label may have, by metric and label
    "stripe_sync_webhooks": {"state": {*EventState, "duplicate", "refused", "not_stored"}},
    "stripe_sync_webhook_seconds": {"le": LE},
    "stripe_sync_batch_size": {"le": LE},
    "stripe_sync_stripe_requests": {
        "method": {"get", "post", "delete"},
        "outcome": {"reply", "refusal", "unknown", "denied"},
    },
    "stripe_sync_stripe_request_seconds": {"le": LE},
    "stripe_sync_operations": {
        "kind": {*kinds()},
        "verb": {
            "create",
            "update",
            "delete",
            *(v for each in changed_kinds().values() for v in each.resource.actions),
        },
        "outcome": {"done", "refused", "pending"},
    },
    "stripe_sync_http_request_seconds": {"status": {f"{first}xx" for first in range(1, 6)}, "le": LE},
    "stripe_sync_mongodb_up": {},
    "stripe_sync_events": {"state": {*EventState}},
    "stripe_sync_oldest_due_seconds": {"what": {"documents", "events", "hooks", "usage"}},
    "stripe_sync_documents_in_review": {},
    "stripe_sync_unconfirmed_documents": {},
    "stripe_sync_events_without_webhook_ratio": {},
    "stripe_sync_mongodb_disk_free_bytes": {},
    "stripe_sync_indexes_wrong": {},
    "stripe_sync_hook_deliveries": {"state": {"pending", "dead"}},
    "stripe_sync_reconcile_last_success_timestamp_seconds": {},
}


class Scrape:
    """One reading of all metrics. Raises AssertionError for a label, or a value of one, that is none of ours."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
        for family in self.families.values():
            assert family.documentation, family.name
            for sample in family.samples:
                labels = frozenset(sample.labels.items())
                assert (sample.name, labels) not in self.samples, "a sample is told once"
                allowed = CLOSED[family.name]
                assert all(value in allowed[name] for name, value in labels), sample
                self.samples[sample.name, labels] = sample.value  # type: ignore[assignment]  # a float

    def value(self, name: str, **labels: str) -> float:
        """Return a value; 0.0 if there is none."""
        return self.samples[f"stripe_sync_{name}", frozenset(labels.items())]

    def since(self, before: "Scrape", name: str) -> dict[Any, float]:
        """Return what a counter has counted since another reading, by the values of its labels, without zeros."""
        found = {}
        for (each, labels), value in self.samples.items():
            if each == f"stripe_sync_{name}" and (more := value - before.samples[each, labels]):
                found[tuple(told for _, told in sorted(labels))] = more
        return found


def scrape(client: FlaskClient) -> Scrape:
    """Read the metrics of an application, with a token that may."""
    response = client.get("/metrics", headers={"Authorization": "Bearer the-token-of-the-watch"})
    assert response.status_code == 200, response.json
    assert response.mimetype == "text/plain"
    return Scrape(response.text)


WATCH = "watch:metrics:the-token-of-the-watch"  # an entry of API_TOKENS
