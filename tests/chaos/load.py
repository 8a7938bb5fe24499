"""Clients of a shop, each in a thread of its own, who note what they were told, and what may be true by that.

Each of them does one thing after another with things that nobody else touches. So every answer says in which states a
thing can be from then on: after "done" in one, after "refused" in those from before, and after no answer, "later" or
"unavailable" in all of them. Which of them it is in the end is `tests/chaos/book.py`'s question.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stripe_mongo_sync.demo.client import Client, NoAnswer

NOTHING = "nothing"  # it was never made, or what was begun is given up
DELETED = "deleted"
NO_ANSWER = 0  # the status of a request of which nobody knows what became
DONE = (200, 201)
OPEN = (202, 503, NO_ANSWER)  # the client does not know yet
ALLOWED = {*DONE, *OPEN, 402, 404, 409, 422}  # and never 500: the rest is what clients bring upon themselves
REPEATS = 12  # of a request whose answer leaves it open; then the client goes away, and never learns more
PAUSE = 0.1  # seconds before each
THINKS = 0.02  # seconds between two requests of one client: the load is to be steady, not the most that is possible
PATHS = {
    "customer": "/customers",
    "product": "/products",
    "payment_intent": "/payment-intents",
    "order": "/orders",
}
TOO_LITTLE = 1  # cents: Stripe refuses such a payment
NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}


@dataclass(frozen=True)
class Answer:
    """What one request was told, and when."""

    sent: float  # time.monotonic()
    took: float  # seconds
    verb: str
    kind: str
    status: int

    @property
    def at(self) -> float:
        return self.sent + self.took


@dataclass
class Thing:
    """Something that a client asked for, and what it can be by all that the client was told."""

    kind: str
    mark: str  # nothing else bears it, on either side
    may_be: set[str] = field(default_factory=lambda: {NOTHING})
    id: str | None = None
    told: list[int] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether the client knows for sure what it is."""
        return len(self.may_be) == 1


class Lied(AssertionError):
    """An answer that cannot be true, whatever went wrong meanwhile."""


