"""Whatever dies, hooks hear of what happened: every journey, and then the worker, is killed before each of its effects.

What happened is known from MongoDB's own replies, and not from what the code under test says of it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from stripe_mongo_sync.models import Customer, Delivery, DeliveryState
from stripe_mongo_sync.sync.notices.deliver import deliver
from tests.crash.test_crash import JOURNEYS, Journey
from tests.support import samples
from tests.support.fuse import Fuse
from tests.support.hooks import History, listening, told
from tests.support.lives import Lives
from tests.support.world import World

NAMES = ("*.active", "*.rolled_back", "*.deleted", "order.*")


def hear_all(world: World, fuse: Fuse) -> int:
    """Let the worker die before its first effect, its second, … until it survives; return how often it died."""
    deaths = 0
    while fuse.kill(deliver, deaths + 1) is not None:
        deaths += 1
        world.advance(minutes=10)  # a lease runs out
    return deaths


def hearing_of_a_payment(world: World, kind: str) -> Callable[[], object]:
    """The webhooks of a checkout that was paid."""
    order = samples.create(kind)
    world.deliver()
    world.stripe.pay_session(order.checkout_session, "pm_card_visa")
    bodies = world.webhooks()
    return lambda: [world.send(raw) for raw in bodies]


PAYMENT = Journey("hear of a payment", hearing_of_a_payment)
ALWAYS = {  # the other journeys take minutes
    *(("create", "order"), ("hear of a payment", "order"), ("undo a late orphan", "customer")),
    *(("update", "customer"), ("delete", "customer"), ("create, reply lost", "customer")),
}


def cases() -> Iterator[Any]:
    """Every journey of a customer, and those in which an order differs."""
    every = [(journey, "customer") for journey in JOURNEYS] + [(j, "order") for j in (*JOURNEYS[:3], PAYMENT)]
    for journey, kind in every:
        marks = [] if (journey.name, kind) in ALWAYS else [pytest.mark.long]
        yield pytest.param(journey, kind, id=f"{journey.name}-{kind}", marks=marks)


@pytest.mark.parametrize(("journey", "kind"), list(cases()))
@pytest.mark.fault("92")
def test_what_happened_is_told_and_nothing_else(journey: Journey, kind: str, lives: Lives) -> None:
    world, history, deaths = lives.world, History(), 0
    world.listeners = (history,)
    world.start()
    if kind == "order":  # else each death is compared with all that Stripe lists, which customers are
        world.reconcile()
    with listening(*NAMES) as heard:
        for death in lives.deaths(journey.arrange(world, kind), least=1):
            heard.clear()
            deaths += hear_all(world, lives.fuse)
            world.deliver()
            world.stripe.clear_faults()
            world.stripe.release_late_requests()
            world.converge()
            world.deliver()
            deaths += hear_all(world, lives.fuse)
            deliver()
            here = {str(document.id) for document in world.documents()}
            assert told(heard) <= history.statuses, f"what did not happen was told, after dying {death.died}"
            assert {one for one in history.statuses if one[0] in here} <= told(heard), f"lost, after dying {death.died}"
            assert Delivery.objects(state__ne=DeliveryState.DONE).count() == 0
            assert not any(document.notices for document in world.documents())
    assert deaths > 3, "the worker was never killed"


@pytest.mark.fault("92")
@pytest.mark.fault("35")
def test_an_event_is_told_wherever_the_service_dies(lives: Lives) -> None:
    world = lives.world
    with listening("stripe:customer.*") as heard:
        world.stripe.dashboard.create("customer", name="x")
        bodies = world.webhooks()
        for _ in lives.deaths(partial(world.deliver, bodies), least=2):
            heard.clear()
            world.deliver(bodies)  # Stripe had no answer, and sends it again
            hear_all(world, lives.fuse)
            assert [notice.name for notice in heard][-1:] == ["stripe:customer.created"]
            assert len({notice.id for notice in heard}) == 1
            assert Customer.objects.count() == 1
