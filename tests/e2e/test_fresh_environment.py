"""In a fresh environment, one command installs all that a checkout needs; and the lock installs, by its hashes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from stripe_mongo_sync.demo.mongod import free_port
from tests.support import ROOT
from tests.support.package_index import needs_the_index, settings
from tests.support.world import KEY, SECRET, TOKEN

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # pip fetches and unpacks 20 packages: .ci/run runs it


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean checkout, with a fresh environment in it."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / ".venv"], check=True)
    return tmp_path


def run(checkout: Path, *command: str) -> str:
    """Run a program of the environment; return what it printed. Without a package index, there is nothing to try."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    environment |= settings()
    program = checkout / ".venv" / "bin" / command[0]
    told = subprocess.run([program, *command[1:]], cwd=checkout, env=environment, capture_output=True, text=True)
    if told.returncode and command[0] == "pip":
        needs_the_index(told.stdout + told.stderr)
    assert told.returncode == 0, f"{command}\n{told.stdout}\n{told.stderr}"
    return told.stdout


def serves(checkout: Path, *command: str) -> bool:
    """Whether this starts the service, with our configuration: it answers whatever MongoDB does."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET}
    environment |= {"API_TOKENS": TOKEN, "PORT": str(port), "MONGODB_URI": "mongodb://127.0.0.1:1/shop"}
    program = checkout / ".venv" / "bin" / command[0]
    process = subprocess.Popen(
        [program, *command[1:]], cwd=checkout, env=environment, text=True, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if "Booting worker" in line:
                break
        else:
            raise AssertionError(f"it ended: {said}")
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
            return answer.status == 200 and "Using worker: stripe_mongo_sync.api.server.worker.Worker" in said
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_what_requirements_txt_installs_is_enough_for_a_checkout(checkout: Path) -> None:
    run(checkout, "pip", "install", "--quiet", "-r", "requirements.txt")

    assert "usage: python -m sync" in run(checkout, "python", "-m", "sync", "--help")
    assert run(checkout, "python", "-c", "from sync import connect; print(connect.__name__)") == "connect\n"
    assert serves(checkout, "gunicorn")
    assert serves(checkout, "gunicorn", "wsgi:app")


def test_the_lock_installs_by_its_hashes_and_then_the_package_without_any(checkout: Path) -> None:
    run(checkout, "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.lock")
    run(checkout, "pip", "install", "--quiet", "--no-deps", ".")

    assert "No broken requirements" in run(checkout, "pip", "check")
    assert run(checkout, "stripe-mongo-sync", "--version").startswith("stripe-mongo-sync ")
    assert serves(checkout, "stripe-mongo-sync", "serve")
