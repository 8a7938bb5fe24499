"""Finds other programs in the database: a start is refused if a collection with our name has another program's rows."""

from collections.abc import Iterable, Mapping
from typing import Any

from stripe_mongo_sync.models import State, stored_things
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.rows.own_rows import strangers
from stripe_mongo_sync.models.state import STRIPE
from stripe_mongo_sync.sync.errors import BadSettings


def refuse_strangers(there: Mapping[str, Any]) -> None:
    """Raise BadSettings if another program has rows in a collection of ours. Nothing is built or written before it.

    `there` is MongoDB's description of each collection.
    """
    if found := strangers(stored_things(), there):
        raise BadSettings(
            [
                "MONGODB_URI names a database that is not ours alone: "
                f"another program has rows in, or made, {', '.join(found)}. Nothing was changed; "
                "give this service a database of its own, on the same server if you wish, or names of its own in this "
                "one: COLLECTION_PREFIX=billing_"
            ]
        )


def neighbours(there: Iterable[str]) -> list[str]:
    """Return the COLLECTION_PREFIX of each other installation that is in this database."""
    return sorted(map(repr, _prefixes(there)))


def rivals(there: Iterable[str]) -> list[str]:
    """Return the COLLECTION_PREFIX of each other installation in this database that has our Stripe account and mode."""
    bound, ends = State.read(STRIPE), State.plural()
    if bound is None:
        return []
    same = {"_id": STRIPE, "value.account": bound["account"], "value.livemode": bound["livemode"]}
    return sorted(repr(prefix) for prefix in _prefixes(there) if database()[prefix + ends].find_one(same))


def _prefixes(there: Iterable[str]) -> set[str]:
    ends = State.plural()
    others = {name for name in there if name.endswith(ends)} - {State._get_collection_name()}
    return {name.removesuffix(ends) for name in others}
