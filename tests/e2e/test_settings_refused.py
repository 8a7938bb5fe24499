"""Bad settings end every program at once, with one message that names all of them, before a port is opened."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo.mongod import free_port

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.parametrize("command", ["reconcile", "backfill", "status", "operations list", "new-installation"])
def test_no_command_starts(tmp_path: Path, command: str) -> None:
    ended = run(tmp_path, "sync", *command.split())

    assert ended.returncode == 2, ended.stderr
    for name in ("STRIPE_SECRET_KEY", "MONGODB_URI", "RETENTION_DAYS"):
        assert ended.stderr.count(f"{name} ") == 1
    assert "very-secret" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", ["", "tidy", "reconcile --every 0", "reconcile --every nan", "operations retry"])
def test_a_command_line_that_makes_no_sense_is_told_so(tmp_path: Path, arguments: str) -> None:
    ended = run(tmp_path, "sync", *arguments.split())

    assert ended.returncode == 2
    assert ended.stderr.startswith("usage:")
