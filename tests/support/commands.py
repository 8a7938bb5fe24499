"""Every command of the command line, as the line of it is read."""

from collections.abc import Iterator

import click

from stripe_mongo_sync.sync.commands import ROOT
from stripe_mongo_sync.sync.commands.cli import Command
from stripe_mongo_sync.sync.process.starting import SCRIPT


def every(
    command: click.Command = ROOT, name: str = SCRIPT, parent: click.Context | None = None
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield the whole line, every command and every action, each with a context of 80 columns."""
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=78, **command.context_settings
    )
    yield command, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None, each
            yield from every(found, each, context)


def commands() -> dict[str, Command]:
    """Return what can be run, by its name: `operations list`."""
    found = {context.command_path: command for command, context in every()}
    return {path.removeprefix(f"{SCRIPT} "): command for path, command in found.items() if isinstance(command, Command)}


def helped(command: click.Command, context: click.Context) -> str:
    """Return the help of a command, without colours."""
    return click.unstyle(command.get_help(context))
