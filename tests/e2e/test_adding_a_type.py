"""`docs/adding-a-type.md` tells the truth: what it says is done to a copy of the project, whose tests then pass."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.openapi import PATH as OPENAPI
from tests.support import ROOT
from tests.support.mongo import MongoServer
from tests.unit.test_structure import project_files

PAGE = (ROOT / "docs/adding-a-type.md").read_text()
FILE = re.compile(r"^```(python|diff) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
(PERFORMED,) = (block.splitlines() for block in COMMANDS.findall(PAGE))
# A new type uses nothing of their types, and to check them takes ten times as long.
LIBRARIES = """
[[tool.mypy.overrides]]
module = ["stripe.*", "flask.*", "werkzeug.*", "pymongo.*", "requests.*"]
follow_imports = "skip"

"""
PASSED = re.compile(r"^PASSED (\S+?)::(.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with the type of the page; what Python compiled before is good for it as well."""
    copy = tmp_path_factory.mktemp("project") / "stripe_mongo_sync"
    for path in project_files():
        for one in (path, *(path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")):
            target = copy / one.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(one, target)  # with its time, by which Python and mypy know it
    settings = copy / "pyproject.toml"
    settings.write_text(
        settings.read_text().replace("[tool.mypy]", f"{LIBRARIES}[tool.mypy]\nfollow_imports = 'silent'")
    )
    (copy / ".typing").mkdir()
    (copy / ".typing/stripe_mongo_sync").symlink_to("..")
    for language, name, text in FILE.findall(PAGE):
        file = copy / name
        if language == "diff":
            file.write_text(patched(file.read_text(), text))
        else:
            assert not file.exists(), f"{name} is there already: the page must add another type"
            file.write_text(text)
    return copy


def patched(text: str, diff: str) -> str:
    """Return `text` with the hunks of a diff applied, each at the only place that it fits."""
    for hunk in diff.split("@@\n"):
        before, after = (
            "".join(line[1:] for line in hunk.splitlines(True) if line[0] in sides) for sides in (" -", " +")
        )
        assert text.count(before) == 1, f"this is not there once:\n{before}"
        text = text.replace(before, after)
    return text


def run(project: Path, command: str, mongodb: str) -> str:
    """Run a command of the page in the copy, with our Python, and return what it printed."""
    done = subprocess.run(
        shlex.split(command.replace(".venv/bin/python", sys.executable)),
        cwd=project,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(project.parent),  # so that the package is the copy
            "MONGODB_URI": mongodb,
            "STRIPE_OPENAPI": str(OPENAPI),
            "MYPY_CACHE_DIR": os.devnull,
            "PYTEST_ADDOPTS": "-rA --show-capture=no -p no:cacheprovider",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.timeout(300)
def test_the_type_of_the_page_is_added_by_what_the_page_says(project: Path, mongo_server: MongoServer) -> None:
    passed = performed([each for each in PERFORMED if "-m alike" not in each], project, mongo_server)

    assert passed.keys() >= {
        "tests/crash/test_crash.py",
        "tests/contract/test_registry.py",
        "tests/contract/test_stripe_python.py",
        "tests/integration/models/test_actions.py",
        "tests/unit/test_structure.py",
    }
    assert killed(passed) == {"create", "undo a late orphan"}


@pytest.mark.alike
@pytest.mark.timeout(300)
def test_what_is_alike_passes_as_well(project: Path, mongo_server: MongoServer) -> None:
    (command,) = [each for each in PERFORMED if "-m alike" in each]

    assert killed(performed([command], project, mongo_server)) == {"update", "cancel"}


def performed(commands: list[str], project: Path, mongo_server: MongoServer) -> dict[str, list[str]]:
    """Run commands side by side, as it is a minute else; return by their file the tests that passed."""
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda command: run(project, command, mongo_server.address), commands))
    passed: dict[str, list[str]] = {}
    for file, name in PASSED.findall("".join(told)):
        passed.setdefault(file, []).append(name)
    return passed


def killed(passed: dict[str, list[str]]) -> set[str]:
    """Return the journeys in which a process was killed at each step."""
    return {name.partition(": ")[2].partition(",")[0] for name in passed["tests/crash/test_crash.py"]}


def test_every_block_of_code_is_performed() -> None:
    blocks = re.findall(r"^```(\w.*)$", PAGE, re.MULTILINE)

    assert len(blocks) == len(FILE.findall(PAGE)) + len(COMMANDS.findall(PAGE)) == 7


def test_a_hunk_that_fits_nowhere_or_twice_is_an_error() -> None:
    assert patched("a\nb\nc\n", " a\n+new\n@@\n-c\n+d\n") == "a\nnew\nb\nd\n"
    for text in ("b\n", "a\na\n"):
        with pytest.raises(AssertionError, match="not there once"):
            patched(text, " a\n+new\n")
