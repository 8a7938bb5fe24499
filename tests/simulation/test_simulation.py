"""The simulation: some histories hold, the same seed is the same history, and what is wrong with an engine is seen."""

from collections.abc import Callable

import pytest

from tests.simulation.history import Outcome, run
from tests.simulation.shrink import shrink


@pytest.mark.parametrize("seed", range(1000, 1003))
def test_a_history_holds(seed: int, database: str, clean: Callable[[], None]) -> None:
    outcome = run(seed, database, clean)

    assert outcome.violation is None, outcome.command


def test_the_same_seed_is_the_same_history_to_the_last_switch(database: str, clean: Callable[[], None]) -> None:
    first, second = (run(1003, database, clean) for _ in range(2))

    assert first.violation is None, first.command
    assert first.trace
    assert first.trace == second.trace
    assert first.faults == second.faults


def test_a_failing_history_is_made_as_short_as_it_can_be() -> None:
    def again(steps: list[int]) -> Outcome:
        fails = {3, 17, 31} <= set(steps)
        return Outcome(1, steps, violation="it fails" if fails else None)

    assert shrink(again(list(range(40))), again).steps == [3, 17, 31]
