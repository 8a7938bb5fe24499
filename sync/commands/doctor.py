"""`stripe-mongo-sync doctor`: check everything that the service depends on, and say how to repair what is wrong."""

import click

from stripe_mongo_sync.sync.commands.cli import Given, command, flag, say


@command(
    "doctor",
    "check the key, the webhooks, the clocks and MongoDB, and say how to repair what is wrong",
    reads=True,
    examples=("doctor", "doctor --url https://shop.example/pay/webhooks", "doctor --ping"),
)
@click.option("--url", help="the service's webhook address, if its path is not /webhooks/stripe")
@flag(
    "--ping",
    "let Stripe send a ping to each event destination that points here, and wait up to 10 s until it arrives: the "
    "service stores it as an ignored event; without this option, doctor only reads",
)
def main(given: Given) -> int:
    """Check everything, and print the findings."""
    from stripe_mongo_sync.sync.operator.doctor import examine

    found = examine(given.url, ping=given.ping)
    say(given, found.as_json(), *found.lines)
    return found.exit_code
