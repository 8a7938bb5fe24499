"""The tutorial, typed as it is on the page: its files, its commands in one shell, and what each of them prints."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from stripe_mongo_sync.demo.mongod import find_mongod, free_port, is_free
from stripe_mongo_sync.demo.stack import ROOT
from tests.support import eventually
from tests.support.mongo import MongoServer

PAGE = Path("docs/tutorial.md").read_text()
PORT = "127.0.0.1:5000"  # of Flask's server
STACK = "$ make -C stripe-mongo-sync dev"
DOOR = "curl -s -b jar http://"  # what a reader sees, who comes again until a webhook has arrived
WITHIN = 20.0  # seconds
ENDED = "-- the command has ended: "

pytestmark = pytest.mark.skipif(
    not (os.environ.get("MONGODB_URI") or find_mongod()), reason="there is no MongoDB to try it on"
)


def blocks(page: str) -> list[tuple[str, str]]:
    """Every block of the page, with its language."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def typed(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what it is to print."""
    found = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(command, prints) for command, _, prints in found]


def shows(printed: str, prints: str) -> bool:
    """Whether this is what the page shows; `…` stands for anything."""
    return re.fullmatch(".*".join(map(re.escape, prints.split("…"))), printed, re.DOTALL) is not None


class Shell:
    """A shell of a user's, that stays open."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._in, self._out = pipes(process)

    def type(self, command: str) -> str:
        """Type a command; return what it printed. A command that fails, fails the test."""
        self._in.write(f'{command}\necho "{ENDED}$?"\n')
        self._in.flush()
        printed: list[str] = []
        while not (line := self._out.readline()).startswith(ENDED):
            assert line, f"the shell ended: {command}"
            printed.append(line)
        assert line == f"{ENDED}0\n", f"{command}\n{line}{''.join(printed)}"
        return "".join(printed)


def pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert process.stdin
    assert process.stdout
    return process.stdin, process.stdout


@contextmanager
def started(command: list[str], cwd: Path, environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """Run a program in a process group of its own, and end that as Ctrl-C does."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.wait(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that has the checkout in it."""
    (tmp_path / "stripe-mongo-sync").symlink_to(ROOT)
    return tmp_path


@pytest.fixture
def stack(mongo_server: MongoServer, folder: Path) -> Iterator[str]:
    """What `make dev` printed in the first terminal, where it runs: in the environment of the tests, on a free port."""
    environment = {**os.environ, "MONGODB_URI": mongo_server.address}
    made = [f"PY={sys.executable}", "--old-file=.venv/.runtime", f"ARGS=--port {free_port()}"]
    with started([*STACK.split()[1:], *made], folder, environment) as process:
        printed: list[str] = []
        for line in pipes(process)[1]:
            printed.append(line)
            if line.startswith("Ctrl-C"):
                break
        yield "".join(printed)


@pytest.fixture
def shell(folder: Path) -> Iterator[Shell]:
    """The second terminal."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with started(["bash"], folder, {"PATH": path, "LANG": "C.UTF-8"}) as process:
        yield Shell(process)
        pipes(process)[0].close()


def test_the_tutorial_as_it_is_typed(shell: Shell, stack: str, folder: Path) -> None:
    port = free_port()
    page = PAGE.replace(PORT, f"127.0.0.1:{port}").replace("--app shop run", f"--app shop run --port {port}")
    (settings,) = re.findall(r"^set -a; .*$", stack, re.MULTILINE)
    first, *others = [block for language, block in blocks(page) if language in ("console", "python")]
    (_, cloned), (_, prints) = typed(first)
    assert (cloned, shows(stack, prints)) == ("", True), stack

    for block in others:
        if name := re.match(r"# (\S+\.py)\n", block):
            (folder / "shop" / name[1]).write_text(block)
            continue
        for command, prints in typed(block):
            if "activate" in command:
                continue  # the tests have an environment already, with the same in it
            command = settings if command.startswith("set -a") else command
            printed, until = shell.type(command), time.monotonic() + WITHIN
            while not shows(printed, prints) and command.startswith(DOOR) and time.monotonic() < until:
                printed = shell.type(command)
            assert shows(printed, prints), f"{command}\n{printed}"
            if command.endswith("&"):
                eventually(lambda: not is_free(port), within=WITHIN)


def test_nothing_on_the_page_is_left_out() -> None:
    every = blocks(PAGE)

    assert {language for language, _ in every} == {"console", "python"}
    assert all(re.match(r"# \w+\.py\n", block) for language, block in every if language == "python")
    assert all(block.startswith("$ ") for language, block in every if language == "console")
    assert STACK in every[0][1]
    assert PAGE.count(PORT) >= 3
    assert "](docs/tutorial.md)" in Path("README.md").read_text()
