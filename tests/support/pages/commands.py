"""The page of the commands: what the program prints when each is asked for `--help`."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from unittest.mock import patch

from stripe_mongo_sync.sync.__main__ import main
from tests.support.pages.tables import MADE

HEAD = f"""# The commands

{MADE} This is what `--help` prints. The [README](../README.md#commands) has the exit
codes, and [operations](operations.md) says when to use which command.

"""
WIDTH = "100"  # characters in a line
LISTED = re.compile(r"^(?:  (?:COMMAND|ACTION)|Commands:)\n((?:^ .*\n)+)", re.MULTILINE)  # argparse's, or click's
NAME = re.compile(r"^ {2,4}([a-z][a-z-]+)\b", re.MULTILINE)


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_sections())


def _sections(*command: str) -> Iterator[str]:
    told = help_of(*command)
    title = f"{'#' * (len(command) + 1)} {' '.join(command)}\n\n" if command else ""
    yield f"{title}```text\n{told}```\n"
    for name in inner(told):
        yield from _sections(*command, name)


def help_of(*command: str) -> str:
    """Return the help of a command, or of all."""
    printed = io.StringIO()
    with patch.dict(os.environ, COLUMNS=WIDTH), redirect_stdout(printed), suppress(SystemExit):
        main([*command, "--help"])
    return printed.getvalue()


def inner(told: str) -> list[str]:
    """Return the commands that a help lists."""
    return [name for listed in LISTED.findall(told) for name in NAME.findall(listed)]
