"""Representatives: of cases that differ in nothing that the code can see, one is in the usual run."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any

import pytest

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.resource import Resource

ROW = {each.name: each for each in fields(Resource)}


def representatives(cases: Iterable[Any], seen: Callable[[Any], Any], name: Callable[[Any], str] = str) -> list[Any]:
    """Return all cases, for `parametrize`. One of which the code sees nothing new is `alike`: not in the usual run."""
    met: list[Any] = []
    told = []
    for case in cases:
        sight = seen(case)
        told.append(pytest.param(case, id=name(case), marks=[pytest.mark.alike] if sight in met else []))
        met.append(sight)
    return told


def row(*asked: str) -> Callable[[str], Any]:
    """What code sees of a type that asks this of its row of the registry, and whether it is only mirrored.

    Of a text or a function of its own it sees that there is one; what is in it, it hands on.
    """

    def seen(kind: str) -> list[Any]:
        resource = kinds()[kind].resource
        return [resource.mirrored, *(_sight(resource, name) for name in asked)]

    return seen


def _sight(resource: Resource, name: str) -> Any:
    value = getattr(resource, name)
    if name == "event_prefixes":
        return value != (resource.kind,)
    if callable(value):
        return value is not ROW[name].default
    if isinstance(value, str):
        return bool(value), "{" in value  # a path may lead under another object
    return bool(value) if isinstance(value, Mapping) else value
