"""Stripe's own command line: where it is, what it can trigger, and how it is run against the emulator.

`make stripe-cli` puts it into `.dev/`; one that is installed, or that STRIPE_CLI names, does as well.
"""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache

from tests.support import ROOT

OURS = ".dev/stripe-cli/node_modules/@stripe/cli-*/bin/stripe"
KEY = "sk_test_of_the_command_line"
# Its requests are those of an account that was opened then: payment methods by name, and coupons of customers.
VERSION = "2022-11-15"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Triggered:
    """How it ended, and what it said."""

    good: bool
    said: str


@cache
def found() -> str | None:
    """Return the path of the command, if there is one."""
    ours = next((str(path) for path in ROOT.glob(OURS)), None)
    return os.environ.get("STRIPE_CLI") or ours or shutil.which("stripe")


@cache
def offered() -> tuple[str, ...]:
    """Return the events that it says it can trigger; none, if it is not here."""
    said = run("trigger", "--help").said if found() else ""
    _, _, events = said.partition("Supported events:")
    return tuple(re.findall(r"^  (\S+)$", events.partition("Usage:")[0], re.MULTILINE))


def trigger(event: str, url: str) -> Triggered:
    """Let it make the event happen at the Stripe of that address."""
    return run("trigger", event, "--api-base", url, "--api-key", KEY, "--api-version", VERSION)


def run(*arguments: str) -> Triggered:
    """Run it in a home of its own; it must be here."""
    command = found()
    assert command is not None, "nothing is run that is not here"
    with tempfile.TemporaryDirectory() as home:  # it would write its settings there
        environment = {"HOME": home, "XDG_CONFIG_HOME": home, "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
        done = subprocess.run(
            [command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    return Triggered(done.returncode == 0, COLOUR.sub("", done.stdout + done.stderr))
