"""Figures of the last hour: what came in each minute, how late, and how old what is due is."""

from datetime import timedelta

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.sync.operator.views.figures import MINUTES, figures
from tests.support.world import World


def test_events_are_counted_by_the_minute_of_the_last_hour(world: World) -> None:
    for number in range(3):
        sync.create_customer(f"user{number}@here.com")
        world.deliver()
        world.advance(minutes=2 * (number == 1))

    now = figures()

    assert (len(now.events), sum(now.events), len(now.latency)) == (MINUTES, 3, MINUTES)
    assert sorted(number for number in now.events if number) in ([1, 2], [1, 1, 1])
    assert [late is None for late in now.latency] == [number == 0 for number in now.events]
    assert all(late is None or 0 <= late < 60 for late in now.latency)
    world.advance(hours=2)
    assert sum(figures().events) == 0


def test_an_event_that_came_late_is_late(world: World) -> None:
    sync.create_customer("user@here.com")
    raw = world.webhooks()
    world.advance(minutes=3)
    world.deliver(raw)

    (late,) = [late for late in figures().latency if late is not None]
    assert 170 < late < 200


def test_what_is_due_is_counted_by_its_age(world: World) -> None:
    assert {number for _, number in figures().backlog} == {0}
    ages = (0.5, 3, 10, 30, 90)
    for age in ages:
        customer = sync.create_customer(f"user{age}@here.com")
        changed = customer.update_if_unchanged(
            due_at=clock.from_now(-timedelta(minutes=age)), due_reason=DueReason.OPERATOR, leased_until=None
        )
        assert changed is not None
    later = Customer.objects.first().update_if_unchanged(due_at=clock.from_now(timedelta(hours=1)))
    assert later is not None

    assert [number for _, number in figures().backlog] == [0, 1, 1, 1, 1]


def test_nothing_is_counted_of_an_empty_inbox(world: World) -> None:
    assert Event.objects.count() == 0
    assert sum(figures().events) == 0
