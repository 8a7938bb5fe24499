"""Expansion: replaces ids by their objects, up to four levels deep (stripe-facts.md#requests-and-replies)."""

from __future__ import annotations

import copy
from contextlib import suppress

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import RESOURCES, Resource
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.wire import Json

DEEPEST = 4


def check(kind: str, paths: list[str] | None, prefix: str = "") -> None:
    """Refuse a wrong path before the call is executed. On a list, every path begins with `data.`."""
    for path in paths or []:
        inner = path.removeprefix(prefix)
        if inner.count(".") >= DEEPEST:
            message = f"You cannot expand more than {DEEPEST} levels of a property. You tried to expand {path}"
            raise Problem(400, message, param="expand")
        known = _leads(kind, inner)
        if known and path.startswith(prefix):
            continue
        hint = f" You may want to try expanding '{prefix}{path}' instead." if known else ""
        raise Problem(400, f"This property cannot be expanded ({path}).{hint}", param="expand")


def _leads(kind: str, path: str) -> bool:
    row = RESOURCES.get(kind)
    step = _step(row, path) if row is not None else None
    if row is None or step is None:
        return False
    rest = path[len(step) + 1 :]
    return not rest or (step in row.expands and _leads(row.expands[step], rest))


def _step(row: Resource, path: str) -> str | None:
    """Return the first expandable property of the path, or None."""
    return next((name for name in [*row.expands, *row.includes] if f"{path}.".startswith(f"{name}.")), None)


def expanded(ctx: Effects, object: Json, paths: list[str] | None, prefix: str = "") -> Json:
    """Return the object, or a copy in which every (checked) path is expanded."""
    result = without_includes(copy.deepcopy(object) if paths else object)
    for path in paths or []:
        _expand(ctx, result, path.removeprefix(prefix))
    return result


def without_includes(object: Json) -> Json:
    """Return the object without the properties that are shown only when expanded."""
    row = RESOURCES.get(object["object"])
    hidden = row.includes.keys() & object.keys() if row is not None else ()
    return {name: value for name, value in object.items() if name not in hidden} if hidden else object


def _expand(ctx: Effects, object: Json, path: str) -> None:
    row = RESOURCES[object["object"]]
    name = _step(row, path)
    if name is None or object.get("deleted"):
        return
    if name in row.includes:
        with suppress(LookupError):  # a coupon without `applies_to`
            object[name] = row.includes[name](ctx, object)
        return
    *outer, last = name.split(".")
    holder = object
    for step in outer:
        holder = holder[step] or {}
    if last not in holder:
        return  # such as an invoice without a subscription
    if isinstance(holder[last], str):
        holder[last] = _read(ctx, row.expands[name], holder[last])
    rest = path[len(name) + 1 :]
    if rest and holder[last] is not None:
        _expand(ctx, holder[last], rest)


def _read(ctx: Effects, kind: str, id: str) -> Json:
    object = ctx.realm.find(kind, id)
    return (
        without_includes(copy.deepcopy(object)) if object is not None else {"id": id, "object": kind, "deleted": True}
    )
