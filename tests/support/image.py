"""The image of the Dockerfile, without Docker: its instructions, done in a bare directory by a Python of this machine.

Every absolute path that the Dockerfile makes lies in that directory, and a stage begins with an empty one, as its base
image has none of them. What is installed, where, by whom it may be changed, and how it starts is what the image has.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.support import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Not of the machine's own folders: /app/bin in `PATH=/app/bin:$PATH` and in `pip --python /app/bin/python`.
PLACE = re.compile(r"(?<![\w./:-])/(?!usr/|bin/|tmp\b|dev/|healthz)(?=\w)")
STARTS = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"


def instructions(text: str = DOCKERFILE) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile, such as `("WORKDIR", "/src")`."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def let_through(name: str) -> bool:
    """Whether `.dockerignore` lets this name at the top of the checkout into the build; the last that fits counts."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    found = [not pattern.startswith("!") for pattern in patterns if fnmatch(name, pattern.removeprefix("!"))]
    return not (found and found[-1])


@dataclass
class Image:
    """An image, built into `top`; afterwards, what it is started with."""

    top: Path
    python: str  # in place of the base image's
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    stages: dict[str, Path] = field(default_factory=dict)
    folder: Path = Path()
    user: int = 0
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """What is `/` in the image. It stays the same from stage to stage: programs know their own path."""
        return self.top / "root"

    def build(self, given: Mapping[str, str]) -> None:
        """Do what the Dockerfile says, one instruction after the other, with these variables for what fetches."""
        for word, rest in instructions():
            getattr(self, f"_{word.lower()}")(rest, given)

    def _arg(self, rest: str, given: Mapping[str, str]) -> None:
        name, _, default = rest.partition("=")
        self.arguments[name] = default

    def _from(self, rest: str, given: Mapping[str, str]) -> None:
        image, _, name = rest.partition(" AS ")
        assert self.arguments[image.strip("${}")].startswith("python:"), image
        if self.root.exists():
            self.root.rename(self.stages[[*self.stages][-1]])
        self.stages[name or "the image"] = self.top / f"stage-{len(self.stages)}"
        base = self.root / "usr/local"
        base.mkdir(parents=True)
        subprocess.run([self.python, "-m", "venv", base], check=True)
        self.environment = {"PATH": f"{base / 'bin'}:/usr/bin:/bin"}

    def _workdir(self, rest: str, given: Mapping[str, str]) -> None:
        self.folder = Path(self._placed(rest))
        self.folder.mkdir(parents=True, exist_ok=True)

    def _env(self, rest: str, given: Mapping[str, str]) -> None:
        for name, value in re.findall(r"(\w+)=(\S+)", self._placed(rest)):
            self.environment[name] = value.replace("$PATH", self.environment["PATH"])

    def _copy(self, rest: str, given: Mapping[str, str]) -> None:
        *sources, target = rest.split()
        if stage := next((each for each in sources if each.startswith("--from=")), None):
            (source,) = (each for each in sources if each != stage)
            shutil.copytree(self.stages[stage[7:]] / source[1:], self._placed(target), symlinks=True)
            return
        for name in os.listdir(ROOT) if sources == ["."] else sources:
            if let_through(name):
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                more: Any = {"ignore": shutil.ignore_patterns("__pycache__")} if copy is shutil.copytree else {}
                copy(ROOT / name, self.folder / name, **more)

    def _run(self, rest: str, given: Mapping[str, str]) -> None:
        command = ["/bin/sh", "-c", self._placed(rest)]
        told = subprocess.run(
            command, cwd=self.folder, env=self.environment | given, capture_output=True, text=True, check=False
        )
        if told.returncode:
            raise CannotBuild(f"RUN {rest}\n{told.stdout}\n{told.stderr}")

    def _user(self, rest: str, given: Mapping[str, str]) -> None:
        self.user, group = map(int, rest.split(":"))
        assert self.user == group, "what follows takes them for the same"

    def _entrypoint(self, rest: str, given: Mapping[str, str]) -> None:
        self.entrypoint = json.loads(rest)

    def _cmd(self, rest: str, given: Mapping[str, str]) -> None:
        self.command = json.loads(rest)

    def _healthcheck(self, rest: str, given: Mapping[str, str]) -> None:
        self.healthcheck = json.loads(rest.partition("CMD ")[2])

    def _label(self, rest: str, given: Mapping[str, str]) -> None:
        """A label changes nothing that runs."""

    def _expose(self, rest: str, given: Mapping[str, str]) -> None:
        """Nor does a port that is only named."""

    def _placed(self, text: str) -> str:
        return PLACE.sub(f"{self.root}/", text)

    def process(self, *command: str, **given: str) -> subprocess.Popen[str]:
        """Start a process as a container would: as the image's user, with its environment and what is given beside."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment | given,
            user=self.user,
            group=self.user,
            extra_groups=[],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *command: str, **given: str) -> tuple[int, str]:
        """Run a process to its end; return its exit code, and what it said."""
        process = self.process(*command, **given)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    @contextmanager
    def running(self, *command: str, **given: str) -> Iterator[subprocess.Popen[str]]:
        """Let a process run until the block ends; it must end well then, as a platform ends it."""
        process = self.process(*command, **given)
        try:
            yield process
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=75)
        assert process.returncode == 0, said


class CannotBuild(Exception):
    """A line of the Dockerfile failed; the message is what it said."""


def python_for_others(user: int = 65534) -> str | None:
    """Return a Python that another user of this machine can run, too; or None."""
    named = [sys._base_executable, *(f"{place}/python3" for place in ("/usr/local/bin", "/usr/bin"))]  # type: ignore[attr-defined]
    for python in named:
        try:
            if subprocess.run([python, "-c", STARTS], user=user, group=user, cwd="/", check=False).returncode == 0:
                return python
        except OSError:
            continue
    return None
