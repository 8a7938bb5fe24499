"""Both sides of one shop: the service over HTTP and MongoDB, and Stripe through the emulator's control API."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from os import kill
from signal import SIGKILL
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.demo.client import Json, NoAnswer, Reply
from stripe_mongo_sync.demo.consistency import ConsistencyReport, compare_sides
from stripe_mongo_sync.demo.sides import BothSides, Sale
from stripe_mongo_sync.demo.stack import Stack
from stripe_mongo_sync.models import kinds

MONTH = timedelta(days=32)  # longer than every month
PAST: Json = {"leased_until": None, "due_at": {"$subtract": ["$$NOW", 1000]}}


class Untrue(Exception):
    """A precondition of the story does not hold."""


class Shop:
    """What the story can read and do."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.service = stack.service
        self.stripe = stack.stripe

    def check(self) -> None:
        """Raise Ended if a process of the stack died by itself."""
        self._stack.check()

    # --- reading ---

    def document(self, reference: str) -> Json | None:
        """Return a customer as the service shows it; `reference` is its id or username."""
        reply = self.service.get(f"/customers/{reference}")
        return reply.body if reply.status == 200 else None

    def known(self, reference: str) -> Json:
        """Return a customer; raise Untrue if the service does not have it."""
        document = self.document(reference)
        if not document:
            raise Untrue(f"the service does not know {reference}")
        return document

    def at_stripe(self, username: str) -> list[Json]:
        """Return the usable customers at Stripe with that e-mail address, whatever its case."""
        found = self.stripe.usable("customer")
        return [each for each in found if (each["email"] or "").casefold() == username.casefold()]

    def ids(self, kind: str) -> list[str]:
        """Return the ids of the usable objects at Stripe."""
        return [each["id"] for each in self.stripe.usable(kind)]

    def sides(self, username: str, id: str | None = None) -> BothSides:
        """Return both sides of one customer; the `id` also finds a document that no longer holds its username."""
        document, there = self.document(id or username), self.at_stripe(username)
        linked = document is not None and document["stripe_id"] in [each["id"] for each in there]
        return BothSides(document["status"] if document else "nobody", len(there), linked)

    def names(self, username: str) -> tuple[object, object]:
        """Return the customer's name here and at Stripe."""
        document, there = self.document(username), self.at_stripe(username)
        return document and document["name"], there[0]["name"] if there else None

    def confirmed(self, reference: str) -> bool:
        """Return whether an event of Stripe's has confirmed this customer."""
        document = self.document(reference)
        return bool(document and document["confirmed_at"])

    def stored(self, id: str) -> Mapping[str, Any]:
        """Return a customer's document as MongoDB has it."""
        found = self._row("customer", _id=ObjectId(id))
        if not found:
            raise Untrue(f"MongoDB has no customer {id}")
        return found

    def there(self, kind: str, id: str) -> Json:
        """Return an object at Stripe."""
        return next(each for each in self.stripe.objects(kind) if each["id"] == id)

    def both(self, kind: str, id: str, *names: str) -> tuple[list[object], list[object]]:
        """Return fields of an object as MongoDB has them, and as Stripe has them; a dot leads inside."""
        here, there = self._row(kind, stripe_id=id), self.there(kind, id)
        if kinds()[kind].resource.mirrored:
            here, ours = here.get("stripe") or {}, [*names]
        else:
            ours = ["stripe_status" if name == "status" else name for name in names]
        return [_at(here, name) for name in ours], [_at(there, name) for name in names]

    def seats(self, subscription: str) -> tuple[object, object]:
        """Return the quantity of a subscription here and at Stripe, by Stripe's id."""
        here, there = self._row("subscription", stripe_id=subscription), self.there("subscription", subscription)
        return here["items"][0]["quantity"], there["items"]["data"][0]["quantity"]

    def sale(self, id: str) -> Sale:
        """Return an order, and the money of its payment intent at Stripe."""
        order = self._row("order", _id=ObjectId(id))
        payment = order.get("payment_intent")
        intents = [each for each in self.stripe.objects("payment_intent") if each["id"] == payment]
        charges = [each for each in self.stripe.objects("charge") if each["payment_intent"] == payment]
        return Sale(
            order["payment_status"],
            sum(each["amount_received"] for each in intents),
            sum(each["amount_refunded"] for each in charges),
            order["amount_refunded"],
        )

    def charges(self) -> int:
        """Return how many charges at Stripe were paid."""
        return sum(each["paid"] for each in self.stripe.objects("charge"))

    def newest_order(self) -> str:
        """Return the id of the newest order."""
        return str(self.service.get("/orders?limit=1").body["data"][0]["id"])

    def may_enter(self, username: str) -> bool:
        """Return whether a customer is entitled to the product."""
        reply = self.service.get(f"/customers/{username}/access?product={self.ids('product')[0]}")
        return bool(reply.body["entitled"])

    def event(self, type: str) -> Json:
        """Return the newest event of that type at Stripe."""
        return next(event for event in reversed(self.stripe.events()) if event["type"] == type)

    def consistency(self) -> ConsistencyReport:
        """Compare both sides."""
        return compare_sides(self._stack.database, self.stripe)

    # --- doing ---

    def create(self, username: str, *, key: str | None = None) -> Reply:
        """Create a customer by one call."""
        return self.service.post("/customers", {"username": username}, key=key)

    def start_call(self, call: Callable[[], Reply]) -> "Future[Reply]":
        """Start a call in a thread, without waiting for the answer."""
        pool = ThreadPoolExecutor(1)
        answer = pool.submit(call)
        pool.shutdown(wait=False)
        return answer

    def order(self, username: str, **fields: Any) -> Reply:
        """Order two lamps."""
        lamp = next(price for price in self.stripe.usable("price") if price["recurring"] is None)
        items = [{"price": lamp["id"], "quantity": 2}]
        return self.service.post("/orders", {"username": username, "items": items, **fields})

    def monthly(self) -> str:
        """Create a monthly price, and return its id."""
        recurs = {"currency": "eur", "unit_amount": 500, "recurring": {"interval": "month"}}
        made = self.service.post("/prices", {"product": self.ids("product")[0], **recurs})
        return str(made.body["stripe_id"])

    def card(self, token: str) -> str:
        """Create a payment method from a token, which Stripe's code in the browser makes. Return its id."""
        made = self.service.post("/payment-methods", {"type": "card", "card": {"token": token}})
        return str(made.body["stripe_id"])

    def pay_with(self, username: str, card: str) -> Reply:
        """Make this card the customer's default, by one call."""
        return self.service.post(f"/customers/{username}/payment_method", {"payment_method": card})

    @contextmanager
    def a_month_ago(self) -> Iterator[None]:
        """Run the block a month ago by Stripe's clock. Its webhooks arrive afterwards."""
        self.stripe.webhooks.disrupt(delay=1000, seconds=MONTH.total_seconds())
        self.stripe.clock.advance(-MONTH.total_seconds())
        try:
            yield
        finally:
            self.stripe.webhooks.disrupt()
            self.stripe.clock.advance(MONTH.total_seconds())

    def kill_workers(self) -> int:
        """Send `kill -9` to every worker; gunicorn starts others. Return how many there were."""
        workers = self._stack.workers()
        for pid in workers:
            kill(pid, SIGKILL)
        return len(workers)

    def make_due(self, id: str) -> None:
        """Make a document due, whoever works on it."""
        self._rewrite(id, PAST)

    def make_old(self, id: str, age: timedelta) -> None:
        """Make a document's pending operation older by `age`, and due."""
        earlier = int(age.total_seconds() * 1000)
        dates = ("operation.staged_at", "operation.saved_error_at")
        aged = {date: {"$subtract": [f"${date}", earlier]} for date in dates}
        self._rewrite(id, {**aged, **PAST})

    def make_all_due(self) -> None:
        """Make every row due that will be at any time, events and usage, too."""
        others = (self._stack.database[name] for name in ("stripe_events", "usage_records"))
        for rows in (*self._collections, *others):
            rows.update_many({"due_at": {"$type": "date"}}, [{"$set": PAST}])

    def reconcile(self, *options: str) -> str:
        """Run reconcile once, and return a line about what it did. Raise Untrue if it fails."""
        code, report = self._stack.reconcile(*options)
        done = ", ".join(f"{name} {count}" for name, count in sorted(report.get("counts", {}).items()) if count)
        line = " ".join(("python -m sync reconcile", *options, "→", done or "nothing to do"))
        if code != 0:
            raise Untrue(f"{line}, exit code {code}: {report.get('unseen')}")
        return line

    def _rewrite(self, id: str, changes: Json) -> None:
        document = {"_id": ObjectId(id), "due_at": {"$type": "date"}}
        matched = [rows.update_one(document, [{"$set": changes}]).matched_count for rows in self._collections]
        if not any(matched):
            raise Untrue(f"{id} is not leased")

    @property
    def _collections(self) -> list[Any]:
        return [self._stack.database[model._get_collection_name()] for model in kinds().values()]

    def _row(self, kind: str, **where: object) -> Mapping[str, Any]:
        rows: Any = self._stack.database[kinds()[kind]._get_collection_name()]
        found: Mapping[str, Any] | None = rows.find_one(where)
        return found or {}


def no_answer(answer: "Future[Reply]") -> bool:
    """Return whether a started call ended without an answer."""
    return answer.done() and isinstance(answer.exception(), NoAnswer)


def _at(fields: Mapping[str, Any], name: str) -> Any:
    found: Any = fields
    for part in name.split("."):
        found = (found or {}).get(part)
    return found
