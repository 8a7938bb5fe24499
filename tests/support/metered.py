"""Usage in tests: what Stripe has counted, and the assertion that nothing was lost or counted twice."""

from collections import Counter
from typing import Any

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import UsageRecord, UsageState
from stripe_mongo_sync.sync.shop.usage import send_usage
from tests.support import samples
from tests.support.world import World

NAME, METER = "user@here.com", "used_by_all"
PATH = "/v1/billing/meter_events"
AT_MOST = {UsageState.PENDING: (0, 1), UsageState.SENT: (1, 1), UsageState.REFUSED: (0, 0), UsageState.REVIEW: (0, 1)}


def open_shop() -> str:
    """Make a customer and a meter; return the meter's id here."""
    sync.create_customer(NAME)
    return str(samples.create("billing.meter", "all").id)


def counted(world: World) -> Counter[str]:
    """Return how often Stripe has counted each value: a test gives each record a value of its own."""
    events = world.stripe.engine.realm(False).table("meter_events").values()
    return Counter(
        next(v for k, v in each["payload"].items() if k not in ("who", "stripe_customer_id")) for each in events
    )


def use(value: int, **given: Any) -> UsageRecord:
    """Record a value, with a key that is the same in every call with it."""
    return sync.record_usage(NAME, METER, value, idempotency_key=f"of {value}", **given)


def send_all(world: World, hours: float = 2) -> None:
    """Let a worker send until nothing is left that may be sent."""
    for _ in range(9):
        send_usage()
        world.advance(hours=hours)


def assert_counted(world: World, *acknowledged: int) -> None:
    """Assert that each acknowledged value has one record, and that Stripe has counted each as its record says."""
    times, records = counted(world), list(UsageRecord.objects)
    values = [int(record.value) for record in records]
    assert {*acknowledged} <= {*values}, "lost"
    assert len(values) == len({*values}), "recorded twice"
    for record in records:
        least, most = AT_MOST[UsageState(record.state)]
        assert least <= times[record.value] <= most, (
            f"counted {times[record.value]} times: {record.to_mongo().to_dict()}"
        )
    assert {*times} <= {record.value for record in records}, "counted without a record"
