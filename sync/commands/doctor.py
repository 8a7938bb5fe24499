"""`stripe-mongo-sync doctor`: check everything that the service depends on, and say how to repair what is wrong."""

import argparse

from stripe_mongo_sync.sync.commands.cli import Commands, command, say


def add(commands: Commands) -> None:
    """Describe the command line."""
    told = "check the key, the webhooks, the clocks and MongoDB, and say how to repair what is wrong"
    doctor = command(commands, "doctor", told, run, reads=True)
    doctor.add_argument("--url", help="the service's webhook address, if its path is not /webhooks/stripe")
    told = "let Stripe send a ping to each event destination that points here, and wait up to 10 s until it arrives. "
    told += "The service stores it as an ignored event; without --ping, doctor only reads"
    doctor.add_argument("--ping", action="store_true", help=told)


def run(given: argparse.Namespace) -> int:
    """Check everything, and print the findings."""
    from stripe_mongo_sync.sync.operator.doctor import examine

    found = examine(given.url, ping=given.ping)
    say(given, found.as_json(), *found.lines)
    return found.exit_code
