"""Every command ends by a signal: who only reads there and then, the others after what is in hand."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator.protocol.wire import LogEntry
from stripe_mongo_sync.models import Customer, Delivery, Event, Status
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.process.stop import ENDS, STOP, Stopped
from stripe_mongo_sync.sync.stripe.answers import Unknown
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.integration.sync.commands.test_terminal import ALL, given
from tests.support import ROOT
from tests.support.heard import Listener
from tests.support.hooks import listening
from tests.support.in_sync import assert_in_sync
from tests.support.run import Run
from tests.support.world import KEY, World

READERS = sorted(name for name, command in ALL.items() if command.reads and name not in ("types", "completion"))
every_signal = pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)


def ask(number: signal.Signals) -> None:
    """Send this process a signal, as a platform does; never where nobody takes it, as that would end the tests."""
    assert callable(signal.getsignal(number)), "nobody takes it"
    signal.raise_signal(number)


def unsent(world: World, number: int) -> list[Customer]:
    """Customers that are due to be sent."""
    world.stripe.fault("cut_before", method="POST", times=None)
    made = [sync.create_customer(f"user{each}@here.com") for each in range(number)]
    world.stripe.clear_faults()
    world.advance(hours=1)
    return made


def asks_at(world: World, number: signal.Signals, method: str) -> None:
    """Let the process be asked to end while a request of that method is under way."""

    def asked(call: LogEntry) -> bool:
        if call.method == method and not STOP.asked:
            ask(number)
        return False

    world.stripe.fault("slow", match=asked, times=None)


@pytest.mark.parametrize(
    ("line", "number"), [*(("reconcile", number) for number in ENDS), ("reconcile --full", signal.SIGTERM)]
)
def test_a_run_ends_after_the_document_in_hand(world: World, run: Run, line: str, number: signal.Signals) -> None:
    world.reconcile()
    made = unsent(world, 3)
    asks_at(world, number, "POST")

    code, told = run(line)

    assert (code, told["stopped"], told["exit_code"]) == (2, True, 2)
    assert [one.fetch_latest().status for one in made].count(Status.ACTIVE) == 1
    world.stripe.clear_faults()
    world.deliver()
    assert run("reconcile")[0] == 0, "the same command goes on from there"
    world.converge()
    assert_in_sync(world)


def test_a_backfill_ends_after_the_object_in_hand_and_goes_on_from_there(world: World, run: Run) -> None:
    for each in range(3):
        world.stripe.insert("customer", name=f"c{each}")
        world.stripe.insert("product", name=f"p{each}")
    world.webhooks()
    world.advance(hours=1)
    asks_at(world, signal.SIGTERM, "GET")

    code, told = run("backfill customer product")

    assert (code, told["stopped"], told["finished"]) == (2, True, False)
    world.stripe.clear_faults()
    code, told = run("backfill customer product")
    assert (code, told["finished"], told["stopped"]) == (0, True, False)
    assert Customer.objects.count() == 3


def test_a_replay_of_many_ends_after_the_event_in_hand(
    world: World, dead: Event, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Event._get_collection().find_one({"_id": dead.id})
    Event._get_collection().insert_many({**row, "_id": f"{dead.id}{each}"} for each in range(3))
    asks_at(world, signal.SIGTERM, "GET")

    assert main(["events", "replay", "--dead"]) == 2

    assert Event.objects(state="dead").count() == 3
    assert "run the same command again to continue" in capsys.readouterr().err


@pytest.mark.parametrize("every", [[], ["--every", "300"]])
def test_hooks_end_after_the_call_in_hand(world: World, every: list[str]) -> None:
    returned = []

    def stopping(notice: sync.Notice) -> None:
        ask(signal.SIGTERM)
        returned.append(notice.id)

    with listening("customer.active", then=stopping):
        for each in range(3):
            sync.create_customer(f"user{each}@here.com")

        assert main(["hooks", "run", *every]) == (0 if every else 2)

    assert len(returned) == 1
    assert Delivery.objects(state="done").count() == 1
    assert Delivery.objects(state="pending", attempts=0).count() == 2


def test_an_erasure_that_is_stopped_is_finished_by_the_same_command(world: World, run: Run) -> None:
    customer = sync.create_customer("ada@here.com", name="Ada")
    world.deliver()
    asks_at(world, signal.SIGTERM, "DELETE")

    assert main(["erase", str(customer.id)]) == 2

    world.stripe.clear_faults()
    assert run("erase", str(customer.id))[0] == 0
    assert customer.fetch_latest().erased_at is not None


class Asking(Listener):
    """Asks the process to end when MongoDB is first asked something."""

    def __init__(self) -> None:
        self.armed = False

    def started(self, event: CommandStartedEvent) -> None:
        if self.armed:
            self.armed = False
            ask(signal.SIGTERM)


@pytest.fixture
def asking(database: str) -> Iterator[Asking]:
    """A world whose MongoDB asks the process to end as soon as it is armed."""
    listener = Asking()
    world = World(database, listeners=(listener,))
    yield listener
    world.stop()


def test_who_only_reads_ends_there_and_then(asking: Asking, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"status", "doctor", "operations list", "indexes"} <= set(READERS)
    for name in READERS:
        asking.armed = True
        identity = "evt_1" if name.endswith(" show") else "x"

        assert main([*name.split(), *given(ALL[name], identity)]) == 2, name

        assert capsys.readouterr() == ("", "stopped\n"), name
        assert not STOP.asked, "the next command is not meant"


def test_every_command_says_whether_it_may_end_anywhere() -> None:
    finish = {name for name, command in ALL.items() if not command.reads}

    assert finish == {
        *("reconcile", "backfill", "erase", "hooks run", "hooks replay", "hooks drop", "new-installation"),
        *("migrate", "usage run", "usage resend", "usage mark-sent"),
        *(
            "events replay",
            "events ignore",
            *(f"operations {act}" for act in ("retry", "roll-back", "link", "reset-breaker", "confirm")),
        ),
        *(f"endpoint {act}" for act in ("create", "update", "roll", "delete")),
    }


@contextmanager
def taken() -> Iterator[None]:
    """What a command that changes something does with signals."""
    with STOP.listening(), STOP.finishing():
        yield


@every_signal
def test_a_second_signal_ends_at_once(number: signal.Signals) -> None:
    child = os.fork()
    if not child:
        try:
            with taken(), STOP.in_hand():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(number)
        finally:  # or it would go on with the tests
            os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + number


def test_a_signal_that_was_ignored_from_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with taken():
            signal.raise_signal(signal.SIGHUP)
            assert not STOP.asked, "nohup"
            assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_in_hand_waits_no_more_and_is_given_up_only_where_stripe_does_not_do_it() -> None:
    def finished() -> None:
        with STOP.in_hand():
            ask(signal.SIGTERM)
            STOP.wait(3600.0)
            with pytest.raises(Stopped):  # it would be asked again and again
                Throttle().ask(lambda: Unknown("no answer"))

    with taken():
        with pytest.raises(Stopped):
            finished()
        with pytest.raises(Stopped):
            STOP.wait(3600.0)


# --- as processes ---


def ends(
    begun: Callable[[subprocess.Popen[str]], Any], tmp_path: Path, *program: str, **environment: str
) -> tuple[int, str]:
    """Start `status`, or a program, send it SIGTERM when it has begun, and return its exit code and last words."""
    with subprocess.Popen(
        [sys.executable, "-m", *(program or ("sync", "status"))],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "STRIPE_SECRET_KEY": KEY, **environment},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            begun(process)
            process.send_signal(signal.SIGTERM)
            return process.wait(30), process.stderr.read() if process.stderr else ""
        finally:
            process.kill()


def takes_sigterm(process: subprocess.Popen[str]) -> None:
    """Wait until the process takes SIGTERM, so that it would be sent one as process 1, too."""
    caught = 0
    while process.poll() is None and not caught >> (signal.SIGTERM - 1) & 1:
        caught = int(Path(f"/proc/{process.pid}/status").read_text().split("SigCgt:")[1].split()[0], 16)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells which signals a process takes")
def test_a_process_that_still_starts_ends_by_a_signal(tmp_path: Path) -> None:
    assert ends(takes_sigterm, tmp_path) == (2, "stopped\n")
    assert ends(takes_sigterm, tmp_path, "emulator", "--port", "0") == (0, "stopped\n")
    assert ends(takes_sigterm, tmp_path, "demo") == (130, "stopped\n")


def test_a_process_that_waits_for_mongodb_ends_by_a_signal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        uri = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/shop"

        with ExitStack() as held:
            reached = lambda process: held.enter_context(silent.accept()[0])  # noqa: E731
            assert ends(reached, tmp_path, MONGODB_URI=uri) == (2, "stopped\n")
