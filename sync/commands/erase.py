"""`stripe-mongo-sync erase`: erase a customer's personal data, and keep what accounting needs."""

import click

from stripe_mongo_sync.sync.commands.cli import Given, command, flag, say


@command(
    "erase",
    "delete a customer at Stripe, and erase their personal data here",
    examples=("erase user@here.com --dry-run", "erase cus_123"),
)
@click.argument("customer", help="the username, the document's id, or cus_...; a deleted customer, too")
@flag("--dry-run", "show what would be done, and write nothing")
def main(given: Given) -> int:
    """Erase one customer."""
    from stripe_mongo_sync.sync.personal.erase import erase

    done = erase(given.customer, dry=given.dry_run)
    say(given, done.as_json(), *done.lines)
    return done.exit_code
