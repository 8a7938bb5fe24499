"""The test of the tests: each mutant of the engine is caught by its history, in which the engine itself holds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo.uri_parser import parse_uri

from tests.simulation.history import run
from tests.simulation.mutants import MUTANTS, Mutant, simulate
from tests.support.mongo import MongoServer


def by_name(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=by_name)
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path, mongo_server: MongoServer, database: str) -> None:
    name = parse_uri(database)["database"]
    ended = simulate(mutant.plant(tmp_path), mongo_server.address, *mutant.history, "--empty", name)

    assert ended.returncode == 1, f"{mutant.name} lives: {ended.stdout[-300:]}{ended.stderr[-2000:]}"
    assert "Error: " in ended.stdout.splitlines()[-1], ended.stdout[-1000:]


@pytest.mark.parametrize("mutant", {mutant.history: mutant for mutant in MUTANTS}.values(), ids=by_name)
def test_the_engine_holds_where_a_mutant_does_not(mutant: Mutant, database: str, clean: Callable[[], None]) -> None:
    outcome = run(mutant.seed, database, clean, mutant.steps)

    assert outcome.violation is None


def test_there_are_at_least_ten_and_each_is_another() -> None:
    assert len({(mutant.file, mutant.wrong) for mutant in MUTANTS}) == len(MUTANTS) >= 10
