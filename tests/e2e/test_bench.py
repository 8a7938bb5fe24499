"""`python -m bench` runs, prints its tables, and finds every question answered by an index. No time is asserted."""

import os
import re
import subprocess
import sys

import pytest

from stripe_mongo_sync.bench.__main__ import main
from stripe_mongo_sync.bench.sync_engine import missing
from stripe_mongo_sync.demo.mongod import find_mongod
from stripe_mongo_sync.demo.stack import ROOT

pytestmark = pytest.mark.skipif(not find_mongod(), reason="there is no MongoDB to measure")


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_webhooks_and_creations_are_told_beside_the_floor() -> None:
    done = bench("webhooks", "create", "--quick")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("÷ baseline") == 10, "two columns of each table"
    lines = done.stdout.splitlines()
    for row, times in (
        ("baseline: one durable write", 5),
        ("customer.updated", 3),
        *((row, 1) for row in ("customer.created, confirms", "a duplicate", "all about one", "sales: four types")),
        *((row, 2) for row in ("the emulator alone", "POST /customers", "in process")),
    ):
        assert sum(line.startswith(row) for line in lines) == times, row


def test_a_machine_without_the_peer_is_told_what_it_lacks() -> None:
    done = bench("peers", "--quick", PATH="")

    assert done.returncode == 0, done.stderr
    assert "npm, with node 20 or newer" in done.stdout
    assert "per second" not in done.stdout


@pytest.mark.long
@pytest.mark.skipif(bool(missing()), reason="the peer cannot be run here")
def test_each_subject_is_measured_beside_the_others_and_proves_its_writes() -> None:
    done = bench("peers", "--quick", "--connections", "16", "64")

    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(.+), (16|64) connections +[\d,]+ ", done.stdout, re.MULTILINE)
    ours = ("stripe-mongo-sync, 1 worker", "stripe-mongo-sync, 2 workers")
    told = (*ours, "sync-engine, 1 process", "sync-engine, 2 processes")
    assert rows == [(name, number) for number in ("16", "64") for name in told]


def test_no_question_of_reconcile_or_of_a_request_is_answered_by_a_scan() -> None:
    done = bench("reconcile", "--quick")

    assert done.returncode == 0, done.stderr
    assert "reconcile, nothing to do" in done.stdout
    assert "Plans, among" in done.stdout


def test_every_page_of_the_operator_is_timed() -> None:
    done = bench("ops", "--quick")

    assert done.returncode == 0, done.stderr
    for name in ("overview", "search by username and e-mail", "one document", "events, dead", "review"):
        assert f"\n{name}" in done.stdout, name


@pytest.mark.long  # tests/integration/sync/shop/test_lists.py explains the same, in less time
def test_no_combination_of_filters_and_no_part_of_access_is_answered_by_a_scan() -> None:
    done = bench("lists", "--quick")

    assert done.returncode == 0, done.stderr
    assert "Lists: of each type" in done.stdout
    assert re.search(r"^subscriptions +owners_1", done.stdout, re.MULTILINE)


def test_questions_are_measured_among_many_documents_and_the_documents_spread_over_shards() -> None:
    done = bench("scaling", "--quick")

    assert done.returncode == 0, done.stderr
    assert "Bytes of a document" in done.stdout
    assert re.search(r"^an unknown object( +[\d.,]+){4}$", done.stdout, re.MULTILINE)
    assert re.search(r"^customers +_id +range .* 100$", done.stdout, re.MULTILINE), "new ids are the greatest"


def test_the_backfill_is_killed_twice_and_copies_everything() -> None:
    done = bench("backfill", "--quick")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("killed twice: equal to the emulator's list") == 1
    told = [line.split("  ")[0] for line in done.stdout.splitlines() if line.startswith(("baseline", "backfill"))]
    assert told == ["baseline: bulk insert", "backfill"]


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["speed"])

    assert ended.value.code == 2
    assert "speed" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.fault("62")
def test_the_backlog_of_an_outage_is_drained_within_stripes_limits_and_in_sync() -> None:
    done = bench("backlog", "--quick")

    assert done.returncode == 0, done.stderr
    assert "in sync at the end of each drain" in done.stdout
