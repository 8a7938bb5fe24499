"""The gauges of `/metrics`: they say what `status` says, by indexes alone, and nothing without MongoDB."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.operator.views.gauges import exposition
from tests.integration.sync.operator.test_status import Questions, by_indexes, fill
from tests.support.scraped import Scrape
from tests.support.world import World


def told() -> Scrape:
    return Scrape(exposition().decode())


def test_the_gauges_say_what_status_says_and_an_index_answers_them(new_database: str) -> None:
    questions = Questions()
    world = World(new_database, listeners=(questions,))
    try:
        world.reconcile()
        fill(60)
        with questions.noted() as asked:
            scrape = told()
        facts = status().facts

        assert len(asked) < 30, "each is one more wait"
        reads, seen = by_indexes(asked)
        assert reads > 40
        assert "COUNT_SCAN" in seen or "IXSCAN" in seen
        assert {state: scrape.value("events", state=state) for state in facts["events"]} == facts["events"]
        assert scrape.value("documents_in_review") == facts["review"] > 0
        assert scrape.value("unconfirmed_documents") == facts["unconfirmed"] > 0
        for state, number in facts["hooks"].items():
            assert scrape.value("hook_deliveries", state=state) == number > 0
        oldest = max(scrape.value("oldest_due_seconds", what=what) for what in ("documents", "events"))
        assert oldest == pytest.approx(facts["oldest_overdue"].total_seconds(), abs=60)
        assert scrape.value("oldest_due_seconds", what="hooks") > 0
        assert scrape.value("oldest_due_seconds", what="usage") == 0
    finally:
        world.stop()


def test_a_shop_without_anything_to_do_has_zeros(world: World) -> None:
    scrape = told()

    for name in ("documents_in_review", "unconfirmed_documents", "reconcile_last_success_timestamp_seconds"):
        assert scrape.value(name) == 0
    assert sum(scrape.value("oldest_due_seconds", what=what) for what in ("documents", "events", "hooks", "usage")) == 0
    assert scrape.value("mongodb_up") == 1


def test_the_last_success_stays_what_it_was_while_reconcile_fails(world: World) -> None:
    def last() -> float:
        return told().value("reconcile_last_success_timestamp_seconds")

    world.stripe.fault("refuse", times=None)
    assert world.reconcile().exit_code == 2
    assert last() == 0, "none has succeeded yet"

    world.stripe.clear_faults()
    world.reconcile()
    succeeded = last()
    assert succeeded == pytest.approx(clock.now().timestamp(), abs=60)

    world.stripe.fault("refuse", times=None)
    for _ in range(2):
        world.advance(hours=1)
        assert world.reconcile().exit_code == 2
        assert last() == pytest.approx(succeeded, abs=0.001)


def test_without_a_connection_the_counters_are_told(world: World) -> None:
    world.app  # noqa: B018 – it begins to count
    sync.disconnect()

    scrape = told()

    assert scrape.value("mongodb_up") == 0
    assert "stripe_sync_webhooks" in scrape.families
    assert "stripe_sync_events" not in scrape.families
