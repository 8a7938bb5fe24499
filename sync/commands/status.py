"""`stripe-mongo-sync status`: show what is pending, stuck, dead or in review."""

import argparse

from stripe_mongo_sync.sync.commands.cli import Commands, command, say


def add(commands: Commands) -> None:
    """Describe the command line."""
    command(commands, "status", "show what is pending, stuck, dead or in review", run, reads=True)


def run(given: argparse.Namespace) -> int:
    """Print the facts and findings of the database."""
    from stripe_mongo_sync.sync.operator.status import status

    found = status()
    say(given, found.as_json(), *found.lines)
    return found.exit_code
