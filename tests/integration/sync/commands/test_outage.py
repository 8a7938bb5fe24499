"""What a command says of an outage: what does not answer, where, and what to do; never what a driver says."""

import json
import os
import subprocess
import sys

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.demo.mongod import free_port
from tests.support import ROOT
from tests.support.run import Run
from tests.support.world import KEY, SECRET, World


def said(line: str, address: str) -> tuple[int, str, str]:
    """Run a command as a process, with a MongoDB at this address."""
    settings = {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "MONGODB_URI": address}
    command = [sys.executable, "-m", "sync", *line.split()]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **settings})
    return told.returncode, told.stdout, told.stderr


def test_a_mongodb_that_is_not_there_is_named_without_its_password() -> None:
    place = f"127.0.0.1:{free_port()}"
    address = f"mongodb://shop:geheim@{place}/shop"
    wanted = (
        f"MongoDB at {place} does not answer: no server listens there. To do: start MongoDB, or correct MONGODB_URI."
    )

    assert said("status", address) == (2, "", f"{wanted}\n")
    code, out, err = said("indexes --json", address)

    assert (code, out) == (2, "")
    told = json.loads(err)
    assert (told["type"].rpartition("/")[2], told["detail"], told["exit_code"]) == ("unavailable", wanted, 2)


@pytest.mark.parametrize("fault", ["cut_before", "timeout_before", "503_edge"])
def test_a_stripe_that_is_away_is_told_with_what_to_do(world: World, run: Run, fault: str) -> None:
    sync.create_customer("user@here.com")
    run("reconcile")
    world.stripe.fault(fault, method="GET", times=None)

    code, told = run("reconcile --full")

    assert code == 2
    (why,) = told["unseen"]
    assert "Stripe" in why
    assert "To do: " in why, why


def test_settings_that_are_wrong_are_json_too(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from stripe_mongo_sync.sync.__main__ import main

    monkeypatch.chdir(tmp_path)
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "MONGODB_URI"):
        monkeypatch.delenv(name, raising=False)

    assert main(["status", "--json"]) == 2

    out, err = capsys.readouterr()
    told = json.loads(err)
    assert (out, told["type"].rpartition("/")[2], told["exit_code"]) == ("", "bad-settings", 2)
    assert "STRIPE_SECRET_KEY" in told["detail"]
