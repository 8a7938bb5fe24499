"""What counts: in memory or in the files of a worker's place, where its successor goes on, and nothing unasked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram

from stripe_mongo_sync.sync import metrics
from stripe_mongo_sync.sync.inbox.inbox import DUPLICATE
from tests.support import ROOT

WORKER = """
import sys
from stripe_mongo_sync.sync import metrics
metrics.begin_at(int(sys.argv[1]))
metrics.begin()
metrics.count_webhooks([("applied", 0.0)] * 3)
metrics.count_operation("customer", "create", "done")
metrics.count_http_request(201, 0.1)
metrics.count_stripe_request("post", "reply", 0.1)
metrics.count_batch(3)
told = {sample.name: sample.value for each in metrics.collected() for sample in each.samples if sample.value}
print(*(int(told[f"stripe_sync_{name}"]) for name in sys.argv[2:]))
"""
NAMES = ("webhooks_total", "webhook_seconds_count", "operations_total", "http_request_seconds_count", "batch_size_sum")
FORK = """
import os
from stripe_mongo_sync.sync import metrics
def told():
    found = (sample for each in metrics.collected() for sample in each.samples)
    return sum(sample.value for sample in found if sample.name == "stripe_sync_batch_size_count")
metrics.begin()
metrics.count_batch(1)
locked = metrics._counters.batch_size._sum._lock
locked.acquire()
if not os.fork():
    metrics.count_batch(1)
    print(told(), flush=True)
    os._exit(0)
os.wait()
locked.release()
print(told())
"""


def run(code: str, *arguments: str, folder: Path | None = None) -> str:
    environment = {**os.environ, **({"PROMETHEUS_MULTIPROC_DIR": str(folder)} if folder else {})}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_workers_count_together_and_a_successor_goes_on(tmp_path: Path) -> None:
    for place, told in ((0, "3 3 1 1 3"), (1, "6 6 2 2 6"), (0, "9 9 3 3 9"), (1, "12 12 4 4 12")):
        assert run(WORKER, str(place), *NAMES, folder=tmp_path).strip() == told

    assert len([*tmp_path.iterdir()]) == 4, "two files for each place, however many workers were there"


def test_what_others_count_in_the_same_folder_is_not_told(tmp_path: Path) -> None:
    theirs = "from prometheus_client import Counter; Counter('shop_logins', 'Who came.').inc()\n"
    code = theirs + WORKER + "print({each.name.partition('_')[0] for each in metrics.collected()})"

    assert run(code, "0", *NAMES, folder=tmp_path).splitlines() == ["3 3 1 1 3", "{'stripe'}"]


def test_a_worker_that_cannot_share_what_it_counts_counts_for_itself(tmp_path: Path) -> None:
    code = WORKER.replace("metrics.begin_at(int(sys.argv[1]))", "try: metrics.begin_at(0)\nexcept OSError: pass")

    assert run(code, "0", *NAMES, folder=tmp_path / "gone").strip() == "3 3 1 1 3"


def test_a_forked_child_waits_for_no_lock_of_its_parent_and_counts_its_own() -> None:
    assert run(FORK).split() == ["1.0", "1.0"]


def test_who_serves_nothing_counts_nothing_and_loads_nothing() -> None:
    code = (
        "import sys; from stripe_mongo_sync.sync import metrics; import stripe_mongo_sync.sync.stripe.gateway\n"
        "metrics.count_batch(1); metrics.count_webhooks([('applied', 0.0)]); metrics.count_http_request(200, 0.1)\n"
        "metrics.count_stripe_request('get', 'reply', 0.1); metrics.count_operation('customer', 'create', 'done')\n"
        "metrics.count_busy(webhook=True, waited=0.1); print(metrics.collected(), 'prometheus_client' in sys.modules)"
    )

    assert run(code).strip() == "[] False"


@pytest.mark.parametrize("values", [[0.001], [0.005, 0.0050001, 7.0], [60.0, 0.2, 0.2, 0.0], []])
def test_what_is_observed_together_is_as_if_one_by_one(values: list[float]) -> None:
    one, together = (
        Histogram("took", "Seconds.", registry=CollectorRegistry(), buckets=metrics.SECONDS) for _ in range(2)
    )
    for value in values:
        one.observe(value)

    metrics._observe(together, values)

    def told(histogram: Histogram) -> list[tuple[str, object, float]]:
        samples = [sample for each in histogram.collect() for sample in each.samples]
        return [(each.name, each.labels, each.value) for each in samples if not each.name.endswith("_created")]

    assert told(together) == told(one)


def test_the_states_of_a_webhook_have_the_names_that_it_is_answered_with() -> None:
    assert metrics.DUPLICATE == DUPLICATE
