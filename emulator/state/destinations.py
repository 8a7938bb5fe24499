"""Where events are sent: webhook endpoints receive snapshots, event destinations thin events."""

from __future__ import annotations

from stripe_mongo_sync.emulator.protocol.wire import Json
from stripe_mongo_sync.emulator.state.store import Realm

DESTINATION = "v2.core.event_destination"
# Sent only to an endpoint that names them: "*" does not include them.
NAMED = ("identity.verification_session.redacted", "issuing_authorization.request")


def destination(id: str, url: str, enabled_events: list[str], livemode: bool, at: str) -> Json:
    """Return what `POST /v2/core/event_destinations` creates, with `url` at the top for the deliveries."""
    return {
        **{"created": at, "updated": at, "name": "emulated", "description": "", "metadata": {}, "status_details": None},
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


def shown(destination: Json, include: list[str]) -> Json:
    """Return a destination as a GET shows it: with its address only if that is asked for, and never with its secret."""
    url = destination["url"] if "webhook_endpoint.url" in include else None
    told = {name: value for name, value in destination.items() if name != "url"}
    return {**told, "webhook_endpoint": {"signing_secret": None, "url": url}}


def destinations(realm: Realm) -> list[Json]:
    """Return all webhook endpoints and event destinations."""
    return [*realm.all("webhook_endpoint"), *realm.all(DESTINATION)]


def is_thin(destination: Json) -> bool:
    return bool(destination["object"] == DESTINATION)


def wants(endpoint: Json, type: str) -> bool:
    enabled = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and (type in enabled or ("*" in enabled and type not in NAMED))
