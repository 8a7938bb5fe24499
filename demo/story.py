"""The story: what may go wrong between a shop and Stripe, and that both sides are one afterwards.

A chapter is a function. It does something, and yields claims; each is checked on both sides, for real, before the
chapter goes on. A string that it yields tells what happens meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from demo.client import NoAnswer
from demo.screen import Screen
from demo.shop import GIVEN_UP, IN_DOUBT, LATE_TWIN, NOBODY, SYNCED, UNKNOWN, Shop, Sides, no_answer

PATIENCE = 10.0  # seconds until a claim must hold; a webhook takes a tenth of one
POLL = 0.02  # seconds between two looks

ADA, BOB, CLEO, DORA, EVE = (f"{name}@here.com" for name in ("ada", "bob", "cleo", "dora", "eve"))


@dataclass(frozen=True)
class Claim:
    """Words that a shop owner understands, and what is `seen` when they are true."""

    words: str
    seen: Callable[[], object]
    expected: object = True
    patience: float = PATIENCE

    def wrong(self) -> str | None:
        """Wait until it holds and return None, or else what was seen instead."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                seen = self.seen()
            except (NoAnswer, OSError) as error:  # a process that was killed is not back yet
                seen = error
            if seen == self.expected:
                return None
            if time.monotonic() > deadline:
                return f"expected {self.expected}\nseen     {seen}"
            time.sleep(POLL)


Chapter = Callable[[Shop], Iterator[Claim | str]]


def created(shop: Shop) -> Iterator[Claim | str]:
    """A new customer"""
    ada = shop.create(ADA)
    yield Claim("one call creates her here and at Stripe, linked", lambda: (ada.status, shop.sides(ADA)), (201, SYNCED))
    yield Claim("Stripe's webhook confirms her", lambda: (shop.confirmed(ADA), shop.sides(ADA)), (True, SYNCED))


def sold(shop: Shop) -> Iterator[Claim | str]:
    """What the shop sells"""
    lamp = shop.service.post("/products", {"name": "Lamp"})
    price = shop.service.post("/prices", {"product": lamp.body["id"], "currency": "eur", "unit_amount": 990})
    yield Claim(
        "a product and its price, the same way",
        lambda: (lamp.body["status"], price.body["status"], shop.ids("product"), shop.ids("price")),
        ("active", "active", [lamp.body["stripe_id"]], [price.body["stripe_id"]]),
    )


def taken(shop: Shop) -> Iterator[Claim | str]:
    """A username that is taken"""
    again = shop.create(ADA.upper())
    yield Claim(
        "the second call is told so, and Stripe still has her once",
        lambda: (again.status, shop.sides(ADA)),
        (409, SYNCED),
    )


def refused(shop: Shop) -> Iterator[Claim | str]:
    """Stripe refuses"""
    shop.stripe.fault("decline", "POST /v1/customers")
    bob = shop.create(BOB)
    yield Claim("the caller is told that the card was declined", lambda: bob.status, 402)
    id = bob.body["document"]["id"]
    yield Claim(
        "nothing is left on either side",
        lambda: (shop.sides(BOB), shop.sides(BOB, id)),
        (NOBODY, GIVEN_UP),
    )
    bob = shop.create(BOB)
    yield Claim("so he can try again", lambda: (bob.status, shop.sides(BOB)), (201, SYNCED))


def lost_reply(shop: Shop) -> Iterator[Claim | str]:
    """Stripe creates the customer, but its reply is lost"""
    shop.stripe.webhooks.disturb(drop=1, types="customer.created")
    shop.stripe.fault("cut_after", "POST /v1/customers", times=2)  # the service repeats a lost call once by itself
    cleo = shop.create(CLEO, key="order-1")
    yield Claim(
        "the service does not guess: it answers 'pending'",
        lambda: (cleo.status, shop.sides(CLEO)),
        (202, IN_DOUBT),
    )
    shop.stripe.resend(shop.event("customer.created")["id"])
    yield Claim("the webhook arrives, and the two are linked", lambda: shop.sides(CLEO), SYNCED)
    again = shop.create(CLEO, key="order-1")
    yield Claim(
        "the caller asks again with the same key: the same customer, no second one",
        lambda: (again.status, again.body.get("id"), shop.sides(CLEO)),
        (201, cleo.body["id"], SYNCED),
    )


def killed(shop: Shop) -> Iterator[Claim | str]:
    """kill -9 between Stripe's commit and our link"""
    shop.stripe.lose_event("customer.created")  # no webhook, and nothing in Stripe's list of events either
    shop.stripe.fault("hold_after", "POST /v1/customers")
    answer = shop.creating(DORA)
    yield Claim("Stripe has created her, and the service waits for the reply", lambda: shop.sides(DORA), IN_DOUBT)
    yield f"kill -9: all {shop.kill_workers()} workers die at once, and gunicorn starts others"
    yield Claim(
        "the caller hears nothing, and both sides disagree",
        lambda: (no_answer(answer), shop.sides(DORA)),
        (True, IN_DOUBT),
    )
    yield "the dead worker holds a lease: the demo moves this lease into the past rather than wait two minutes"
    shop.make_due(shop.known(DORA)["id"])
    yield shop.reconcile()
    yield Claim("reconcile finds what was begun, and links it", lambda: shop.sides(DORA), SYNCED)


