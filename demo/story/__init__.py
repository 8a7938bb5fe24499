"""The story: what a shop does with Stripe, what can go wrong, and that both sides agree afterwards.

A chapter is a function with a title. It acts, and yields expectations; each is checked on MongoDB and Stripe before the
chapter goes on. A chapter also yields strings, which say what the demo does.
"""

from stripe_mongo_sync.demo.screen import Screen
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.story.billing import card, portal, renewal
from stripe_mongo_sync.demo.story.customers import created, dashboard, refused, sold, taken
from stripe_mongo_sync.demo.story.expectation import Chapter, Expectation, chapter
from stripe_mongo_sync.demo.story.faults import compared, killed, late_orphan, lost_reply, missed
from stripe_mongo_sync.demo.story.orders import by_checkout, by_intent, given_back, paid_once
from stripe_mongo_sync.demo.story.subscribers import door, payout, seats, usage

__all__ = ["CHAPTERS", "Chapter", "Expectation", "chapter", "run_story"]

CHAPTERS: tuple[Chapter, ...] = (
    created,
    sold,
    taken,
    refused,
    lost_reply,
    killed,
    missed,
    late_orphan,
    dashboard,
    card,
    by_checkout,
    by_intent,
    given_back,
    paid_once,
    renewal,
    portal,
    door,
    seats,
    usage,
    payout,
    compared,
)


def run_story(shop: Shop, screen: Screen, chapters: tuple[Chapter, ...] = CHAPTERS) -> bool:
    """Run the chapters and return whether every expectation was met. Raise Ended if a process of the stack died."""
    for number, each in enumerate(chapters, 1):
        screen.title(f"{number}. {each.title}")
        _run_chapter(each, shop, screen)
        shop.check()
        shop.stripe.clear_faults()
    report = shop.consistency()
    if screen.missed:
        screen.end(f"{screen.missed} of {screen.missed + screen.met} expectations were not met; {report}", good=False)
    else:
        screen.end(str(report), good=report.in_sync)
    return report.in_sync and not screen.missed


def _run_chapter(each: Chapter, shop: Shop, screen: Screen) -> None:
    """Run one chapter to its end or to the first expectation that is missed, on which the rest depends."""
    try:
        for step in each.run(shop):
            if isinstance(step, str):
                screen.note(step)
            elif (why := step.mismatch()) is None:
                screen.holds(step.words)
            else:
                return screen.fails(step.words, why)
    except Exception as error:  # of any kind: the expectations that were to follow are not met
        screen.fails("this chapter did not run to its end", f"{type(error).__name__}: {error}")
