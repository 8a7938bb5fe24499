"""Events as Stripe would tell them, of objects that the emulator does not make."""

import itertools
import json
from typing import Any

from stripe_mongo_sync.sync.stripe.answers import api_version

NUMBERS = itertools.count(1)


def event(type: str, object: dict[str, Any], at: int, **more: Any) -> bytes:
    """An event of its own about `object`, told in that second of Stripe's."""
    return json.dumps(
        {
            "id": f"evt_made{next(NUMBERS)}",
            "object": "event",
            "api_version": api_version(),
            "created": at,
            "livemode": False,
            "request": {"id": None, "idempotency_key": None},
            "type": type,
            "data": {"object": object},
            **more,
        }
    ).encode()
