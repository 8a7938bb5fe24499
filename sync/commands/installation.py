"""`stripe-mongo-sync new-installation`: give a cloned database an identity of its own."""

import argparse

from stripe_mongo_sync.sync.commands.cli import Commands, command, say


def add(commands: Commands) -> None:
    """Describe the command line."""
    command(commands, "new-installation", "give a cloned database an identity of its own", run)


def run(given: argparse.Namespace) -> int:
    """Give the database a new installation id."""
    from stripe_mongo_sync.models.state import State

    id = State.renew_installation()
    say(given, {"installation": id}, f"this database is now installation {id}: restart every process that uses it")
    return 0
