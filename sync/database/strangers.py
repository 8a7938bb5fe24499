"""Strangers: a database whose collections of our names hold rows that are not ours is no place for this service."""

from collections.abc import Mapping
from typing import Any

from stripe_mongo_sync.models import Delivery, Erasure, Event, State, kinds
from stripe_mongo_sync.models.rows.own_rows import strangers
from stripe_mongo_sync.sync.errors import BadSettings


def refuse_strangers(there: Mapping[str, Any]) -> None:
    """Raise BadSettings where others keep rows in a collection of ours; nothing was built or written there yet.

    `there` is what MongoDB says of each collection.
    """
    if found := strangers([*kinds().values(), Event, Delivery, Erasure, State], there):
        raise BadSettings(
            [
                "MONGODB_URI names a database that is not ours alone: "
                f"somebody else has rows in, or made, {', '.join(found)}. Nothing was changed; "
                "give this service a database of its own, on the same server if you wish"
            ]
        )
