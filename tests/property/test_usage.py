"""Random histories of usage: whatever callers, workers, Stripe and the network do, each record is counted once."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Meter, UsageRecord
from stripe_mongo_sync.sync.shop.usage import mark_sent, send_usage
from tests.property.test_histories import DEATHS, EXPECTED, WRITES
from tests.support.fuse import Fuse
from tests.support.metered import PATH, assert_counted, open_shop, send_all, use
from tests.support.world import World


def machine(database: str, clean: Callable[[], None]) -> type[RuleBasedStateMachine]:
    """Return the machine of histories over that database."""

    class Histories(RuleBasedStateMachine):
        """Callers, workers, Stripe and the network."""

        @initialize()
        def begin(self) -> None:
            clean()
            self.fuse = Fuse()
            self.world = World(database, fuse=self.fuse)
            self.meter = open_shop()
            self.world.deliver()
            self.used: list[int] = []
            self.acknowledged: set[int] = set()

        def attempt(self, act: Callable[[], Any], death: int | None) -> None:
            with suppress(*EXPECTED):
                if death is None:
                    act()
                else:
                    self.fuse.kill(act, death)

        def call(self, value: int) -> None:
            use(value)
            self.acknowledged.add(value)

        @rule(death=DEATHS)
        def record(self, death: int | None) -> None:
            self.used.append(len(self.used) + 1)
            self.attempt(lambda: self.call(self.used[-1]), death)

        @rule(number=st.integers(0, 99), death=DEATHS)
        def repeat(self, number: int, death: int | None) -> None:
            if self.used:
                self.attempt(lambda: self.call(self.used[number % len(self.used)]), death)

        @rule(fault=WRITES, times=st.integers(1, 2), death=DEATHS)
        def work(self, fault: str | None, times: int, death: int | None) -> None:
            if fault is not None:
                self.world.stripe.fault(fault, path=PATH, times=times)
            self.attempt(send_usage, death)
            self.world.stripe.clear_faults()

        @rule(active=st.booleans())
        def switch_the_meter(self, active: bool) -> None:
            with suppress(*EXPECTED):
                sync.act(Meter.lookup(self.meter), "reactivate" if active else "deactivate")

        @rule()
        def late_requests_land(self) -> None:
            self.world.stripe.release_late_requests()

        @rule(minutes=st.sampled_from([1, 20, 300, 1500]))
        def time_passes(self, minutes: int) -> None:
            self.world.stripe.release_late_requests()  # none is under way for longer than Stripe knows an identifier
            self.world.advance(minutes=minutes)

        def teardown(self) -> None:
            try:
                self.world.stripe.clear_faults()
                self.world.stripe.release_late_requests()
                self.world.advance(minutes=5)
                assert_counted(self.world, *self.acknowledged)
                with suppress(*EXPECTED):
                    sync.act(Meter.lookup(self.meter), "reactivate")
                send_all(self.world)
                assert_counted(self.world, *self.acknowledged)
                assert not UsageRecord.objects(state="pending")
                for record in UsageRecord.objects(state="review"):
                    mark_sent(str(record.id))
            finally:
                self.world.stop()

    return Histories


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("examples", "steps"), [(9, 30), pytest.param(60, 50, marks=pytest.mark.long)])
@pytest.mark.fault("160")
def test_any_history_counts_each_record_once(
    database: str, clean: Callable[[], None], examples: int, steps: int
) -> None:
    run_state_machine_as_test(
        machine(database, clean),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck), deadline=None
        ),
    )
