"""Expansion: ids replaced by what they name, up to four levels deep (facts, section 6)."""

from __future__ import annotations

import copy

from emulator.act import Act
from emulator.errors import Problem
from emulator.resources import RESOURCES
from emulator.wire import Json

DEEPEST = 4


def expanded(act: Act, object: Json, paths: list[str] | None, prefix: str = "") -> Json:
    """A copy of `object` with every path of `paths` expanded; a wrong path is refused."""
    result = copy.deepcopy(object)
    for path in paths or []:
        if path.count(".") >= DEEPEST + (1 if prefix else 0):
            raise Problem(400, f"You cannot expand more than {DEEPEST} levels of a property ({path}).", param="expand")
        if prefix and not path.startswith(prefix):
            hint = f" You may want to try expanding '{prefix}{path}' instead."
            raise Problem(400, f"This property cannot be expanded ({path}).{hint}", param="expand")
        _expand(act, result, path.removeprefix(prefix), path)
    return result


def _expand(act: Act, object: Json, path: str, whole: str) -> None:
    row = RESOURCES.get(object.get("object", ""))
    if object.get("deleted"):
        return
    if row is not None:
        for name, include in row.includes.items():
            if path == name:
                object[name] = include(act, object)
                return
        for name, kind in row.expands.items():
            if path == name or path.startswith(name + "."):
                *outer, last = name.split(".")
                holder = object
                for step in outer:
                    holder = holder[step] or {}
                id = holder.get(last)
                if isinstance(id, str):
                    holder[last] = _read(act, kind, id)
                rest = path.removeprefix(name).removeprefix(".")
                if rest and isinstance(holder.get(last), dict):
                    _expand(act, holder[last], rest, whole)
                return
    raise Problem(400, f"This property cannot be expanded ({whole}).", param="expand")


def check(kind: str, paths: list[str] | None, prefix: str = "") -> None:
    """Refuse a wrong path before anything is done: an empty list has no object that could refuse it."""
    for path in paths or []:
        name, row = path.removeprefix(prefix), RESOURCES.get(kind)
        known = [*row.expands, *row.includes] if row is not None else []
        if (prefix and not path.startswith(prefix)) or not any(
            name == each or name.startswith(each + ".") for each in known
        ):
            hint = f" You may want to try expanding '{prefix}{path}' instead." if prefix and name in known else ""
            raise Problem(400, f"This property cannot be expanded ({path}).{hint}", param="expand")


def _read(act: Act, kind: str, id: str) -> Json:
    object = act.realm.find(kind, id)
    return copy.deepcopy(object) if object is not None else {"id": id, "object": kind, "deleted": True}
