"""Counts both sides, and compares each document with its object at Stripe."""

from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from stripe_mongo_sync.emulator.fronts.control import Control
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.rows.content import content


@dataclass(frozen=True)
class ConsistencyReport:
    """The result: counts, and every difference by id."""

    documents: int  # active ones
    objects: int  # usable ones, and those that active documents are linked to
    orphans: tuple[str, ...]  # usable objects to which no active document is linked
    missing: tuple[str, ...]  # active documents whose object is deleted
    different: tuple[str, ...]  # active documents whose snapshot differs from the object
    unsettled: tuple[str, ...]  # documents that are due, or that an operator must review

    @property
    def in_sync(self) -> bool:
        """Whether each side has what the other has."""
        return self.documents == self.objects and not self._differences()

    def _differences(self) -> list[str]:
        named = {
            "without a document": self.orphans,
            "gone at Stripe": self.missing,
            "different": self.different,
            "unsettled": self.unsettled,
        }
        return [f"{what}: {', '.join(found)}" for what, found in named.items() if found]

    def __str__(self) -> str:
        counts = f"{self.documents} documents, {self.objects} Stripe objects, {len(self.orphans)} orphans"
        return f"in sync: {counts}" if self.in_sync else "; ".join([f"NOT in sync: {counts}", *self._differences()])


def compare_sides(database: Database[Any], stripe: Control) -> ConsistencyReport:
    """Compare all kinds. An order has no object at Stripe, so it only must not be unsettled."""
    found: dict[str, list[str]] = {name: [] for name in ("orphans", "missing", "different", "unsettled")}
    documents = objects = 0
    for kind, model in kinds().items():
        rows = list(database[model._get_collection_name()].find())
        found["unsettled"] += [str(row["_id"]) for row in rows if row["due_at"] or row["review_reason"]]
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
    return ConsistencyReport(documents, objects, **{name: tuple(ids) for name, ids in found.items()})
