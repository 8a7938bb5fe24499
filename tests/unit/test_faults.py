"""The fault matrix is whole: every row has a test, every mark a row, and its page tells of both."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.faults.report import FILES, MARKED, held, page, strangers, summary
from tests.faults.table import TABLE, rows

PAGE = Path("docs/FAULTS.md")
LINE = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \| (.*) \| (.+) \|$", re.MULTILINE)


@pytest.fixture
def marked(request: pytest.FixtureRequest) -> dict[str, set[str]]:
    """The tests of each row, of all that was collected."""
    collected = request.config.stash[MARKED]
    marking = {path.as_posix() for path in Path("tests").rglob("test_*.py") if ".fault(" in path.read_text()}
    if not marking <= request.config.stash[FILES]:
        pytest.skip("not all tests were collected")
    return dict(collected)


def test_every_row_has_a_test_and_every_mark_a_row(marked: dict[str, set[str]]) -> None:
    assert sorted(marked, key=int) == [row.id for row in TABLE]


def test_the_page_is_of_this_table_and_these_tests_and_says_that_all_held(marked: dict[str, set[str]]) -> None:
    told = LINE.findall(PAGE.read_text())

    assert [tuple(line[:4]) for line in told] == [(row.id, row.step, row.fault, row.outcome) for row in TABLE]
    assert {line[0]: set(re.findall(r"`(\w+)`", line[4])) for line in told} == marked, "run `make faults`"
    assert {line[5] for line in told} == {"yes"}
    assert "all of them were run, and all held" in PAGE.read_text()


def test_the_table_has_each_row_once() -> None:
    assert len({row.id for row in TABLE}) == len(TABLE) > 60
    assert len({(row.step, row.fault) for row in TABLE}) == len(TABLE)


def test_a_row_that_failed_or_was_not_run_is_told() -> None:
    outcomes = {row.id: {"tests/a.py::test_a[x]": "passed", "tests/a.py::test_a[y]": "passed"} for row in TABLE}
    assert "2 cases: all of them were run, and all held" in summary(outcomes)
    assert [line[4:] for line in LINE.findall(page(outcomes))] == [("`test_a` × 2", "yes")] * len(TABLE)

    outcomes["7"]["tests/a.py::test_a[y]"] = "failed"
    del outcomes["9"]

    assert "did NOT hold: 7. These were NOT RUN: 9." in summary(outcomes)
    assert held(outcomes["7"]) == "NO: `test_a[y]`"
    assert "| NOT RUN |" in page(outcomes)
    assert strangers({"7": 1, "1000": 1}) == ["1000"]


def test_make_faults_is_understood_also_when_the_page_is_there() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "-n", "faults", "ARGS=--markers"], capture_output=True, text=True, check=True
    )
    *_, command = printed.stdout.splitlines()

    told = subprocess.run(command.split(), capture_output=True, text=True, check=False)

    assert PAGE.exists()
    assert (told.returncode, told.stderr) == (0, "")


def test_rows_are_read_in_the_order_of_their_numbers() -> None:
    assert [row.id for row in rows("# a comment\n\n10 | a | b | c\n9 | d | e | f\n")] == ["9", "10"]
