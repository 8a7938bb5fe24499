"""Everything on both sides, counted and compared: each document with its object at Stripe."""

from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from stripe_mongo_sync.emulator.fronts.control import Control
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.rows.content import content


@dataclass(frozen=True)
class Balance:
    """Everything on both sides, counted."""

    documents: int  # active ones
    objects: int  # usable ones, and those that an active document has
    orphans: tuple[str, ...]  # usable objects that no active document has
    missing: tuple[str, ...]  # active documents whose object is gone
    different: tuple[str, ...]  # active documents that do not say what Stripe says
    unsettled: tuple[str, ...]  # documents on which something is still to be done, or decided by a person

    @property
    def in_sync(self) -> bool:
        """Whether both sides are one."""
        return self.documents == self.objects and not self._trouble()

    def _trouble(self) -> list[str]:
        named = {
            "without a document": self.orphans,
            "gone at Stripe": self.missing,
            "different": self.different,
            "unsettled": self.unsettled,
        }
        return [f"{what}: {', '.join(found)}" for what, found in named.items() if found]

    def __str__(self) -> str:
        counts = f"{self.documents} documents, {self.objects} Stripe objects, {len(self.orphans)} orphans"
        return f"in sync: {counts}" if self.in_sync else "; ".join([f"NOT in sync: {counts}", *self._trouble()])


def balance(database: Database[Any], stripe: Control) -> Balance:
    """Count both sides, every kind of object. An order has none of its own: it only has to be settled."""
    found: dict[str, list[str]] = {name: [] for name in ("orphans", "missing", "different", "unsettled")}
    documents = objects = 0
    for kind, model in kinds().items():
        rows = list(database[model._get_collection_name()].find())
        found["unsettled"] += [str(row["_id"]) for row in rows if row["lease"] or row["review"]]
        if not model.resource.path:
            continue
        active = {row["stripe_id"]: row for row in rows if row["status"] == "active"}
        there = {each["id"]: each for each in stripe.objects(kind)}
        usable = [id for id, each in there.items() if model.resource.is_usable(each)]
        documents += sum(row["status"] == "active" for row in rows)
        objects += len({*usable, *(active.keys() & there.keys())})
        found["orphans"] += [id for id in usable if id not in active]
        found["missing"] += [str(row["_id"]) for id, row in active.items() if id not in there]
        found["different"] += [
            id for id, row in active.items() if id in there and content(row["stripe"]) != content(there[id])
        ]
    return Balance(documents, objects, **{name: tuple(ids) for name, ids in found.items()})
