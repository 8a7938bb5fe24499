"""Two workers count together: whichever answers `/metrics`, however one dies, and while MongoDB hangs."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from stripe import WebhookSignature

from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.test_gunicorn import frozen, renew
from tests.support import eventually
from tests.support.events import event
from tests.support.scraped import WATCH, Scrape

TOKEN = "the-token-of-the-shop"


@pytest.fixture(scope="module")
def stack(mongod: Mongod) -> Iterator[Stack]:
    with Stack(mongodb=mongod.uri("metrics"), token=TOKEN, environment={"API_TOKENS": f"{TOKEN},{WATCH}"}) as running:
        yield running


def scrape(stack: Stack) -> Scrape:
    """Read it as Prometheus does, by whichever worker takes the connection."""
    asked = urllib.request.Request(f"{stack.url}/metrics", headers={"Authorization": f"Bearer {WATCH.split(':')[2]}"})
    with urllib.request.urlopen(asked, timeout=10) as response:
        return Scrape(response.read().decode())


def send(stack: Stack, number: int) -> int:
    raw = event("plan.updated", {"id": f"x_{number}", "object": "odd"}, 1).decode()
    signature = WebhookSignature.generate_signature_header(raw, stack.webhook_secret)
    sent = {"Stripe-Signature": signature}
    return stack.service.call("POST", "/webhooks/stripe", json.loads(raw), sent).status


def by_each_worker(stack: Stack) -> list[Scrape]:
    """Read it from each worker: the other is frozen meanwhile."""
    found = []
    for other in stack.workers():
        with frozen(other):
            found.append(scrape(stack))
    return found


def counted(scraped: Scrape) -> float:
    return sum(value for (name, _), value in scraped.samples.items() if name == "stripe_sync_webhooks_total")


def test_each_worker_tells_what_all_have_counted_and_no_death_takes_a_count(stack: Stack) -> None:
    before = scrape(stack)  # another test may have sent something
    expected = counted(before)
    for other in stack.workers():  # so both have something to count
        with frozen(other):
            assert {send(stack, number) for number in range(5)} == {200}
            expected += 5
    assert [counted(each) for each in by_each_worker(stack)] == [expected, expected]

    os.kill(stack.workers()[0], signal.SIGKILL)
    assert counted(scrape(stack)) == expected, "right after it was killed"
    eventually(lambda: len(stack.workers()) == 2)
    assert [counted(each) for each in by_each_worker(stack)] == [expected, expected]

    for how in ("kill", "reload"):
        renew(stack, how)
        assert {send(stack, number) for number in range(5)} == {200}
        expected += 5
        assert [counted(each) for each in by_each_worker(stack)] == [expected, expected], how
    stored = scrape(stack).value("batch_size_sum") - before.value("batch_size_sum")
    assert stored == expected - counted(before)


def test_while_mongodb_hangs_the_counters_are_told(stack: Stack, mongod: Mongod) -> None:
    before = scrape(stack)
    mongod.pause()
    try:
        assert send(stack, 1) == 503
        told = scrape(stack)
    finally:
        mongod.resume()

    assert (before.value("mongodb_up"), told.value("mongodb_up")) == (1, 0)
    assert told.value("webhooks_total", state="not_stored") == before.value("webhooks_total", state="not_stored") + 1
    eventually(lambda: {stack.service.get("/readyz").status for _ in range(12)} == {200}, 20)


def test_the_folder_of_the_counts_is_ours_alone_and_goes_with_the_service(stack: Stack) -> None:
    told = Path(f"/proc/{stack.workers()[0]}/maps")
    if not told.exists():
        pytest.skip("this system does not tell what a process has mapped")
    (folder,) = {Path(line.split()[-1]).parent for line in told.read_text().splitlines() if line.endswith(".db")}
    assert folder.stat().st_mode & 0o077 == 0
    assert len([*folder.iterdir()]) <= 2 * 4, "two files for each place; a reload needs four"

    stack.stop("gunicorn")

    assert not folder.exists()
    stack.start("gunicorn")
