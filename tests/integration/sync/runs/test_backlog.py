"""After an outage: what was left is worked off by one run or several, no faster than Stripe bears, and seen to move."""

import io
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator import LogEntry
from stripe_mongo_sync.models import Customer, Event, Status, created_kinds, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import HEARTBEAT, State
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.commands.progress_bar import Progress
from stripe_mongo_sync.sync.engine.refresh import resembles
from stripe_mongo_sync.sync.errors import Outage
from stripe_mongo_sync.sync.inbox.inbox import drain
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.runs.progress import Backlog, ProgressStep
from stripe_mongo_sync.sync.runs.reconcile import Report, run_once
from stripe_mongo_sync.sync.stripe.answers import Unknown
from stripe_mongo_sync.sync.stripe.throttle import RUN_OUTAGE_AFTER, TRIES, Throttle
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def patient(world: World, rate: float = 20.0) -> Throttle:
    """The patience of `python -m sync reconcile`, for which time passes only when it waits."""
    return Throttle(
        rate,
        pause=lambda seconds: world.advance(seconds=seconds),
        clock=world.stripe.clock.now,
        retry_all=False,
        outage_after=RUN_OUTAGE_AFTER,
    )


def unsent(world: World, customers: int) -> list[Customer]:
    """Customers whose creation never reached Stripe, and is now overdue."""
    world.stripe.fault("cut_before", method="POST", times=2 * customers)
    made = [sync.create_customer(f"user{number}@here.com") for number in range(customers)]
    world.advance(minutes=5)
    return made


def missed(world: World, events: int) -> Customer:
    """A customer whose latest events never came."""
    customer = sync.create_customer("missed@here.com")
    world.deliver()
    for number in range(events):
        world.stripe.dashboard.update("customer", customer.stripe_id, name=f"Edited {number}")
    world.webhooks()
    return customer


def unapplied(world: World, events: int, of: int = 1) -> list[Customer]:
    """So many customers, and events about them in turn, which came and could not be applied: Stripe was not to be read.

    `REVALIDATE` is one of the reasons for which an event has a look taken at its object.
    """
    world.settings["REVALIDATE"] = "customer"
    world.start()
    customers = [sync.create_customer(f"unapplied{number}@here.com") for number in range(of)]
    world.deliver()
    world.stripe.fault("cut_before", method="GET", times=None)
    for number in range(events):
        world.advance(seconds=1)
        world.stripe.dashboard.update("customer", customers[number % of].stripe_id, name=f"Edited {number}")
    assert set(world.deliver()) == {"received"}
    world.stripe.clear_faults()
    world.advance(minutes=5)
    return customers


