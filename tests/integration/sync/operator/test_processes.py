"""The settings of all processes are compared: each stores what it runs with, and a difference is a finding."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import PROCESSES, State
from stripe_mongo_sync.sync import connection, presence
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.operator.findings import Finding
from stripe_mongo_sync.sync.operator.processes import differences, processes
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.process.starting import ONLY_LOOKS
from tests.support import ROOT
from tests.support.forks import child, ended
from tests.support.mongo import our_database
from tests.support.run import Run
from tests.support.world import KEY, SECRET, TOKEN, World

FORKS_ARE_MEANT = "ignore:This process:DeprecationWarning"  # what Python 3.12 says of a fork beside threads
pytestmark = pytest.mark.filterwarnings(FORKS_ARE_MEANT)


def beside(world: World, before: Callable[[], object] = lambda: None, **settings: Any) -> None:
    """Let another process connect with other settings, and end."""

    def work() -> None:
        sync.disconnect()
        before()
        sync.connect(replace(world.read, **settings), http_client=world.stripe.transport())

    assert ended(child(work)) == [0]


def live() -> dict[str, Any]:
    """Return what is stored of each process."""
    return dict((State.read(PROCESSES) or {"live": {}})["live"])


def found() -> list[Finding]:
    return list(differences(processes(clock.now())))


def test_a_process_without_a_hook_is_named_with_what_it_loses(world: World, run: Run) -> None:
    beside(world, lambda: sync.on("customer.active")(listen))

    code, said = run("doctor")

    (told,) = [each for each in said["findings"] if each["check"] == "processes"]
    assert (code, told["level"]) == (1, "problem")
    assert "differ in HOOKS" in told["message"]
    assert "gives that hook no notice" in told["message"]
    assert f"none: {mine()} on " in told["message"]
    assert f"(pid {os.getpid()})" in told["message"]
    assert f"{listen.__module__}.listen: " in told["message"]
    assert "restart those that differ" in told["advice"]


def listen(notice: sync.Notice) -> None:
    """A hook that another process has."""


def mine() -> str:
    return str(live()[presence._name(os.getpid())]["program"])


@pytest.mark.parametrize(
    ("name", "settings", "level"),
    [
        ("STRIPE_WEBHOOK_SECRET", {"webhook_secrets": (SECRET, "whsec_Another9bKc4LwRf6VnHs3JdPy8GaUeX")}, "problem"),
        ("mode", {"stripe_secret_key": "sk_live_other"}, "problem"),
        ("API_TOKENS", {"api_tokens": ()}, None),
        ("ADOPT", {"adopt": False}, "warning"),
        ("REVALIDATE", {"revalidate": frozenset({"customer"})}, "warning"),
        ("RETENTION_DAYS", {"retention": timedelta(days=90)}, "warning"),
        ("ACCESS_GRACE_DAYS", {"access_grace": timedelta(days=1)}, "warning"),
        ("ACCESS_WHILE_PAUSED", {"access_while_paused": False}, "warning"),
        ("STRIPE_API_BASE", {"stripe_api_base": "http://127.0.0.1:1"}, "warning"),
    ],
)
def test_each_setting_that_must_be_equal_is_compared(
    world: World, name: str, settings: dict[str, Any], level: str | None
) -> None:
    assert found() == []

    beside(world, **settings)

    told = [(each.level, f" in {name}," in each.message) for each in found()]
    assert told == ([(level, True)] if level else []), "who serves no API needs no token"


def test_what_may_differ_is_no_finding(world: World) -> None:
    beside(world, stripe_secret_key="rk_test_restricted", ca_bundle="/ca.pem", api_rate=7, webhook_secrets=())

    assert found() == []


def test_no_secret_can_be_read_from_what_is_stored(world: World) -> None:
    stored = json.dumps(our_database().sync_state.find_one({"_id": PROCESSES}), default=str)

    for secret in (KEY, SECRET, SECRET.removeprefix("whsec_"), TOKEN, world.database):
        assert secret not in stored
    digest = live()[presence._name(os.getpid())]["settings"]["STRIPE_WEBHOOK_SECRET"]
    assert len(digest) == 16
    State.renew_installation()
    world.start()
    assert live()[presence._name(os.getpid())]["settings"]["STRIPE_WEBHOOK_SECRET"] != digest, "the key is another"


def test_who_has_ended_is_forgotten_after_five_minutes(world: World) -> None:
    beside(world, adopt=False)
    world.advance(minutes=4)
    assert len(found()) == 1

    world.advance(minutes=2)

    assert (found(), status().facts["processes"]) == ([], {})
    renewed()
    assert status().facts["processes"] == {mine(): 1}
    assert list(live()) == [presence._name(os.getpid())], "who writes removes what is old"


def renewed() -> None:
    """Do what the thread of this process does every two minutes."""
    assert connection._presence is not None
    connection._presence.renew()


def test_a_restart_with_the_right_setting_ends_the_finding(world: World) -> None:
    beside(world, adopt=False)
    world.settings["ADOPT"] = "no"

    world.start()

    assert found() == []


def test_a_child_has_an_entry_of_its_own_and_its_parent_keeps_its_one(world: World) -> None:
    before = live()

    assert ended(child(sync.current), child(sync.current)) == [0, 0]

    assert len(live()) == 3
    assert before.items() <= live().items()


def test_a_command_that_only_looks_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.reconcile()
    State.clear(PROCESSES)
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    monkeypatch.setenv("MONGODB_URI", world.database)
    for line in (["status"], ["operations", "list"], ["hooks", "list"]):
        sync.disconnect()
        main(line)
        assert live() == {}, line
    assert not ONLY_LOOKS.get()

    sync.disconnect()
    main(["hooks", "run"])

    assert len(live()) == 1


def test_no_webhook_call_or_run_renews_the_entry(world: World) -> None:
    entries = live()
    sync.create_customer("user@here.com")
    world.advance(minutes=4)  # more than the two minutes between two writes

    world.deliver()
    world.reconcile()

    assert live() == entries, "only the thread does"


def test_an_entry_that_was_edited_is_ignored_and_written_anew(world: World) -> None:
    for wrong in (None, 7, {"at": "now"}, {"program": [], "host": 1, "pid": "x", "settings": [], "at": clock.now()}):
        our_database().sync_state.update_one({"_id": PROCESSES}, {"$set": {"value.live.edited": wrong}})
        assert len(processes(clock.now())) == 1, wrong
    for wrong in (None, "text", [1]):
        our_database().sync_state.update_one({"_id": PROCESSES}, {"$set": {"value.live": wrong}})
        assert processes(clock.now()) == []

        renewed()

        assert len(processes(clock.now())) == 1


def test_processes_that_begin_at_once_lose_no_entry(world: World) -> None:
    for _ in range(3):
        State.clear(PROCESSES)  # so that each inserts the value, and all but one find it there

        assert ended(*(child(sync.current) for _ in range(6))) == [0] * 6

        assert len(live()) == 6


def test_a_real_process_shows_its_program_and_host(world: World) -> None:
    told = {"STRIPE_SECRET_KEY": KEY, "MONGODB_URI": world.database, "ADOPT": "no"}
    command = [sys.executable, "-m", "sync", "hooks", "run"]

    subprocess.run(command, cwd=ROOT, env={**os.environ, **told}, check=True, capture_output=True)

    (difference,) = found()
    assert 'no: "stripe-mongo-sync hooks" on' in difference.message
    assert {each["host"] for each in live().values()} == {next(iter(live().values()))["host"]}
