"""`stripe-mongo-sync status`: show what is pending, stuck, dead or in review."""

from stripe_mongo_sync.sync.commands.cli import Given, command, say


@command("status", "show what is pending, stuck, dead or in review", reads=True, examples=("status", "status --json"))
def main(given: Given) -> int:
    """Print the facts and findings of the database."""
    from stripe_mongo_sync.sync.operator.status import status

    found = status()
    say(given, found.as_json(), *found.lines)
    return found.exit_code
