"""Bad settings end every program at once, with one message that names all of them, before a port is opened."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stripe_mongo_sync.demo.mongod import free_port
from stripe_mongo_sync.sync.__main__ import main
from tests.support import ROOT

BAD = {
    "STRIPE_SECRET_KEY": "pk_live_very-secret",
    "STRIPE_WEBHOOK_SECRET": "very-secret",
    "API_TOKENS": "very-secret",
    "MONGODB_URI": "mongodb://ann:very-secret@127.0.0.1:1",
    "RETENTION_DAYS": "7",
}


def run(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ours where no .env is, with nothing in its environment but bad settings."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **BAD}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )


def test_gunicorn_does_not_start(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):  # gunicorn would complain about it, if it came so far
        ended = run(tmp_path, "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{port}")

    assert ended.returncode == 2, ended.stderr
    for name in BAD:
        assert ended.stderr.count(f"{name} ") == 1
    assert "very-secret" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert "in use" not in ended.stderr


def refused(code: int, out: str, error: str) -> None:
    """Assert that a command said of each bad setting that it is bad, and nothing else."""
    assert code == 2, error
    for name in ("STRIPE_SECRET_KEY", "MONGODB_URI", "RETENTION_DAYS"):
        assert error.count(f"{name} ") == 1
    assert "very-secret" not in out + error
    assert "Traceback" not in error


def test_no_command_starts(tmp_path: Path) -> None:
    ended = run(tmp_path, "sync", "reconcile")

    refused(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("command", ["reconcile", "backfill", "status", "operations list", "new-installation"])
def test_no_command_begins(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - {"PATH"}:
        monkeypatch.delenv(name)
    for name, value in BAD.items():
        monkeypatch.setenv(name, value)

    code = main(command.split())

    refused(code, *capsys.readouterr())


@pytest.mark.parametrize(
    "arguments", ["hooks", "tidy", "reconcile --every 0", "reconcile --every nan", "operations retry"]
)
def test_a_command_line_that_makes_no_sense_is_told_so(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage:")
