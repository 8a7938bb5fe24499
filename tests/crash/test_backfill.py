"""A backfill that is killed before each of its effects in turn, and again when it goes on, copies everything."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Status
from stripe_mongo_sync.sync.runs.backfill import Backfill, backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.stock import assert_copied, stock
from tests.support.world import World

STOCK = 100  # and three, which are two pages


def copy() -> Backfill:
    return backfill(["customer", "product"], patience=Throttle(10_000.0, lambda seconds: None))


def account(world: World) -> Customer:
    """An account with a past, a document that differs, one that nobody confirmed, and one that is pending.

    It was compared before that: no comparison does what the backfill should have done.
    """
    world.reconcile()
    known = [sync.create_customer(f"known{number}@here.com") for number in range(2)]
    world.stripe.dashboard.update("customer", known[0].stripe_id, name="Edited")
    world.stripe.fault("cut_after", method="POST", times=2)
    pending = sync.create_customer("pending@here.com")
    stock(world, STOCK)
    stock(world, 3, "product")
    world.webhooks()
    world.advance(minutes=20)
    return pending


@pytest.mark.usefixtures("page_by_page")
@pytest.mark.parametrize("again", [pytest.param(0, id="once", marks=pytest.mark.long), pytest.param(2, id="twice")])
@pytest.mark.fault("95")
def test_killed_before_any_effect_it_goes_on_and_copies_everything(lives: Lives, again: int) -> None:
    world, died_of = lives.world, set()
    pending = account(world)
    for death in lives.deaths(copy, least=8):
        died_of.add(death.died)
        if again:
            lives.fuse.kill(copy, again)
        told = copy()
        assert (told.exit_code, told.finished) == (0, True), f"after dying {death.died}: {told}"
        world.converge()
        assert pending.fetch_latest().status == Status.ACTIVE
        assert Customer.objects.count() == STOCK + 3
        assert_copied(world)
        assert_in_sync(world)
    assert died_of >= {"before insert", "before findAndModify"}
