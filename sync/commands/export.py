"""`stripe-mongo-sync export`: print everything that is kept here of a customer, as JSON."""

import argparse

from stripe_mongo_sync.sync.commands.cli import Commands, command
from stripe_mongo_sync.sync.process.screen import in_json, tell


def add(commands: Commands) -> None:
    """Describe the command line."""
    one = command(commands, "export", "print everything that is kept here of a customer, as JSON", run, reads=True)
    one.add_argument("customer", help="the username, the document's id, or cus_…; a deleted customer, too")


def run(given: argparse.Namespace) -> int:
    """Export one customer."""
    from stripe_mongo_sync.sync.personal.export import export

    tell(in_json(export(given.customer)))
    return 0
