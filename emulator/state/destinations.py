"""Where events are sent: webhook endpoints get snapshots, event destinations thin events; each says what it wants."""

from __future__ import annotations

from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm

DESTINATION = "v2.core.event_destination"
# Sent only to an endpoint that names them: "*" leaves them out.
NAMED = ("identity.verification_session.redacted", "issuing_authorization.request")


def destination(id: str, url: str, enabled_events: list[str], livemode: bool) -> Json:
    """A destination as `POST /v2/core/event_destinations` would make it; `url` is where deliveries look for it."""
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
    """Everything that may want an event, of either sort."""
    return [*realm.all("webhook_endpoint"), *realm.all(DESTINATION)]


def is_thin(destination: Json) -> bool:
    return bool(destination["object"] == DESTINATION)


def wants(endpoint: Json, type: str) -> bool:
    enabled = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and (type in enabled or ("*" in enabled and type not in NAMED))
