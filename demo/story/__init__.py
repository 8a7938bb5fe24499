"""The story: what a shop does with Stripe, what may go wrong, and that both sides are one afterwards.

A chapter is a function with a title. It does something, and yields claims; each is checked on both sides, for real,
before the chapter goes on. A string that it yields tells what happens meanwhile.
"""

from stripe_mongo_sync.demo.screen import Screen
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.story.billing import card, portal, renewal
from stripe_mongo_sync.demo.story.claim import Chapter, Claim, chapter
from stripe_mongo_sync.demo.story.customers import created, dashboard, refused, sold, taken
from stripe_mongo_sync.demo.story.faults import compared, killed, late_twin, lost_reply, missed
from stripe_mongo_sync.demo.story.orders import by_checkout, by_intent, given_back, paid_once

__all__ = ["CHAPTERS", "Chapter", "Claim", "chapter", "tell"]

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
    card,
    by_checkout,
    by_intent,
    given_back,
    paid_once,
    renewal,
    portal,
    compared,
)


def tell(shop: Shop, screen: Screen, chapters: tuple[Chapter, ...] = CHAPTERS) -> bool:
    """Tell the story, and say whether all of it is true. Raises Ended when there is nothing left to tell it on."""
    for number, each in enumerate(chapters, 1):
        screen.title(f"{number}. {each.title}")
        _tell(each, shop, screen)
        shop.check()
        shop.stripe.clear_faults()
    balance = shop.balance()
    if screen.wrong:
        screen.end(f"{screen.wrong} of {screen.wrong + screen.right} claims did not hold; {balance}", good=False)
    else:
        screen.end(str(balance), good=balance.in_sync)
    return balance.in_sync and not screen.wrong


def _tell(each: Chapter, shop: Shop, screen: Screen) -> None:
    """Tell one chapter up to its end, or to the first claim that does not hold: the rest builds on it."""
    try:
        for told in each.tell(shop):
            if isinstance(told, str):
                screen.note(told)
            elif (why := told.wrong()) is None:
                screen.holds(told.words)
            else:
                return screen.fails(told.words, why)
    except Exception as error:  # whatever it is, the claims that were to come do not hold
        screen.fails("this chapter could not be told to its end", f"{type(error).__name__}: {error}")
