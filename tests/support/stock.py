"""An account with a past: objects that others made long before we came."""

from typing import Any

from stripe_mongo_sync.models import SyncedDocument, kinds
from stripe_mongo_sync.models.rows.content import digest
from tests.support.world import World

EVERY = 600  # seconds between two of them


def stock(world: World, count: int, kind: str = "customer", **fields: Any) -> list[dict[str, Any]]:
    """Let Stripe have so many objects, the newest an hour old; they have no events. Returned newest first."""
    now = int(world.stripe.clock.now())
    made = []
    for number in range(count):
        own = {"email": f"{number}@here.com"} if kind == "customer" else {"name": f"Product {number}"}
        made.append(world.stripe.insert(kind, created=now - 3600 - EVERY * (count - number), **{**own, **fields}))
    return made[::-1]


def assert_copied(world: World, *wanted: str) -> None:
    """Assert that the documents of these kinds are Stripe's objects, each once and as it is there."""
    for kind in wanted or [kind for kind, model in kinds().items() if model.resource.listable]:
        model: type[SyncedDocument] = kinds()[kind]
        here = sorted((document.stripe_id, document.digest) for document in model.objects(status="active"))
        there = sorted((remote["id"], digest(remote)) for remote in world.stripe.objects(kind))
        assert here == there, f"{kind}: {len(here)} here, {len(there)} at Stripe"
