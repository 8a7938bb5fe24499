"""What `make` installs before it does what it was asked for, and what it says where that cannot be done.

The Makefile is the real one; the Python that it finds only notes what it is asked.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
TOLD = ("Makefile", "pyproject.toml", "requirements.txt", "requirements-demo.txt", "requirements-dev.txt")
PYTHON = """#!/bin/sh
case "$1 $2 $3" in
  "-c "*) exit "${OLD:-0}" ;;
  "--version "*) echo Python 3.9.2; exit ;;
  "-m venv --clear") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip --version") exit ;;
  "-m pip install") echo "ERROR: no matching distribution" >&2; code="${OFFLINE:-0}" ;;
esac
echo "$*" >>asked
exit "${code:-0}"
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@dataclass
class Checkout:
    """A fresh one, on a machine whose every Python is the one above."""

    path: Path

    def make(self, target: str, *options: str, **given: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.path / 'bin'}:/usr/bin:/bin", **given}
        command = ["make", *options, target]
        return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False)

    def installed(self) -> list[str]:
        """The files of requirements that were installed, in their order."""
        asked = (self.path / "asked").read_text().splitlines()
        return [line.split()[-1] for line in asked if line.startswith("-m pip install ")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for name in TOLD:
        shutil.copy(ROOT / name, tmp_path)
    for version in ("", ".11", ".12", ".13", ".14"):
        python = tmp_path / "bin" / f"python3{version}"
        python.parent.mkdir(exist_ok=True)
        python.write_text(PYTHON)
        python.chmod(0o755)
    return Checkout(tmp_path)


def test_the_demo_installs_no_test_tools_and_the_tests_add_them(checkout: Checkout) -> None:
    first = checkout.make("demo")
    again = checkout.make("demo")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr
    assert checkout.installed() == ["requirements-demo.txt"]
    assert first.stdout.startswith("installing into .venv what the service and the demo need: ")
    assert "installing" not in again.stdout

    checkout.make("test")

    assert checkout.installed() == ["requirements-demo.txt", "requirements-dev.txt"]


@pytest.mark.parametrize("target", ["demo", "dev", "run", "reconcile"])
def test_what_runs_the_service_needs_no_test_tools(target: str, checkout: Checkout) -> None:
    planned = checkout.make(target, "--dry-run").stdout

    assert "requirements-demo.txt" in planned
    assert "requirements-dev.txt" not in planned


def test_it_says_how_many_packages_the_demo_installs() -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    pinned = [Requirement(line) for line in lines if line and not line.startswith("-")]
    mongod_and_ourselves = 2

    assert f" {len(pinned) + mongod_and_ourselves} packages, " in (ROOT / "Makefile").read_text()


def test_without_a_package_index_it_says_so_and_the_next_time_tries_again(checkout: Checkout) -> None:
    offline = checkout.make("demo", OFFLINE="1")

    assert offline.returncode == 2
    assert "no matching distribution" in offline.stderr
    assert "it needs the package index, or a mirror of it that PIP_INDEX_URL names" in offline.stderr
    assert checkout.make("demo").returncode == 0
    assert checkout.installed() == ["requirements-demo.txt"] * 2


def test_with_no_python_that_is_new_enough_it_says_which_one_is(checkout: Checkout) -> None:
    old = checkout.make("demo", OLD="1")

    assert old.returncode == 2
    assert "Python 3.11 or newer is needed; python3 here is: Python 3.9.2" in old.stderr
    assert not (checkout.path / ".venv").exists()


def test_a_venv_that_broke_off_is_made_anew(checkout: Checkout) -> None:
    (checkout.path / ".venv" / "bin").mkdir(parents=True)
    (checkout.path / ".venv" / "bin" / "python").symlink_to("/nonexistent")

    assert checkout.make("demo").returncode == 0
