"""Usage is neither lost nor counted twice, wherever the caller or the worker dies, whatever Stripe answered before."""

import pytest

from stripe_mongo_sync.models import UsageRecord
from stripe_mongo_sync.sync.shop.usage import send_usage
from tests.support.lives import Lives
from tests.support.metered import PATH, assert_counted, counted, open_shop, send_all, use

FAULTS = ("cut_before", "cut_after", "500_before", "500_after", "503_edge", "bad_body", "rate_limit", "late_request")


USUAL = (None, "cut_before", "cut_after", "500_after")  # the others are known to the worker as one of these


@pytest.mark.parametrize("hours", [0, 30], ids=["at once", "a day later"])
@pytest.mark.parametrize(
    "fault", [*USUAL, *(pytest.param(each, marks=pytest.mark.long) for each in FAULTS if each not in USUAL)]
)
@pytest.mark.fault("160")
def test_usage_is_counted_once_wherever_a_process_dies(lives: Lives, fault: str | None, hours: int) -> None:
    """After a day, Stripe may have forgotten the identifier: then what may have been counted is for an operator."""
    world = lives.world
    open_shop()
    world.deliver()
    if fault is not None:
        world.stripe.fault(fault, path=PATH, times=1)

    def act() -> None:
        use(1)
        use(2)
        send_usage()

    for death in lives.deaths(act, least=6):
        world.stripe.clear_faults()
        world.stripe.release_late_requests()
        before = counted(world)
        world.advance(hours=hours)
        for value in (1, 2):  # a caller that was told nothing repeats the call
            use(value)
        send_all(world)

        assert_counted(world, 1, 2)
        states = {record.value: record.state for record in UsageRecord.objects}
        if hours == 0:
            assert {*states.values()} == {"sent"}, f"{states} after dying {death.died}"
        assert {"sent", "review"} >= {*states.values()}
        assert all(counted(world)[value] == 1 for value, state in states.items() if state == "sent"), before
