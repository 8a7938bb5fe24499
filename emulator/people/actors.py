"""Changes without an API call of the service's: from the Dashboard, or by Stripe's own automation."""

from __future__ import annotations

import copy
from typing import Any

from stripe_mongo_sync.emulator.engine import calls
from stripe_mongo_sync.emulator.engine.calls import Call
from stripe_mongo_sync.emulator.engine.engine import Engine
from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.emulator.protocol.forms import spell
from stripe_mongo_sync.emulator.protocol.wire import Json


class Actor:
    """Calls the API, but its events carry no caller's key (stripe-facts.md#the-request-of-an-event)."""

    def __init__(
        self,
        engine: Engine,
        livemode: bool = False,
        cause: Json | None = None,
        has_request_id: bool = False,
        account: str | None = None,
    ) -> None:
        self._engine = engine
        self._livemode = livemode
        self._cause = cause
        self._account = account  # None: the emulator's own
        self._has_request_id = has_request_id  # as the Dashboard, whose requests have an id but no key

    def create(self, kind: str, **params: Any) -> Json:
        return self._do(Call(RESOURCES[kind], "create"), params)

    def update(self, kind: str, id: str, **params: Any) -> Json:
        return self._do(Call(RESOURCES[kind], "update", id), params)

    def delete(self, kind: str, id: str) -> Json:
        """Delete an object; also a price, which the API cannot delete (stripe-facts.md#deletions)."""
        return self._do(Call(RESOURCES[kind], "delete", id), {})

    def end(self, kind: str, id: str, **params: Any) -> Json:
        """Send the DELETE of an object that stays readable, such as a subscription."""
        return self._do(Call(RESOURCES[kind], "end", id), params)

    def act(self, kind: str, id: str, action: str, **params: Any) -> Json:
        """Send POST /v1/<path>/<id>/<action>."""
        return self._do(Call(RESOURCES[kind], "action", id, action), params)

    def _do(self, call: Call, params: Json) -> Json:
        engine = self._engine
        with engine.state():
            cause = self._cause
            if self._has_request_id:
                cause = {"id": "req_" + engine.ids.draw(14, "base62"), "idempotency_key": None}
            typed = calls.validate(call, spell(params))
            ctx = engine.execution(engine.realm(self._livemode, self._account), cause)
            return copy.deepcopy(calls.execute(call, ctx, typed, engine.events, f"/v1/{call.row.path}"))