def missed(shop: Shop) -> Iterator[Claim | str]:
    """A webhook that never arrives"""
    shop.stripe.webhooks.disturb(drop=1, types="customer.updated")
    ada = shop.at_stripe(ADA)[0]
    shop.stripe.dashboard.update("customer", ada["id"], name="Ada Lovelace")
    yield Claim(
        "Stripe has a new name, the shop was never told",
        lambda: (shop.names(ADA), shop.event("customer.updated")["pending_webhooks"]),
        ((None, "Ada Lovelace"), 1),
    )
    yield shop.reconcile()
    yield Claim("reconcile catches up", lambda: shop.names(ADA), ("Ada Lovelace", "Ada Lovelace"))


def late_twin(shop: Shop) -> Iterator[Claim | str]:
    """Given up, and then Stripe creates it after all"""
    shop.stripe.fault("500_repair", "POST /v1/customers")
    eve = shop.create(EVE)
    id = eve.body["id"]
    yield Claim(
        "Stripe says 500, which may mean anything: pending", lambda: (eve.status, shop.sides(EVE)), (202, UNKNOWN)
    )
    yield "the demo makes this attempt 20 minutes older rather than wait so long"
    shop.make_old(id, timedelta(minutes=20))
    yield shop.reconcile()
    yield Claim(
        "Stripe does not have her: rolled back", lambda: (shop.sides(EVE), shop.sides(EVE, id)), (NOBODY, GIVEN_UP)
    )
    key = shop.stored(id)["key"]
    shop.stripe.post("repair", key=key, request={"id": None, "idempotency_key": key})
    yield Claim(
        "Stripe's engineers repair their failure, and there she is: its webhook says whose she is",
        lambda: (shop.sides(EVE, id), shop.stored(id)["orphans"]),
        (LATE_TWIN, [each["id"] for each in shop.at_stripe(EVE)]),
    )
    yield shop.reconcile()
    yield Claim("reconcile deletes her at Stripe: nobody wanted her any more", lambda: shop.sides(EVE, id), GIVEN_UP)


def dashboard(shop: Shop) -> Iterator[Claim | str]:
    """Somebody works in Stripe's Dashboard"""
    bob = shop.known(BOB)
    shop.stripe.dashboard.update("customer", bob["stripe_id"], name="Bob the Builder")
    yield Claim("an edit there is seen here", lambda: shop.names(BOB), ("Bob the Builder", "Bob the Builder"))
    shop.stripe.dashboard.delete("customer", bob["stripe_id"])
    deleted = Sides("deleted", at_stripe=0, linked=False)
    yield Claim(
        "a deletion there is one here, and frees the username",
        lambda: (shop.sides(BOB, bob["id"]), shop.sides(BOB)),
        (deleted, NOBODY),
    )


def compared(shop: Shop) -> Iterator[Claim | str]:
    """In the end, everything is compared"""
    shop.make_all_due()  # what a webhook linked is looked at once more when its lease is over
    yield shop.reconcile("--full")
    yield Claim("nothing is pending, different, missing or too much", lambda: shop.balance().in_sync)
    yield Claim("Stripe itself told us of each", lambda: all(map(shop.confirmed, (ADA, CLEO, DORA))))


CHAPTERS: tuple[Chapter, ...] = (
    created,
    sold,
    taken,
    refused,
    lost_reply,
    killed,
    missed,
    late_twin,
    dashboard,
    compared,
)


def tell(shop: Shop, screen: Screen, chapters: tuple[Chapter, ...] = CHAPTERS) -> bool:
    """Tell the story, and say whether all of it is true. Raises Ended when there is nothing left to tell it on."""
    for number, chapter in enumerate(chapters, 1):
        screen.title(f"{number}. {chapter.__doc__}")
        _tell(chapter, shop, screen)
        shop.check()
        shop.stripe.calm()
    balance = shop.balance()
    if screen.wrong:
        screen.end(f"{screen.wrong} of {screen.wrong + screen.right} claims did not hold; {balance}", good=False)
    else:
        screen.end(str(balance), good=balance.in_sync)
    return balance.in_sync and not screen.wrong


def _tell(chapter: Chapter, shop: Shop, screen: Screen) -> None:
    """Tell one chapter up to its end, or to the first claim that does not hold: the rest builds on it."""
    try:
        for told in chapter(shop):
            if isinstance(told, str):
                screen.note(told)
            elif (why := told.wrong()) is None:
                screen.holds(told.words)
            else:
                return screen.fails(told.words, why)
    except Exception as error:  # whatever it is, the claims that were to come do not hold
        screen.fails("this chapter could not be told to its end", f"{type(error).__name__}: {error}")
