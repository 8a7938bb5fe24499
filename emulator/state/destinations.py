"""Where events are sent: webhook endpoints receive snapshots, event destinations thin events."""

from __future__ import annotations

from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm

DESTINATION = "v2.core.event_destination"
# Sent only to an endpoint that names them: "*" does not include them.
NAMED = ("identity.verification_session.redacted", "issuing_authorization.request")


def destination(id: str, url: str, enabled_events: list[str], livemode: bool) -> Json:
    """Return what `POST /v2/core/event_destinations` creates, with `url` at the top for the deliveries."""
    return {
        "id": id,
        "object": DESTINATION,
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "events_from": ["@self"],
        "enabled_events": enabled_events,
        "snapshot_api_version": None,
        "status": "enabled",
        "livemode": livemode,
        "url": url,
    }


def destinations(realm: Realm) -> list[Json]:
    """Return all webhook endpoints and event destinations."""
    return [*realm.all("webhook_endpoint"), *realm.all(DESTINATION)]


def is_thin(destination: Json) -> bool:
    return bool(destination["object"] == DESTINATION)


def wants(endpoint: Json, type: str) -> bool:
    enabled = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and (type in enabled or ("*" in enabled and type not in NAMED))
