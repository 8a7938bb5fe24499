"""The commands of `stripe-mongo-sync`, one file each, which defines `main`.

The top of a file describes its command line; only the function that runs imports what it runs, so `--help` does not
wait for MongoEngine and stripe-python. Exit codes are the same everywhere: 0 in order, 1 needs an operator, 2 could not
check everything (also for a wrong argument, or when it was stopped before its end).
"""

import click

from stripe_mongo_sync import __version__
from stripe_mongo_sync.sync.commands.cli import HELP, Root
from stripe_mongo_sync.sync.process.screen import tell
from stripe_mongo_sync.sync.process.starting import SCRIPT

SECTIONS = {
    "Run": {
        "serve": "serve the API and the webhooks with gunicorn",
        "reconcile": "apply missed events, and resolve unfinished documents",
        "hooks": "deliver notices to hooks; list, replay or drop deliveries",
        "usage": "send usage records; decide those that are in doubt",
    },
    "Look": {
        "status": "show what is pending, stuck, dead or in review",
        "doctor": "check all that the service depends on",
        "payouts": "compare Stripe's payouts with what is known here",
        "types": "list the types that are stored, and their events",
    },
    "Repair": {
        "operations": "list unfinished documents, and resolve them",
        "events": "list, show, replay or ignore the events of the inbox",
    },
    "Personal data": {
        "export": "print everything that is kept of a customer",
        "erase": "erase a customer's personal data",
    },
    "Set up and upgrade": {
        "endpoint": "create, list, update, roll or delete webhook endpoints",
        "backfill": "copy an existing Stripe account into MongoDB",
        "indexes": "build the indexes that are missing",
        "migrate": "rewrite what an older version stored",
        "new-installation": "give a cloned database an identity of its own",
        "completion": "print a script that completes commands in a shell",
    },
}


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        tell(f"{SCRIPT} {__version__}")
        ctx.exit()


ROOT = Root(
    sections=SECTIONS,
    package=__name__,
    help="keep Stripe and MongoDB as one",
    epilog="Exit codes: 0 in order, 1 needs an operator, 2 could not check everything.",
    context_settings={HELP: ["-h", "--help"]},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="show the version",
        )
    ],
)
