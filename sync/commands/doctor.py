"""`stripe-mongo-sync doctor`: check everything that the service depends on, and say how to repair what is wrong."""

import click

from stripe_mongo_sync.sync.commands.cli import Given, command, say


@command(
    "doctor",
    "check the key, the webhooks, the clocks and MongoDB, and say how to repair what is wrong",
    reads=True,
    examples=("doctor", "doctor --url https://shop.example/pay/webhooks"),
)
@click.option("--url", help="the service's webhook address, if its path is not /webhooks/stripe")
def main(given: Given) -> int:
    """Check everything, and print the findings."""
    from stripe_mongo_sync.sync.operator.doctor import examine

    found = examine(given.url)
    say(given, found.as_json(), *found.lines)
    return found.exit_code
