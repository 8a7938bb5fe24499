"""The commands: what an operator sees, what they can repair, and what the exit code says."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.models import Customer, Event, State, Status
from stripe_mongo_sync.models.state import CIRCUIT_BREAKER
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.database.in_force import OURS
from stripe_mongo_sync.sync.process.starting import PROGRAM
from tests.support import ROOT, eventually, samples
from tests.support.answers import untouched
from tests.support.in_sync import assert_in_sync
from tests.support.run import Run
from tests.support.world import KEY, World

NAME = "user@here.com"


@pytest.fixture
def reviewed(world: World) -> Customer:
    """A document that a person must decide about: Stripe finished its object after a 500, and no key tells."""
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME)
    world.webhooks()
    world.stripe.repair()
    world.deliver()
    assert customer.fetch_latest().review_reason is not None
    return customer.fetch_latest()


def test_in_sync_there_is_nothing_to_do(world: World, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in samples.CHANGES:
        samples.create(kind)
    world.deliver()
    run("reconcile")

    code, told = run("reconcile")
    assert (code, told["exit_code"], told["unseen"], told["full"]) == (0, 0, [], False)
    assert not any(told["counts"].values())
    assert run("operations list") == (0, [])
    code, told = run("status")
    assert (code, told["problems"], told["warnings"]) == (0, [], [])
    assert main(["status"]) == 0
    assert "healthy" in capsys.readouterr().out
    assert main(["reconcile"]) == 0
    assert capsys.readouterr().out == "in sync: nothing to do\n"
    assert_in_sync(world)


def test_what_was_missed_is_repaired_and_counted(world: World, run: Run) -> None:
    run("reconcile")
    world.stripe.fault("cut_after", method="POST", times=2)
    sync.create_customer(NAME)
    world.advance(minutes=5)

    code, told = run("reconcile")

    assert (code, told["exit_code"], told["unseen"]) == (0, 0, [])
    assert told["counts"]["event_applied"] == 1
    assert_in_sync(world)


def test_a_document_in_review_needs_an_operator(world: World, run: Run, reviewed: Customer) -> None:
    code, told = run("reconcile")
    assert (code, told["counts"]["review"], told["exit_code"]) == (1, 1, 1)
    code, told = run("status")
    assert (code, told["review"], told["exit_code"]) == (1, 1, 1)
    assert "1 in review" in told["problems"][0]
    code, (listed,) = run("operations list")
    assert (code, listed["id"], listed["status"], listed["verb"]) == (0, str(reviewed.id), "pending", "create")
    assert listed["review"] == reviewed.review_reason


@pytest.mark.parametrize(
    "fault",
    [
        "cut_before",
        "500_before",
        "refuse_401",
        "html_body",
        "503_edge",
        pytest.param("rate_limit", marks=pytest.mark.long),
    ],
)
def test_an_unreadable_stripe_is_exit_2_and_nothing_is_decided(world: World, run: Run, fault: str) -> None:
    sync.create_customer(NAME)
    run("reconcile")
    world.stripe.fault(fault, method="GET", times=None)

    code, told = run("reconcile --full")

    assert (code, told["exit_code"], len(told["unseen"])) == (2, 2, 1)
    assert KEY not in repr(told)
    assert run("status")[1]["problems"]
    world.stripe.clear_faults()
    assert run("reconcile")[0] == 0
    assert run("status")[0] == 0
    assert_in_sync(world)


def test_a_missing_permission_leaves_out_one_kind_and_is_named(world: World, run: Run) -> None:
    samples.create("product")
    sync.create_customer(NAME)
    world.stripe.restrict(KEY, {"product": "all"})

    code, told = run("reconcile --full")

    assert code == 2
    assert "/v1/products" in told["unseen"][0]
    assert len(told["unseen"]) == 1


def in_trouble(world: World) -> None:
    """Leave something of every sort to do."""
    for name in ("lost", "drifted", "gone", "renamed"):
        sync.create_customer(name, name="before")
    world.webhooks()
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=4)
    sync.create_customer("pending")
    there = {document.username: document.stripe_id for document in Customer.objects}
    sync.update(Customer.objects.get(username="renamed"), {"name": "after"})
    world.stripe.dashboard.update("customer", there["drifted"], name="after")
    world.stripe.lose_event("customer.deleted")
    world.stripe.dashboard.delete("customer", there["gone"])
    world.stripe.lose_event("customer.created")
    world.stripe.dashboard.create("customer", name="made elsewhere")
    world.advance(hours=1)


@pytest.mark.parametrize("full", ["", " --full"])
def test_a_dry_run_says_what_it_would_do_and_writes_nothing(world: World, run: Run, full: str) -> None:
    in_trouble(world)

    with untouched(world, may_read=True):
        code, told = run(f"reconcile --dry-run{full}")

    assert code == 1
    assert told["counts"]["send"] == 2
    assert told["counts"]["event_missed"] == 1
    if full:
        assert (told["counts"]["mark_deleted"], told["counts"]["adopt"], told["counts"]["drift"]) == (1, 1, 1)
    world.converge()
    world.reconcile(full=True)
    with untouched(world, may_read=True):
        assert run(f"reconcile --dry-run{full}")[0] == 0
    assert_in_sync(world)


def test_status_shows_what_is_pending_overdue_and_unconfirmed(world: World, run: Run) -> None:
    for number in range(10):
        sync.create_customer(f"user {number}")
    world.webhooks()  # which never arrive
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.create_customer("pending")
    code, told = run("status")
    assert (code, told["documents"]["customers"]) == (0, {"active": 10, "pending": 1})
    assert (told["overdue"], told["unconfirmed"], told["last_reconcile"]) == (0, 0, None)
    assert "reconcile has not run" in told["warnings"][0]

    world.advance(hours=2)

    code, told = run("status")
    assert (code, told["overdue"], told["unconfirmed"]) == (1, 1, 10)
    assert "webhooks do not arrive" in told["problems"][0]


def test_status_shows_dead_and_open_events_and_another_version(world: World, run: Run, dead: Event) -> None:
    world.stripe.endpoint("https://shop.example/webhooks/stripe", api_version="2022-11-15")
    world.stripe.lose_event("customer.created")
    unknown = world.stripe.dashboard.create("customer", name="x")
    world.stripe.dashboard.update("customer", unknown["id"], name="y")
    assert world.deliver() == ["waiting"]

    code, told = run("status")

    assert (code, told["events"]) == (1, {"dead": 1, "waiting": 1})
    assert told["oldest_open_event"]
    assert "1 events are dead" in told["problems"][0]
    assert "2022-11-15" in " ".join(told["warnings"])


def test_status_shows_that_the_circuit_breaker_is_open_until_it_is_reset(world: World, run: Run) -> None:
    State.write(CIRCUIT_BREAKER, {"cap": 20})
    assert run("status")[0] == 1

    assert run("operations reset-breaker") == (0, {"confirmed": True})

    assert run("status")[0] == 0


def test_the_old_name_of_reset_breaker_goes_on_working_and_names_the_new_one(
    world: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    State.write(CIRCUIT_BREAKER, {"cap": 20})

    assert main(["operations", "confirm", "--json"]) == 0

    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"confirmed": True}
    assert shown.err == f"`{PROGRAM} operations confirm` is deprecated: use `operations reset-breaker`\n"
    assert run("status")[0] == 0
    assert main(["operations", "reset-breaker"]) == 0
    assert "deprecated" not in capsys.readouterr().err


def test_reconcile_needs_an_operator_until_the_circuit_breaker_is_reset(
    world: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("reconcile")
    State.write(CIRCUIT_BREAKER, {"cap": 20})

    for command in ("reconcile", "reconcile --dry-run", "reconcile --full"):
        code, told = run(command)
        assert (code, told["latched"], told["unseen"]) == (1, True, [])
    capsys.readouterr()
    assert main(["reconcile"]) == 1
    assert "`operations reset-breaker`" in capsys.readouterr().out

    run("operations reset-breaker")

    code, told = run("reconcile")
    assert (code, told["latched"]) == (0, False)


def test_status_needs_an_operator_when_reconcile_has_not_run_for_three_days(world: World, run: Run) -> None:
    run("reconcile")
    for passed, expected in (({"minutes": 50}, (0, 0)), ({"hours": 71}, (0, 1)), ({"hours": 1}, (1, 0))):
        world.advance(**passed)
        code, told = run("status")
        assert (code, len([text for text in told["warnings"] if "has not run" in text])) == expected
    assert "reconcile has not run for 3 days" in told["problems"][0]

    run("reconcile")

    assert run("status")[0] == 0


def test_a_reconcile_that_never_ran_is_missed_from_the_first_document_on(world: World, run: Run) -> None:
    world.advance(days=10)
    assert run("status")[0] == 0, "nothing is there that it could repair"
    sync.create_customer(NAME)
    world.deliver()
    world.advance(days=2)
    assert run("status")[0] == 0

    world.advance(days=2)

    code, told = run("status")
    assert (code, told["problems"][0][:39]) == (1, "reconcile has not run for 4 days: run `")


# --- operations ---


def test_link_says_which_object_it_is(world: World, run: Run, reviewed: Customer) -> None:
    (remote,) = world.stripe.objects("customer")

    code, told = run("operations link", str(reviewed.id), remote["id"])

    assert (code, told["status"], told["stripe_id"], told["review"]) == (0, "active", remote["id"], None)
    world.advance(hours=1)
    assert run("reconcile")[0] == 0
    assert_in_sync(world)


def test_roll_back_gives_it_up_and_frees_the_name(world: World, run: Run, reviewed: Customer) -> None:
    assert run("operations roll-back", str(reviewed.id))[0] == 1, "something may still be under way"
    world.advance(minutes=20)

    code, told = run("operations roll-back", str(reviewed.id))

    assert (code, told["status"], told["review"]) == (0, "rolled_back", None)
    assert sync.create_customer(NAME).status == Status.ACTIVE
    world.deliver()
    world.advance(hours=1)
    assert run("reconcile --full")[0] == 0  # what it was taken for is somebody else's: adopted
    assert Customer.objects(username=None, status=Status.ACTIVE).count() == 1
    assert run("status")[0] == 0
    assert_in_sync(world)


def test_what_was_given_up_too_early_is_asked_about_once(world: World, run: Run) -> None:
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME)
    world.converge()
    world.webhooks()
    world.stripe.repair()
    world.deliver()
    assert (customer.fetch_latest().status, customer.fetch_latest().review_reason is None) == (
        Status.ROLLED_BACK,
        False,
    )

    assert run("operations roll-back", str(customer.id))[0] == 0

    world.advance(hours=1)
    assert run("reconcile --full")[0] == 0
    assert customer.fetch_latest().finished_at is not None
    assert_in_sync(world)


def test_retry_looks_again_and_finds_it_as_undecided_as_before(world: World, run: Run, reviewed: Customer) -> None:
    world.advance(minutes=30)
    posts = len([request for request in world.stripe.requests if request.method == "POST"])

    code, told = run("operations retry", str(reviewed.id))

    assert code == 1
    assert told["review"]
    assert len([request for request in world.stripe.requests if request.method == "POST"]) == posts


def test_retry_sends_what_is_pending_at_once(world: World, run: Run) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)

    code, told = run("operations retry", str(customer.id))

    assert (code, told["status"], told["verb"]) == (0, "active", None)
    assert_in_sync(world)


def test_roll_back_ends_a_pending_change(world: World, run: Run) -> None:
    customer = sync.create_customer(NAME)
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.update(customer, {"name": "B"})

    code, told = run("operations roll-back", str(customer.id))

    assert (code, told["status"], told["verb"]) == (0, "active", None)
    assert "operator" in told["error"]
    world.deliver()
    world.converge()  # the end of an operation looks again
    assert_in_sync(world)


def test_what_is_not_there_is_said_and_exits_1(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with untouched(world):
        for action in (["retry"], ["roll-back"], ["link"]):
            for id in ("0123456789abcdef01234567", "nonsense", "evt_nowhere"):
                assert main(["operations", *action, id, *(["cus_1"] if action == ["link"] else [])]) == 1
                assert "no such" in capsys.readouterr().err, (action, id)


def test_on_a_settled_document_there_is_nothing_to_do(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    customer = sync.create_customer(NAME)

    with untouched(world):
        for action in ("retry", "roll-back", "link"):
            assert main(["operations", action, str(customer.id), *(["cus_1"] if action == "link" else [])]) == 1
            assert capsys.readouterr().err, action


def test_the_list_can_be_narrowed(world: World, run: Run, dead: Event) -> None:
    world.stripe.fault("cut_before", method="POST", times=4)
    pending, reviewed = sync.create_customer("pending"), samples.create("product")
    assert reviewed.send_to_review("look") is not None

    def ids(options: str) -> list[str]:
        return [one["id"] for one in run(f"operations list {options}")[1]]

    assert ids("") == [str(pending.id), str(reviewed.id), dead.id]
    assert ids("--kind customer") == [str(pending.id)]
    assert ids("--kind product") == ids("--review") == [str(reviewed.id)]
    assert ids("--kind event") == [dead.id]
    assert ids("--verb create") == [str(pending.id), str(reviewed.id)]
    assert ids("--verb update") == ids("--kind customer --review") == []


# --- as a process ---


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STRIPE_SECRET_KEY": KEY, **more}


def test_every_goes_on_until_sigterm_and_then_ends_well(world: World, tmp_path: Path) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)
    Customer._get_collection().update_one({}, {"$set": {"due_at": customer.created_at}})
    with (
        Server(world.stripe) as server,
        subprocess.Popen(
            [sys.executable, "-m", "sync", "reconcile", "--every", "0.2", "--json"],
            cwd=tmp_path,
            env=environment(STRIPE_API_BASE=server.url, MONGODB_URI=world.database),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            eventually(lambda: customer.fetch_latest().status == Status.ACTIVE, within=30)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()

    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[0])["counts"]["send"] == 1
    assert KEY not in out + err
    assert NAME not in out + err


@pytest.mark.parametrize("line", ["status", "indexes", "reconcile"])
def test_without_mongodb_every_command_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.setitem(OURS, "timeoutMS", 50)
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    monkeypatch.setenv("MONGODB_URI", "mongodb://ann:very-secret@127.0.0.1:1/shop")

    assert main([line]) == 2

    told = capsys.readouterr()
    assert "MongoDB" in told.err
    assert "Traceback" not in told.err
    assert "very-secret" not in told.out + told.err


def test_link_on_what_was_rolled_back_undoes_the_object(world: World, run: Run) -> None:
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME)
    world.converge()
    world.webhooks()
    (remote,) = world.stripe.repair()
    world.deliver()

    assert run("operations link", str(customer.id), remote["id"])[0] == 0

    for _ in range(3):
        world.advance(hours=1)
        world.deliver()
        code, _told = run("reconcile --full")
    assert code == 0
    assert world.stripe.objects("customer") == []
    assert_in_sync(world)


def test_a_fresh_dry_run_writes_nothing(world: World, run: Run) -> None:
    with untouched(world, may_read=True):
        run("reconcile --dry-run")
