"""Webhook endpoints, which receive snapshot events."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Many, Metadata, OneOf, Text
from stripe_mongo_sync.emulator.protocol.params import NAMED
from stripe_mongo_sync.emulator.protocol.values import EVENTS, VERSIONS
from stripe_mongo_sync.emulator.protocol.wire import Json

CREATE: Fields = {
    "api_version": OneOf(values=VERSIONS),
    "connect": Flag(hidden=True),
    "description": Text(),
    "enabled_events": Many(each=OneOf(values=EVENTS), required=True),
    "metadata": Metadata(),
    "url": Text(required=True),
}
UPDATE: Fields = {
    "description": Text(),
    "disabled": Flag(hidden=True),
    "enabled_events": Many(each=OneOf(values=EVENTS)),
    "metadata": Metadata(),
    "url": NAMED,
}


def _check(params: Json) -> None:
    if not params["url"].startswith(("https://", "http://")):
        raise errors.invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")


def _finish(ctx: Effects, params: Json, endpoint: Json) -> None:
    if params.get("connect"):
        ctx.realm.put("connect", endpoint["id"], {})
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"


WEBHOOK_ENDPOINT = Resource(
    kind="webhook_endpoint",
    path="webhook_endpoints",
    prefix="we_",
    label="webhook endpoint",
    create=CREATE,
    update=UPDATE,
    defaults=blank("api_version application description url")
    | {"enabled_events": [], "metadata": {}, "status": "enabled"},
    created_filter=False,
    delete="gone",
    events=(),
    check=_check,
    finish=_finish,
)
