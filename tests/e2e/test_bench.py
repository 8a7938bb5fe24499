"""`python -m bench` runs, prints its tables, and finds every question answered by an index. No time is asserted."""

import subprocess
import sys

import pytest

from demo.mongod import find_mongod
from demo.stack import ROOT

pytestmark = pytest.mark.skipif(not find_mongod(), reason="there is no MongoDB to measure")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("webhooks", ["floor: one durable write", "customer.updated", "customer.created, confirms", "a duplicate"]),
        ("create", ["floor: one durable write", "the emulator alone", "POST /customers", "in process"]),
    ],
)
def test_each_benchmark_prints_its_table_beside_the_floor(name: str, rows: list[str]) -> None:
    done = bench(name, "--quick")

    assert done.returncode == 0, done.stderr
    assert "÷ floor" in done.stdout
    assert [row for row in rows if not any(line.startswith(row) for line in done.stdout.splitlines())] == []


def test_no_question_of_reconcile_or_of_a_request_is_answered_by_a_scan() -> None:
    done = bench("reconcile", "--quick")

    assert done.returncode == 0, done.stderr
    assert "reconcile, nothing to do" in done.stdout
    assert "Plans, among" in done.stdout


def test_the_backfill_is_killed_twice_and_copies_everything() -> None:
    done = bench("backfill", "--quick")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("killed twice on the way: equal to the emulator's list") == 2
    assert [line.split("  ")[0] for line in done.stdout.splitlines() if line.startswith(("floor", "backfill"))] == [
        *("floor: bulk insert", "backfill"),
        *("floor: bulk insert", "backfill"),
    ]


def test_an_unknown_benchmark_is_refused_by_name() -> None:
    done = bench("speed")

    assert done.returncode == 2
    assert "speed" in done.stderr


@pytest.mark.long
@pytest.mark.fault("62")
def test_the_backlog_of_an_outage_is_drained_within_stripes_limits_and_in_sync() -> None:
    done = bench("backlog", "--quick")

    assert done.returncode == 0, done.stderr
    assert "everything in sync at the end" in done.stdout
