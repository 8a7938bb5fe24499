"""`stripe-mongo-sync status`: tell what is pending, stuck, drifted or in review."""

import argparse
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import command, say

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.commands.cli import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    command(commands, "status", "tell what is pending, stuck, drifted or in review", run, reads=True)


def run(given: argparse.Namespace) -> int:
    """Show how things stand."""
    from stripe_mongo_sync.sync.operator.status import status

    found = status()
    say(given, found.as_json(), *found.lines)
    return found.exit_code
