"""The programs that judge the files of a deployment: those of `make deploy-tools`, and what the system has.

The files of `.dev/deploy/bin` come from PyPI; `systemd-analyze` is Debian's `systemd`, `promtool` its `prometheus`, and
`kubectl` is optional.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support import ROOT

OURS = ROOT / ".dev/deploy/bin"
NEEDED = ("hadolint", "kubernetes-validate", "check-jsonschema", "systemd-analyze", "promtool")


@cache
def found(name: str) -> str | None:
    """Return the path of a program, if it is here."""
    return shutil.which(name, path=f"{OURS}{os.pathsep}{os.environ['PATH']}")


def needs(name: str) -> pytest.MarkDecorator:
    """What marks a test that is skipped without this program."""
    how = (
        "kubectl is not installed"
        if name not in NEEDED
        else f"{name} is not here: `make deploy-tools` says how to get it"
    )
    return pytest.mark.skipif(found(name) is None, reason=how)


def judge(name: str, *arguments: str | Path, given: str | None = None) -> str:
    """Run a program that must be content; return what it said."""
    command = [found(name) or name, *map(str, arguments)]
    told = subprocess.run(command, input=given, capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout
