"""Thin events: converts an event that only names the changed object into a snapshot event without content.

Stripe's event destinations send thin events (`v2.core.event`) where webhook endpoints get snapshots. The snapshot event
has no API version, so its content is never used and the object is read from Stripe. Everything else (the key, the mode,
the account, the order, the inbox) is as for any other event.
"""

from datetime import UTC, datetime
from typing import Any

from stripe_mongo_sync.models import kinds

THIN = "v2.core.event"
LOST = "v2.core.health.event_generation_failure.resolved"  # an event could not be made: it says what it was about


def as_snapshot(thin: dict[str, Any]) -> dict[str, Any]:
    """Return the snapshot event that a thin event announces. Raises ValueError or TypeError when it is no such event.

    Its `url` is not used: the path of an object comes from the registry, not from the sender.
    """
    type = thin.get("type")
    if not isinstance(type, str):
        raise TypeError("an event needs a type")
    type = type.removeprefix("v1.")
    impact = (_part(thin.get("data"), "impact") if type == LOST else None) or {}
    return {
        "id": thin.get("id"),
        "object": "event",
        "api_version": None,
        "type": type,
        "created": _second(thin.get("created")),
        "livemode": thin.get("livemode"),
        "context": thin.get("context") or impact.get("context"),  # whose it is; null when it is the account's own
        "request": _part(thin.get("reason"), "request"),
        "data": {"object": _object(type, thin.get("related_object") or impact.get("related_object"))},
    }


def _second(created: Any) -> int:
    """Return Stripe's second of an ISO time: a snapshot event of the same change has the same, or the next one."""
    moment = datetime.fromisoformat(created)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def _part(value: Any, name: str) -> dict[str, Any] | None:
    part = value.get(name) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else None


def _object(type: str, related: Any) -> dict[str, Any] | None:
    if not isinstance(related, dict):
        return None
    model = kinds().get(str(related.get("type")))
    gone = model is not None and model.resource.deletes(type)
    shown = {"id": related.get("id"), "object": related.get("type")}
    return {**shown, "deleted": True} if gone else shown  # the stub that Stripe shows of a deleted object
