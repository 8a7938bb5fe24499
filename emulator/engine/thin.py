"""Renders thin events, which a destination can receive instead of snapshots (stripe-facts.md#events-and-webhooks).

A thin event names the object that changed, without its content. Its id is its own, and the same for every destination.
It has no `related_object` if no GET shows the object, such as a session of the billing portal.
"""

from __future__ import annotations

from datetime import UTC, datetime

from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.destinations import DESTINATION
from stripe_mongo_sync.emulator.state.webhooks import THIN

LOST = "v2.core.health.event_generation_failure.resolved"
PING = "v2.core.event_destination.ping"


def moment(at: float) -> str:
    """Return a time as the v2 API shows it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def notification(event: Json, at: float) -> Json:
    """Return the thin event of a snapshot event that happened at this time."""
    request, about = event["request"], event["data"]["object"]
    row = RESOURCES.get(about["object"])
    related = {"related_object": _related(about)} if row is None or row.readable else {}
    return {
        "id": f"evt_{'' if event['livemode'] else 'test_'}65{event['id'].removeprefix('evt_')}",
        "object": THIN,
        "type": f"v1.{event['type']}",
        "livemode": event["livemode"],
        "created": moment(at),
        "context": None,
        "reason": {"type": "request", "request": request} if request and request["id"] else None,
        **related,
    }


def admission(event: Json, at: float) -> Json:
    """Return the event that reports a lost event, as a GET shows it. Its delivery lacks the `data`."""
    impact = {"event_type": event["type"], "related_object": _related(event["data"]["object"])}
    admitted = {**notification(event, at), "type": LOST, "reason": None, "related_object": None}
    return {**admitted, "id": f"{admitted['id']}lost", "data": {"impact": impact, "resolved_at": admitted["created"]}}


def ping(destination: Json, drawn: str, at: float) -> Json:
    """Return the event with which Stripe tests a destination; it is about the destination itself."""
    id, url = destination["id"], f"/v2/core/event_destinations/{destination['id']}"
    return {
        "id": f"evt_{'' if destination['livemode'] else 'test_'}65{drawn}",
        "object": THIN,
        "type": PING,
        "livemode": destination["livemode"],
        "created": moment(at),
        "context": None,
        "reason": None,
        "related_object": {"id": id, "type": DESTINATION, "url": url},
    }


def _related(object: Json) -> Json | None:
    row = RESOURCES.get(object["object"])
    if row is None or not row.readable or "id" not in object:
        return None
    return {"id": object["id"], "type": object["object"], "url": f"/v1/{row.path}/{object['id']}"}
