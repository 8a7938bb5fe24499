"""`stripe-mongo-sync erase`: forget a person, and keep what the books need."""

import argparse
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import command, say

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.commands.cli import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    one = command(commands, "erase", "forget a person: delete the customer at Stripe, and what tells of them here", run)
    one.add_argument("customer", help="the username, the id of the document, or cus_…; also of a deleted one")
    one.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


def run(given: argparse.Namespace) -> int:
    """Forget one."""
    from stripe_mongo_sync.sync.shop.erase import erase

    done = erase(given.customer, dry=given.dry_run)
    say(given, done.as_json(), *done.lines)
    return done.exit_code
