"""Random histories, with hooks: whatever happens is told, and nothing else is."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from stripe_mongo_sync.sync.notices.deliver import deliver
from tests.property.test_histories import DEATHS, STYLES, machine
from tests.support.hooks import History, listening, told
from tests.support.world import World


@pytest.mark.timeout(600)
@pytest.mark.fault("98")
def test_any_history_is_told(database: str, clean: Callable[[], None]) -> None:
    class Told(machine(database, clean)):  # type: ignore[misc]
        """The histories, with a hook that hears of every status, and a worker that dies now and then."""

        @initialize(style=STYLES)
        def begin(self, style: str) -> None:
            self.listening = listening("*.active", "*.rolled_back", "*.deleted", "order.*")
            self.heard = self.listening.__enter__()
            super().begin(style)
            self.history = History()
            self.world = World(database, fuse=self.fuse, listeners=(self.history,))

        @rule(death=DEATHS)
        def run_the_hooks(self, death: int | None) -> None:
            self.attempt(deliver, death)

        def teardown(self) -> None:
            stop, self.world.stop = self.world.stop, lambda: None
            try:
                super().teardown()
                self.world.advance(hours=3)
                deliver()
                here = {str(document.id) for document in self.world.documents()}
                happened = {one for one in self.history.statuses if one[0] in here}
                assert told(self.heard) <= self.history.statuses, "what did not happen was told"
                assert happened <= told(self.heard), "lost"
            finally:
                self.listening.__exit__(None, None, None)
                stop()

    run_state_machine_as_test(
        Told,
        settings=settings(max_examples=7, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
