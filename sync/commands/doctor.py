"""`stripe-mongo-sync doctor`: check everything that the service depends on, and say how to repair what is wrong."""

import argparse

from stripe_mongo_sync.sync.commands.cli import Commands, command, say


def add(commands: Commands) -> None:
    """Describe the command line."""
    told = "check the key, the webhooks, the clocks and MongoDB, and say how to repair what is wrong"
    doctor = command(commands, "doctor", told, run, reads=True)
    doctor.add_argument("--url", help="the service's webhook address, if its path is not /webhooks/stripe")


def run(given: argparse.Namespace) -> int:
    """Check everything, and print the findings."""
    from stripe_mongo_sync.sync.operator.doctor import examine

    found = examine(given.url)
    say(given, found.as_json(), *found.lines)
    return found.exit_code
