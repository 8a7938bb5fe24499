"""Finds the row and the verb of a request, validates its parameters, and executes it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from stripe_mongo_sync.emulator.engine import expand, lists, scheduler, thin
from stripe_mongo_sync.emulator.engine.execution import Execution
from stripe_mongo_sync.emulator.engine.resource import BY_PATH, ROUTES, Filter, Resource, Route
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Many, OneOf, Text, read
from stripe_mongo_sync.emulator.protocol.versions import read_as_of
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION, Json
from stripe_mongo_sync.emulator.state.destinations import DESTINATION, shown
from stripe_mongo_sync.emulator.state.events import PREFIX, EventLog
from stripe_mongo_sync.emulator.state.webhooks import THIN

Verb = Literal[
    "create",
    "list",
    "get",
    "update",
    "delete",
    "action",
    "nested",
    "part",
    "end",
    "route",
    "notification",
    "destinations",
    "ping",
]
EXPAND: Fields = {"expand": Many(each=Text())}
DESTINATIONS = "/v2/core/event_destinations"
NOTIFICATIONS = "/v2/core/events/"  # thin events, with the `data` that their deliveries lack


def _of_types(event: Json, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(event["type"], pattern) for pattern in patterns)


EVENT = Resource(  # not in the table: events are read from the log, and no call creates one
    kind="event",
    path="events",
    prefix=PREFIX,
    filters={
        "type": Filter(Text(), lambda event, pattern: _of_types(event, [pattern])),
        "types": Filter(Many(each=Text(), most=20), _of_types),
        "delivery_success": Filter(Flag(), lambda event, wanted: (event["pending_webhooks"] == 0) == wanted),
    },
)


EVENT_DESTINATION = Resource(kind="event_destination", path="", prefix="ed_")  # of the v2 API
LISTED: Fields = {"include": Many(each=OneOf(values=("webhook_endpoint.url",))), "limit": Text(), "page": Text()}


@dataclass(frozen=True)
class Call:
    row: Resource
    verb: Verb
    id: str = ""
    action: str = ""
    part: str = ""
    way: Route | None = None
    ids: tuple[str, ...] = ()

    @property
    def reads_events(self) -> bool:
        """Whether the reply shows events, which were rendered when they happened."""
        return self.row is EVENT


def route(method: str, path: str) -> Call:
    """Return the call of a method and path; raise Stripe's 404 for an unknown one.

    The path is still percent-encoded, because an id that a caller chose can contain a slash.
    """
    parts = path.removeprefix("/v1/").split("/") if path.startswith("/v1/") else []
    if path.startswith(NOTIFICATIONS) and method == "GET":
        return Call(EVENT, "notification", path.removeprefix(NOTIFICATIONS))
    match method, path.removeprefix(DESTINATIONS).split("/") if path.startswith(DESTINATIONS) else None:
        case "GET", [""]:
            return Call(EVENT_DESTINATION, "destinations")
        case "POST", ["", id, "ping"]:
            return Call(EVENT_DESTINATION, "ping", id)
    for way in ROUTES:  # the word in invoices/create_preview is no id
        if way.ids(method, "/".join(parts)) == ():
            return _way(way, ())
    for size in (1, 2):  # checkout/sessions has two parts
        row = _row("/".join(parts[:size]))
        if row is not None:
            call = _below(row, method, [unquote(part) for part in parts[size:] if part])
            if call is not None:
                return call
    for way in ROUTES:
        ids = way.ids(method, "/".join(parts))
        if ids is not None:
            return _way(way, ids)
    raise errors.unrecognized(method, path)


def _way(way: Route, ids: tuple[str, ...]) -> Call:
    return Call(Resource(kind=way.kind, path=way.path, prefix=""), "route", way=way, ids=ids)


def _row(path: str) -> Resource | None:
    return EVENT if path == EVENT.path else BY_PATH.get(path)


def _below(row: Resource, method: str, rest: list[str]) -> Call | None:
    match method, rest:
        case "GET", [] if row.readable:
            return Call(row, "list")
        case "POST", [] if row.create is not None:
            return Call(row, "create")
        case "GET", [id] if row.readable:
            return Call(row, "get", id)
        case "POST", [id] if row.update is not None:
            return Call(row, "update", id)
        case "DELETE", [id] if row.delete_action is not None:
            return Call(row, "end", id)
        case "DELETE", [id] if row.delete != "never":
            return Call(row, "delete", id)
        case "POST", [id, action] if action in row.actions:
            return Call(row, "action", id, action)
        case "GET", [id, name] if name in row.lists:
            return Call(row, "nested", id, name)
        case "GET", [id, name, part] if name in row.lists:
            return Call(row, "part", id, name, part)
    return None


def validate(call: Call, raw: Json, version: str = API_VERSION) -> Json:
    """Return the typed parameters. What this refuses was not executed, so it is not saved for the idempotency key."""
    row = call.row
    match call.verb:
        case "list":
            params = lists.read_query(row, raw)
            if row is EVENT and "type" in params and "types" in params:
                raise errors.both("type", "types")
            expand.check(row.kind, params.get("expand"), "data.")
            return params
        case "destinations":
            return read(LISTED, raw)
        case "create":
            params = read_as_of(version, row.kind, {**EXPAND, **(row.create or {})}, raw)
            if row.check is not None:
                row.check(params)
        case "update":
            params = read_as_of(version, row.kind, {**EXPAND, **(row.update or {})}, raw)
        case "nested":
            params = read({**lists.PAGING, "object": Text(), "type": Text()}, raw)
            expand.check("item", params.get("expand"), "data.")
            return params
        case "action":
            params = read_as_of(version, row.kind, {**EXPAND, **row.actions[call.action].params}, raw)
        case "route" if call.way is not None:
            params = read_as_of(version, row.kind, {**EXPAND, **call.way.params}, raw)
        case "end" if row.delete_action is not None:
            params = read({**EXPAND, **row.delete_action.params}, raw)
        case _:
            params = read(EXPAND, raw)
    expand.check(row.kind, params.get("expand"))
    return params


def execute(call: Call, ctx: Execution, params: Json, log: EventLog, url: str) -> Json:
    """Execute the call and return the object of the reply."""
    params = dict(params)
    paths = params.pop("expand", None)
    row = call.row
    match call.verb:
        case "notification":
            return _notification(ctx, call.id)
        case "destinations":
            listed = [shown(each, params.get("include", [])) for each in ctx.realm.all(DESTINATION)]
            return {"data": listed, "next_page_url": None, "previous_page_url": None}
        case "ping":
            return _ping(ctx, call.id)
        case "list":
            return _list(row, ctx, params, paths, log, url)
        case "create":
            made = ctx.create(row.kind, params)
            return expand.expanded(ctx, _with_secret(ctx, made), paths)
        case "update":
            return expand.expanded(ctx, ctx.update(row.kind, call.id, params), paths)
        case "nested":
            return lists.part(row.lists[call.action](ctx, ctx.need(row.kind, call.id)), params, url)
        case "part":
            parts = {each["id"]: each for each in row.lists[call.action](ctx, ctx.need(row.kind, call.id))}
            if call.part not in parts:
                raise errors.no_such(call.action.rstrip("s").replace("_", " "), call.part)
            return parts[call.part]
        case "end":
            return expand.expanded(ctx, ctx.end(row.kind, call.id, params), paths)
        case "route" if call.way is not None:
            return expand.expanded(ctx, ctx.take(call.way, call.ids, params), paths)
        case "delete":
            return ctx.delete(row.kind, call.id)
        case "action":
            return expand.expanded(ctx, ctx.act(row.kind, call.id, call.action, params), paths)
        case _:
            return expand.expanded(ctx, _get(row, ctx, call.id, log), paths)


def _notification(ctx: Execution, id: str) -> Json:
    found = ctx.realm.table(THIN).get(id)
    if found is None:
        raise errors.no_such("event", id, "id")
    return dict(found)


def _ping(ctx: Execution, id: str) -> Json:
    if (destination := ctx.realm.find(DESTINATION, id)) is None:
        raise errors.no_such("event destination", id, "id")
    sent = thin.ping(destination, ctx.draw(24, "base62"), ctx.second)
    ctx.announce(sent["type"], sent)
    return sent


def _get(row: Resource, ctx: Execution, id: str, log: EventLog) -> Json:
    if row is EVENT:
        return log.get(ctx.realm, id)
    if row.within is not None:
        found = next((each for each in row.within(ctx) if each["id"] == id), None)
        if found is None:
            raise errors.no_such(row.name(), id)
        return found
    stored = ctx.realm.table(row.kind).get(id)
    if stored is not None and stored["deleted"] and row.delete == "stub":
        return {"id": id, "object": row.kind, "deleted": True}
    return ctx.need(row.kind, id)


def _list(row: Resource, ctx: Execution, params: Json, paths: list[str] | None, log: EventLog, url: str) -> Json:
    cursor: Callable[[str, str], Json]
    if row is EVENT:
        objects, cursor = log.visible(ctx.realm), lambda id, param: log.get(ctx.realm, id, param, 400)
    else:
        objects = row.within(ctx) if row.within is not None else ctx.realm.all(row.kind)
        if row.shows is not None:
            objects = [each for each in objects if row.shows(ctx, each, params)]
        scheduler.check_mode(ctx.realm, row)
        objects = scheduler.visible(ctx.realm, objects, params)
        cursor = lambda id, param: _cursor(row, ctx, id, param)  # noqa: E731
    found = lists.page(row, params, objects, cursor, url)
    data = (
        [expand.expanded(ctx, each, paths, "data.") for each in found["data"]]
        if paths or row.includes
        else found["data"]
    )
    return {**found, "data": data}


def _cursor(row: Resource, ctx: Execution, id: str, param: str) -> Json:
    """Return the object of a cursor, even a deleted one; raise Stripe's 400 for an unknown id."""
    stored = ctx.realm.table(row.kind).get(id)
    if stored is None:
        raise errors.no_such(row.name(), id, param, status=400)
    object: Json = stored["object"]
    return object


def _with_secret(ctx: Execution, made: Json) -> Json:
    """Add the secret to a new webhook endpoint. No later reply shows it."""
    if made["object"] != "webhook_endpoint":
        return made
    secret = "whsec_" + ctx.draw(32, "base62")
    ctx.realm.put("secret", made["id"], {"secrets": [{"secret": secret, "until": None}]})
    return {**made, "secret": secret}
