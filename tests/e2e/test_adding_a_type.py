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
            "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache"),  # six times as fast as with an empty one
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
    (commands,) = COMMANDS.findall(PAGE)

    with ThreadPoolExecutor() as pool:  # side by side: it is a minute else
        told = list(pool.map(lambda command: run(project, command, mongo_server.address), commands.splitlines()))

    passed = PASSED.findall("".join(told))
    assert {file for file, _ in passed} >= {
        "tests/crash/test_crash.py",
        "tests/contract/test_registry.py",
        "tests/contract/test_stripe_python.py",
        "tests/integration/models/test_actions.py",
        "tests/integration/models/test_catalogue.py",
        "tests/unit/test_structure.py",
    }
    killed = {name.partition(": ")[2].partition(",")[0] for file, name in passed if file == "tests/crash/test_crash.py"}
    assert killed == {"create", "update", "expire", "void", "undo a late twin"}


def test_every_block_of_code_is_performed() -> None:
    blocks = re.findall(r"^```(\w.*)$", PAGE, re.MULTILINE)

    assert len(blocks) == len(FILE.findall(PAGE)) + len(COMMANDS.findall(PAGE)) == 6


def test_a_hunk_that_fits_nowhere_or_twice_is_an_error() -> None:
    assert patched("a\nb\nc\n", " a\n+new\n@@\n-c\n+d\n") == "a\nnew\nb\nd\n"
    for text in ("b\n", "a\na\n"):
        with pytest.raises(AssertionError, match="not there once"):
            patched(text, " a\n+new\n")
