"""`stripe-mongo-sync erase`: erase a customer's personal data, and keep what accounting needs."""

import argparse

from stripe_mongo_sync.sync.commands.cli import Commands, command, say


def add(commands: Commands) -> None:
    """Describe the command line."""
    one = command(commands, "erase", "delete a customer at Stripe, and erase their personal data here", run)
    one.add_argument("customer", help="the username, the document's id, or cus_…; a deleted customer, too")
    one.add_argument("--dry-run", action="store_true", help="show what would be done, and write nothing")


def run(given: argparse.Namespace) -> int:
    """Erase one customer."""
    from stripe_mongo_sync.sync.personal.erase import erase

    done = erase(given.customer, dry=given.dry_run)
    say(given, done.as_json(), *done.lines)
    return done.exit_code
