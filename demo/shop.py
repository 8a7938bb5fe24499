"""Both sides of one shop, as anybody can look at them: the service over HTTP, and Stripe through its back door."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from os import kill
from signal import SIGKILL
from typing import Any

from bson import ObjectId

from demo.client import Json, NoAnswer, Reply
from demo.stack import Stack
from models import kinds


@dataclass(frozen=True)
class Sides:
    """One customer: the status of the document, the usable objects at Stripe, and whether one names the other."""

    here: str
    at_stripe: int
    linked: bool


SYNCED = Sides("active", at_stripe=1, linked=True)
IN_DOUBT = Sides("pending", at_stripe=1, linked=False)
UNKNOWN = Sides("pending", at_stripe=0, linked=False)
GIVEN_UP = Sides("rolled_back", at_stripe=0, linked=False)
LATE_TWIN = Sides("rolled_back", at_stripe=1, linked=False)
NOBODY = Sides("nobody", at_stripe=0, linked=False)


@dataclass(frozen=True)
class Balance:
    """Everything on both sides, counted."""

    documents: int  # active ones
    objects: int  # usable ones
    orphans: tuple[str, ...]  # objects that no active document has
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


class Shop:
    """What the story needs to see and to do."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.service = stack.service
        self.stripe = stack.stripe

    def check(self) -> None:
        """Raise Ended if a process died that nobody killed."""
        self._stack.check()

    # --- looking ---

    def document(self, reference: str) -> Json | None:
        """Return a customer as the service shows it; `reference` is its id or username."""
        reply = self.service.get(f"/customers/{reference}")
        return reply.body if reply.status == 200 else None

    def known(self, reference: str) -> Json:
        """Return a customer that the service must have."""
        document = self.document(reference)
        assert document, f"the service does not know {reference}"
        return document

    def at_stripe(self, username: str) -> list[Json]:
        """Return the usable customers at Stripe with that e-mail address, whatever its case."""
        found = self.stripe.usable("customer")
        return [each for each in found if (each["email"] or "").casefold() == username.casefold()]

    def ids(self, kind: str) -> list[str]:
        """Return the ids of what is usable at Stripe."""
        return [each["id"] for each in self.stripe.usable(kind)]

    def sides(self, username: str, id: str | None = None) -> Sides:
        """Return both sides of one customer; the `id` also finds a document that no longer holds its username."""
        document, there = self.document(id or username), self.at_stripe(username)
        linked = document is not None and document["stripe_id"] in [each["id"] for each in there]
        return Sides(document["status"] if document else "nobody", len(there), linked)

    def names(self, username: str) -> tuple[object, object]:
        """Return the customer's name here and at Stripe."""
        document, there = self.document(username), self.at_stripe(username)
        return document and document["name"], there[0]["name"] if there else None

    def confirmed(self, reference: str) -> bool:
        """Whether Stripe itself told us of this customer."""
        document = self.document(reference)
        return bool(document and document["confirmed_at"])

    def stored(self, id: str) -> Mapping[str, Any]:
        """Return a customer's document as MongoDB has it."""
        found: Mapping[str, Any] | None = self._customers.find_one({"_id": ObjectId(id)})
        assert found, f"MongoDB has no customer {id}"
        return found

    def event(self, type: str) -> Json:
        """Return the newest event of that type at Stripe."""
        return next(event for event in reversed(self.stripe.events()) if event["type"] == type)

    def balance(self) -> Balance:
        """Count both sides, every kind of object."""
        found: dict[str, list[str]] = {name: [] for name in ("orphans", "missing", "different", "unsettled")}
        documents = objects = 0
        for kind, model in kinds().items():
            rows = list(self._stack.database[model._get_collection_name()].find())
            active = {row["stripe_id"]: row for row in rows if row["status"] == "active"}
            usable = [each["id"] for each in self.stripe.usable(kind)]
            there = {each["id"]: each for each in self.stripe.objects(kind)}
            documents += sum(row["status"] == "active" for row in rows)
            objects += len(usable)
            found["orphans"] += [id for id in usable if id not in active]
            found["missing"] += [str(row["_id"]) for id, row in active.items() if id not in there]
            found["different"] += [id for id, row in active.items() if id in there and row["stripe"] != there[id]]
            found["unsettled"] += [str(row["_id"]) for row in rows if row["lease"] or row["review"]]
        return Balance(documents, objects, **{name: tuple(ids) for name, ids in found.items()})

    # --- doing ---

    def create(self, username: str, *, key: str | None = None) -> Reply:
        """Create a customer by one call."""
        return self.service.post("/customers", {"username": username}, key=key)

    def creating(self, username: str) -> "Future[Reply]":
        """Begin to create a customer, and do not wait for the answer."""
        pool = ThreadPoolExecutor(1)
        answer = pool.submit(self.create, username)
        pool.shutdown(wait=False)
        return answer

    def kill_workers(self) -> int:
        """`kill -9` every process that serves requests; gunicorn starts others. Return how many there were."""
        workers = self._stack.workers()
        for pid in workers:
            kill(pid, SIGKILL)
        return len(workers)

    def make_due(self, id: str) -> None:
        """Move a document's lease into the past."""
        self._rewrite(id, {"lease": {"$subtract": ["$$NOW", 1000]}})

    def make_old(self, id: str, age: timedelta) -> None:
        """Make a document's pending operation older than it is, and due."""
        earlier = int(age.total_seconds() * 1000)
        dates = ("operation.since", "operation.stored_failure_at")
        aged = {date: {"$subtract": [f"${date}", earlier]} for date in dates}
        self._rewrite(id, {**aged, "lease": {"$subtract": ["$$NOW", 1000]}})

    def make_all_due(self) -> None:
        """Move every lease that is left into the past."""
        for row in self._customers.find({"lease": {"$type": "date"}}):
            self.make_due(str(row["_id"]))

    def reconcile(self, *options: str) -> str:
        """Run reconcile once and return what it did, in a line."""
        code, report = self._stack.reconcile(*options)
        done = ", ".join(f"{name} {count}" for name, count in sorted(report.get("counts", {}).items()) if count)
        line = " ".join(("python -m sync reconcile", *options, "→", done or "nothing to do"))
        assert code == 0, f"{line}, exit code {code}: {report.get('unseen')}"
        return line

    def _rewrite(self, id: str, changes: Json) -> None:
        document = {"_id": ObjectId(id), "lease": {"$type": "date"}}
        assert self._customers.update_one(document, [{"$set": changes}]).matched_count, f"{id} is not leased"

    @property
    def _customers(self) -> Any:
        return self._stack.database["customers"]


def no_answer(answer: "Future[Reply]") -> bool:
    """Whether a call that was begun ended without an answer."""
    return answer.done() and isinstance(answer.exception(), NoAnswer)
