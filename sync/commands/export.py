"""`stripe-mongo-sync export`: print everything that is kept here of a customer, as JSON."""

import click

from stripe_mongo_sync.sync.commands.cli import Given, command
from stripe_mongo_sync.sync.process.screen import in_json, put


@command(
    "export",
    "print everything that is kept here of a customer, as JSON",
    reads=True,
    examples=("export user@here.com > user.json",),
)
@click.argument("customer", help="the username, the document's id, or cus_...; a deleted customer, too")
def main(given: Given) -> int:
    """Export one customer."""
    from stripe_mongo_sync.sync.personal.export import export

    put(in_json(export(given.customer)))
    return 0
