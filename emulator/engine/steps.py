"""Transitions that many types share: from one status to another, by a call or when they are due."""

from __future__ import annotations

import copy
from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields
from stripe_mongo_sync.emulator.protocol.wire import Json

DAY = 86_400
Effect = Callable[[Effects, Json], None]


def change(ctx: Effects, object: Json, type: str, **fields: object) -> Json:
    """Set these fields, store the object, announce the change, and return the object."""
    old = copy.deepcopy(object)
    object |= fields
    ctx.keep(object["object"], object)
    ctx.announce(type, object, old)
    return object


def expect(object: Json, verb: str, *statuses: str) -> None:
    """Raise Stripe's 400 if the object has another status."""
    if object["status"] not in statuses:
        kind = object["object"].replace(".", " ").replace("_", " ")
        message = f"You cannot {verb} this {kind} because it has a status of {object['status']}."
        raise Problem(400, message)


def step(
    verb: str,
    before: tuple[str, ...],
    after: str,
    type: str,
    stamp: str = "",
    params: Fields | None = None,
    effect: Effect | None = None,
) -> Action:
    """Return the action POST …/<id>/<verb>, from a status in `before` to `after`, with an event of this type.

    The field `stamp`, if any, gets the time; `effect`, if any, runs before the change.
    """

    def do(ctx: Effects, object: Json, params: Json) -> Json:
        expect(object, verb, *before)
        ctx.schedule(object, None)
        if effect is not None:
            effect(ctx, object)
        return change(ctx, object, type, status=after, **({stamp: ctx.second} if stamp else {}))

    return Action(do, params or {})


def later(before: str, after: str, type: str, effect: Effect | None = None) -> Effect:
    """Return an `on_due` that moves an object from one status to another, with an event of this type."""

    def on_due(ctx: Effects, object: Json) -> None:
        if object["status"] == before:
            if effect is not None:
                effect(ctx, object)
            change(ctx, object, type, status=after)

    return on_due