class Load:
    """`with Load(service, price) as load:` lets clients shop until the block ends."""

    def __init__(self, service: Client, price: str, *, clients: int = 4, seed: int = 0, thinks: float = THINKS) -> None:
        self.things: list[Thing] = []
        self.answers: list[Answer] = []
        self.failed: list[BaseException] = []
        self.service, self.price, self.thinks = service, price, thinks
        self.over = threading.Event()
        self._news = threading.Condition()
        self._run = uuid.uuid4().hex[:6]
        self._threads = [
            threading.Thread(target=self._shop, args=(number, random.Random(f"{seed}:{number}")), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client still waits for its answer"

    @property
    def acknowledged(self) -> int:
        """How many requests were told that what they asked for is done."""
        return sum(answer.status in DONE for answer in self.answers)

    @property
    def told(self) -> set[int]:
        """Every status that any client was told."""
        return {answer.status for answer in self.answers}

    def goes_on(self, done: int = 30, within: float = 45.0) -> float:
        """Wait until so many more requests are done; return how many seconds passed until the first of them."""
        began, before = time.monotonic(), self.acknowledged
        with self._news:
            held = self._news.wait_for(lambda: self.failed or self.acknowledged >= before + done, within)
        if self.failed:
            raise self.failed[0]
        assert held, f"{self.acknowledged - before} requests done in {within:.0f} s: {self.answers[-20:]}"
        return min(answer.at for answer in self.answers if answer.status in DONE and answer.at >= began) - began

    def is_refused(self) -> None:
        """Ask, while all is well, for something that Stripe refuses: whatever comes after must not bring it back.

        Not in the storm: a refusal after an attempt without an answer is no proof, and with money a person decides.
        """
        refused = self._payment(uuid.uuid4().hex, "pm_card_visa", TOO_LITTLE, NOTHING)
        assert refused.told == [422], refused

    def asks(self, requests: int, within: float = 60.0) -> None:
        """Wait until so many more requests were answered, or not, in whatever way."""
        before = len(self.answers)
        with self._news:
            assert self._news.wait_for(lambda: len(self.answers) >= before + requests, within), "the clients are stuck"

    # --- one client ---

    def _shop(self, number: int, chance: random.Random) -> None:
        try:
            for count in range(10**9):
                if self.over.is_set():
                    return
                live = chance.choices((self._customer, self._product, self._pay, self._order), (5, 2, 2, 2))[0]
                live(f"{self._run}-{number}-{count}", chance)
        except BaseException as error:
            with self._news:
                self.failed.append(error)
                self._news.notify_all()

    def _customer(self, mark: str, chance: random.Random) -> None:
        ann = self.create("customer", f"{mark}@here.com", "Name 0", username=f"{mark}@here.com", name="Name 0")
        for version in range(1, chance.randint(1, 3)):
            self.change(ann, f"Name {version}", name=f"Name {version}")
        if ann.known and chance.random() < 0.2 and not self._taken(ann):
            return  # that request may still come, and would get the name if it were free by then
        if chance.random() < 0.3:
            self.delete(ann)

    def _product(self, mark: str, chance: random.Random) -> None:
        lamp = self.create("product", mark, "Lamp 0", description=mark, name="Lamp 0")
        if chance.random() < 0.5:
            self.change(lamp, "Lamp 1", name="Lamp 1")
        if chance.random() < 0.3:
            self.delete(lamp)

    def _pay(self, mark: str, chance: random.Random) -> None:
        """A payment that succeeds, or one whose card is declined."""
        card, then = chance.choice(
            (
                ("pm_card_visa", "succeeded"),
                ("pm_card_visa", "succeeded"),
                ("pm_card_visa_chargeDeclined", "requires_payment_method"),
            )
        )
        self._payment(mark, card, 2000, then)

    def _payment(self, mark: str, card: str, amount: int, then: str) -> Thing:
        how = {"payment_method": card, "confirm": True, "automatic_payment_methods": NO_REDIRECTS}
        return self.create("payment_intent", mark, then, description=mark, amount=amount, currency="eur", **how)

    def _order(self, mark: str, chance: random.Random) -> None:
        buyer = f"{mark}@here.com"
        if self.create("customer", buyer, "A Buyer", username=buyer, name="A Buyer").may_be == {"A Buyer"}:
            how = {"payment": "payment_intent", "payment_method": "pm_card_visa", "receipt_email": buyer}
            self.create("order", buyer, "paid", username=buyer, items=[{"price": self.price, "quantity": 2}], **how)

    def _taken(self, ann: Thing) -> bool:
        """Ask for a second customer of that name, which is refused whatever happens; return whether it was."""
        told = self._ask("POST", "customer", "", {"username": ann.mark, "name": "A Thief"}, uuid.uuid4().hex)[0]
        if told not in (409, *OPEN):
            raise Lied(f"{told} for a name that {ann} has")
        return told == 409

    def create(self, kind: str, mark: str, then: str, **body: Any) -> Thing:
        """Ask for something until it is known whether it is `then`, or patience ends; `then` may be nothing."""
        thing = Thing(kind, mark)
        self.things.append(thing)
        key = uuid.uuid4().hex

        def decided(status: int, told: dict[str, Any], first: bool) -> set[str] | None:
            if status in DONE or (status == 402 and then == "requires_payment_method"):
                thing.id = (told.get("document") or told)["id"]
                return {then}
            return {NOTHING} if status == 422 and then == NOTHING else None

        return self._until(thing, then, decided, "POST", "", body, key)

    def change(self, thing: Thing, then: str, **changes: Any) -> None:
        """Change something that is known to be there."""
        if thing.known and thing.id:
            before = set(thing.may_be)

            def decided(status: int, told: dict[str, Any], first: bool) -> set[str] | None:
                if status == 409:  # another operation is pending: ours, if we asked before
                    return before if first else before | {then}
                return {then} if status == 200 else None

            self._until(thing, then, decided, "PATCH", f"/{thing.id}", changes)

    def delete(self, thing: Thing) -> None:
        """Delete something that is there."""
        if thing.id:
            before = set(thing.may_be)

            def decided(status: int, told: dict[str, Any], first: bool) -> set[str] | None:
                if status == 409:
                    return before if first else before | {DELETED}
                return {DELETED} if status == 200 or (status in (404, 410) and not first) else None

            self._until(thing, DELETED, decided, "DELETE", f"/{thing.id}")

    def _until(
        self,
        thing: Thing,
        then: str,
        decided: Callable[[int, dict[str, Any], bool], set[str] | None],
        *request: Any,
    ) -> Thing:
        verb, path, body, key = (*request, None, None)[:4]
        thing.may_be.add(then)
        first = True
        for _ in range(REPEATS):
            status, told = self._ask(verb, thing.kind, path, body, key)
            thing.told.append(status)
            if (now := decided(status, told, first)) is not None:
                thing.may_be = now
                break
            if status not in OPEN:
                raise Lied(f"{verb} was answered {status} {told}: {thing}")
            first = False
            if self.over.wait(PAUSE):
                break
        return thing

    def _ask(
        self, verb: str, kind: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        self.over.wait(self.thinks)
        began = time.monotonic()
        try:
            reply = self.service.call(verb, PATHS[kind] + path, body, {"Idempotency-Key": key} if key else None)
            status, told = reply.status, reply.body
        except NoAnswer:
            status, told = NO_ANSWER, {}
        with self._news:
            self.answers.append(Answer(began, time.monotonic() - began, verb, kind, status))
            self._news.notify_all()
        return status, told
