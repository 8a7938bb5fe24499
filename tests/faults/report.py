"""What of the fault matrix was run and held, gathered from the marks of the tests and written as docs/FAULTS.md.

A test that shows that a row of the table holds carries `@pytest.mark.fault("<its id>")`; `--faults=FILE` writes the
page at the end of the run. With xdist the workers only run: the controller hears of every outcome, and writes.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.faults.table import TABLE, Row

MARKED = pytest.StashKey[dict[str, set[str]]]()  # of all that was collected: row → tests
FILES = pytest.StashKey[set[str]]()  # those that were collected
HEAD = """# Faults

Each row is something that can break, with the required result, the tests that break it, and whether the result held.
One command runs them all, on a real MongoDB and an emulated Stripe, and writes this page:

    make faults

{summary}

*Killed* means by SIGKILL, or stopped before an effect as SIGKILL would. *Both sides are one* is what
`tests/support/in_sync.py` asserts: each active document has exactly one object, with the same content; Stripe has no
usable object without a document; nothing is left to do; and no key was used for two requests. A row that says *every
type* is generated from the registry, so that a new type is tested in every way by itself.

| # | step | fault | what must come of it | what was run | held |
|---|---|---|---|---|---|
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults", metavar="FILE", type=Path, help="write there what of the fault matrix was run and held"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note every mark, before any test is deselected; each test tells its rows with its outcome."""
    marked = config.stash[MARKED] = defaultdict(set)
    config.stash[FILES] = {item.path.relative_to(config.rootpath).as_posix() for item in items}
    for item in items:
        for row in sorted({mark.args[0] for mark in item.iter_markers("fault")}):
            item.user_properties.append(("fault", row))
            marked[row].add(test_of(item.nodeid))


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--faults")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(path))


def test_of(nodeid: str) -> str:
    """The name of a test, without its file and its case."""
    return nodeid.partition("[")[0].rpartition("::")[2]


class Recorder:
    """Hears of every outcome, and writes the page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[str, dict[str, str]] = defaultdict(dict)  # row → case → outcome

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A case failed if any part of it did; it was run if its call was."""
        for name, row in report.user_properties:
            if name == "fault" and (report.failed or (report.when == "call" and report.passed)):
                known = self.outcomes[row].get(report.nodeid)
                self.outcomes[row][report.nodeid] = "failed" if known == "failed" else report.outcome

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the page; a run in which a row did not hold, or was not run, is a failure."""
        if session.config.option.collectonly:
            return
        self.path.write_text(page(self.outcomes))
        if any(held(self.outcomes.get(row.id, {})) != "yes" for row in TABLE) or strangers(self.outcomes):
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"{self.path}: {summary(self.outcomes)}")


def strangers(rows: Any) -> list[str]:
    """The marks that name no row."""
    return sorted(set(rows) - {row.id for row in TABLE})


def page(outcomes: dict[str, dict[str, str]]) -> str:
    """Return the page; it depends on what was run and what came of it, and on nothing else."""
    lines = [line(row, outcomes.get(row.id, {})) for row in TABLE]
    return HEAD.format(summary=summary(outcomes)) + "".join(lines)


def line(row: Row, cases: dict[str, str]) -> str:
    counted = Counter(map(test_of, cases))
    run = "<br>".join(f"`{test}`" + (f" × {n}" if n > 1 else "") for test, n in sorted(counted.items()))
    return f"| {row.id} | {row.step} | {row.fault} | {row.outcome} | {run} | {held(cases)} |\n"


def held(cases: dict[str, str]) -> str:
    if not cases:
        return "NOT RUN"
    failed = sorted(case.rpartition("::")[2] for case, outcome in cases.items() if outcome == "failed")
    return f"NO: {', '.join(f'`{case}`' for case in failed)}" if failed else "yes"


def summary(outcomes: dict[str, dict[str, str]]) -> str:
    """Return in a sentence what was run, and whether it held."""
    told = {row.id: held(outcomes.get(row.id, {})) for row in TABLE}
    cases = {case for row in TABLE for case in outcomes.get(row.id, {})}
    head = f"**{len(TABLE)} rows, {len(cases)} cases"
    if all(each == "yes" for each in told.values()):
        return f"{head}: all of them were run, and all held.**"
    failed = ", ".join(id for id, each in told.items() if each.startswith("NO:")) or "none"
    missing = ", ".join(id for id, each in told.items() if each == "NOT RUN") or "none"
    return f"{head}. These rows did NOT hold: {failed}. These were NOT RUN: {missing}.**"
