"""The page of the commands: what the program prints when each is asked for `--help`."""

import click

from tests.support.commands import every, helped
from tests.support.pages.tables import MADE

HEAD = f"""# The commands

{MADE} This is what `--help` prints. The [README](../README.md#commands) has the exit
codes, and [operations](operations.md) says when to use which command.

"""


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_section(command, context) for command, context in every())


def _section(command: click.Command, context: click.Context) -> str:
    _, *names = context.command_path.split()
    title = f"{'#' * (len(names) + 1)} {' '.join(names)}\n\n" if names else ""
    return f"{title}```text\n{helped(command, context)}\n```\n"