def together(runs: int, act: Callable[[], Any]) -> list[Any]:
    """Let several do the same at once, and return what each says."""
    barrier, told = threading.Barrier(runs), list[Any]()

    def one() -> None:
        barrier.wait()
        told.append(act())

    threads = [threading.Thread(target=one) for _ in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == runs, "one of them failed"
    return told


def busiest_second(world: World, since: int) -> int:
    """The most requests that Stripe got in any one second."""
    at = [request.at for request in world.stripe.requests[since:]]
    return max(sum(1 for each in at if start <= each < start + 1) for start in at)


@pytest.mark.fault("62")
def test_after_an_outage_everything_is_drained_at_twenty_requests_a_second(world: World) -> None:
    world.reconcile()
    unapplied(world, 5)
    missed_by = missed(world, 120)
    unsent(world, 40)
    world.stripe.limit(25)
    before = len(world.stripe.requests)

    report = run_once(patience=patient(world))

    assert report.exit_code == 0, report
    assert report.counts["send"] == 40
    assert busiest_second(world, before) <= 21, "twenty, and what falls on the edge"
    assert [request.status for request in world.stripe.requests[before:]].count(429) == 0
    world.stripe.limit()
    assert missed_by.fetch_latest().name == "Edited 119"
    world.converge()
    assert_in_sync(world)


@pytest.mark.fault("130")
def test_too_many_requests_slow_the_whole_run_and_nothing_is_given_up(world: World) -> None:
    world.reconcile()
    made = unsent(world, 40)
    world.stripe.limit(5)
    before = len(world.stripe.requests)

    report = run_once(patience=patient(world))

    assert report.exit_code == 0, report
    assert [customer.fetch_latest().status for customer in made] == [Status.ACTIVE] * 40
    refused = [request.status for request in world.stripe.requests[before:]].count(429)
    assert 0 < refused <= 10, "a few tell it, not one for each document"
    world.stripe.limit()
    world.converge()
    assert_in_sync(world)


@pytest.mark.fault("131")
@pytest.mark.parametrize("trouble", ["cut_before", "timeout_before", "503_edge", "rate_limit"])
def test_when_stripe_does_not_answer_the_run_stops_and_leaves_the_rest_as_it_was(world: World, trouble: str) -> None:
    world.reconcile()
    made = unsent(world, 30)
    world.stripe.fault(trouble, method="POST", times=None)
    before = len(world.stripe.requests)

    report = run_once(patience=patient(world))

    assert report.exit_code == 2
    assert "has not answered for 60 seconds" in str(report)
    assert len(world.stripe.requests) - before < 12
    tried = [customer for customer in made if customer.fetch_latest().operation.attempts > 1]
    assert 1 <= len(tried) <= 6
    assert all(customer.fetch_latest().status == Status.PENDING for customer in made)
    world.stripe.clear_faults()
    world.converge()
    assert_in_sync(world)


@pytest.mark.fault("132")
def test_an_outage_does_not_wear_out_the_inbox(world: World) -> None:
    world.reconcile()
    customers = unapplied(world, 30, of=30)
    world.stripe.fault("cut_before", method="GET", path="/v1/customers/*", times=None)

    report = run_once(patience=patient(world))

    assert report.exit_code == 2
    assert "has not answered" in str(report)
    attempts = Counter(row.attempts for row in Event.objects(state="received"))
    assert attempts[1] >= 20, "these were not even tried"
    world.stripe.clear_faults()
    world.advance(minutes=5)
    report = run_once(patience=patient(world))
    assert report.exit_code == 0
    assert Event.objects(state__in=["received", "dead"]).count() == 0
    assert [customer.fetch_latest().name for customer in customers] == [f"Edited {number}" for number in range(30)]
    assert_in_sync(world)


@pytest.mark.fault("133")
def test_several_runs_share_the_inbox_and_apply_each_event_once(world: World) -> None:
    world.reconcile()
    unapplied(world, 60)
    seen: list[str] = []

    together(4, lambda: drain(seen.append))

    assert len(seen) == 60
    assert {row.attempts for row in Event.objects(reason=None, replays=None, due_at=None)} == {1, 2}, (
        "it came, and once here"
    )
    assert Event.objects(state="received").count() == 0
    world.converge()
    assert_in_sync(world)


@pytest.mark.fault("133")
def test_several_runs_share_what_is_overdue_and_no_claim_is_made_in_vain(world: World) -> None:
    world.reconcile()
    unsent(world, 40)
    moment, taken = clock.now(), list[Customer]()

    together(4, lambda: taken.extend(Customer.claim_due(moment)))

    assert len(taken) == len({customer.id for customer in taken}) == 40
    assert {customer.operation.attempts for customer in taken} == {2}
    assert {customer.operation.outcome_unknown for customer in taken} == {True}
    world.advance(minutes=5)
    world.converge()
    assert_in_sync(world)


@pytest.mark.fault("134")
def test_several_runs_that_read_the_same_list_count_each_event_once(world: World) -> None:
    world.reconcile()
    customer = missed(world, 90)

    reports: list[Report] = together(3, world.reconcile)

    applied = sum(report.counts[f"event_{state}"] for report in reports for state in ("applied", "stale"))
    assert applied == 90
    assert customer.fetch_latest().name == "Edited 89"
    assert sum(1 for report in reports if report.counts.total()) > 1, "one of them did it all"


@pytest.mark.fault("135")
def test_what_is_not_yet_worked_on_is_neither_claimed_nor_read(world: World) -> None:
    world.reconcile()
    unapplied(world, 20)
    unsent(world, 20)
    moment = clock.now()

    next(Event.claim_due(moment)), next(Customer.claim_due(moment))

    overdue = clock.overdue(moment)
    assert Event.objects(__raw__=overdue).count() == 19, "a run that is killed here holds up one row"
    assert Customer.objects(__raw__=overdue).count() >= 19


@pytest.mark.fault("136")
def test_a_long_run_tells_how_far_it_is_and_a_short_one_nothing(world: World) -> None:
    world.reconcile()
    unapplied(world, 5)
    missed(world, 5)
    unsent(world, 5)
    out = io.StringIO()
    waits = iter(range(0, 10_000, 31))
    progress = Progress(out, lambda: float(next(waits)))

    run_once(on_progress=progress.show)

    told = [line.split(" · ")[0] for line in out.getvalue().splitlines()]
    assert [told[0], told[-1]] == ["[1/3] inbox 1", "[3/3] overdue customers 5"]
    assert any(line.startswith("[2/3] events ") for line in told)
    short = Progress(out := io.StringIO(), lambda: 1.0, after=5.0)
    unsent(world, 0)
    run_once(on_progress=short.show)
    assert out.getvalue() == ""


def test_the_share_counts_what_others_did_too() -> None:
    left, steps = [99, 49, 0], list[ProgressStep]()
    backlog = Backlog(steps.append, "inbox", "1/3", lambda: left.pop(0))
    for _ in range(3):
        backlog.advance()
    backlog.end()

    assert [step.share() for step in steps] == pytest.approx([0.01, 0.51, 1.0, 1.0])
    assert [step.done for step in steps] == [False, False, False, True]


@pytest.mark.fault("137")
def test_sigterm_ends_a_long_round_between_two_rows(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.reconcile()
    made = unsent(world, 5)

    def asked_to_end(call: LogEntry) -> bool:
        if call.method == "POST":
            signal.raise_signal(signal.SIGTERM)
        return False

    world.stripe.fault("slow", match=asked_to_end, times=None)
    before = State.read(HEARTBEAT)

    assert main(["reconcile", "--every", "300"]) == 0

    assert capsys.readouterr().out == "send 1; stopped before everything was checked: the next run continues\n"
    assert State.read(HEARTBEAT) == before, "it proves nothing of the rest"
    assert [customer.fetch_latest().status for customer in made].count(Status.ACTIVE) == 1


@pytest.mark.fault("138")
def test_a_run_that_is_told_to_wait_for_longer_than_it_may_ends(world: World) -> None:
    waits: list[float] = []
    patience = Throttle(20.0, pause=waits.append, clock=lambda: 1000.0, retry_all=False, outage_after=RUN_OUTAGE_AFTER)

    with pytest.raises(Outage, match="wait 600 s"):
        patience.ask(lambda: Unknown("Stripe answered 503", retry_after=600.0))

    assert waits == []
    asked = iter(range(99))
    lively = Throttle(20.0, pause=waits.append, clock=lambda: 1000.0, retry_all=False, outage_after=RUN_OUTAGE_AFTER)
    lively.ask(lambda: Unknown(f"Stripe answered 429 {next(asked)}", retry_later=True))
    assert next(asked) == TRIES, "what Stripe asks to repeat is repeated a few times"
    lively.ask(lambda: Unknown(f"no readable answer {next(asked)}"))
    assert next(asked) == TRIES + 2, "anything else is left to the next run"


@pytest.mark.fault("139")
def test_status_says_how_much_waits_and_since_when(world: World) -> None:
    world.reconcile()
    unapplied(world, 3)
    unsent(world, 2)
    world.advance(minutes=30)

    told = status()

    assert (told.facts["overdue"], told.facts["overdue_events"]) == (3, 3), "and what is to be looked at"
    assert told.facts["oldest_overdue"].total_seconds() > 1800
    assert any("start more" in finding.advice for finding in told.findings)
    world.converge()
    assert status().facts["oldest_overdue"] is None


def test_what_others_made_is_compared_only_with_documents_that_may_have_made_it(world: World) -> None:
    world.reconcile()
    made = unsent(world, 30)
    remote = world.stripe.dashboard.create("customer", email="user7@here.com")
    other = world.stripe.dashboard.create("customer", email="else@where.com")

    assert [document.id for document in Customer.in_doubt_documents(remote)] == [made[7].id], (
        "not thirty, and after an outage more"
    )
    assert list(Customer.in_doubt_documents(other)) == []
    assert len(list(Customer.in_doubt_documents())) == 30


def test_whoever_may_have_made_an_object_is_among_those_it_is_compared_with(world: World) -> None:
    for kind in sorted(samples.CHANGES.keys() & created_kinds()):
        body = samples.body(kind, kind.replace("_", "-"))
        before = {one["id"] for one in world.stripe.objects(kind)}
        world.stripe.fault("500_repair", method="POST")
        document = sync.create(kinds()[kind], body)[0]
        world.stripe.repair()
        (remote,) = [one for one in world.stripe.objects(kind) if one["id"] not in before]

        assert resembles(document, remote), kind
        assert document.id in {each.id for each in type(document).in_doubt_documents(remote)}, kind
