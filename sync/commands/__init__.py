"""The commands of `stripe-mongo-sync`, one file each.

Each file defines `add(commands)`, which describes its command line and names the function that runs it and returns the
exit code. Only that function imports what it runs, so `--help` does not wait for MongoEngine and stripe-python.
Exit codes are the same everywhere: 0 in order, 1 needs an operator, 2 could not check everything (also for a wrong
argument, or when it was stopped before its end).
"""

import argparse

from stripe_mongo_sync import __version__
from stripe_mongo_sync.sync.commands import (
    backfill,
    doctor,
    endpoint,
    erase,
    events,
    export,
    hooks,
    indexes,
    installation,
    migrate,
    operations,
    payouts,
    reconcile,
    serve,
    status,
    types,
    usage,
)
from stripe_mongo_sync.sync.commands.cli import Line
from stripe_mongo_sync.sync.process.starting import PROGRAM, SCRIPT

COMMANDS = (
    serve,
    reconcile,
    backfill,
    status,
    doctor,
    endpoint,
    events,
    operations,
    hooks,
    usage,
    payouts,
    export,
    erase,
    types,
    indexes,
    migrate,
    installation,
)


def parser() -> argparse.ArgumentParser:
    """Return the command line of all commands."""
    root = Line(prog=PROGRAM, description="Keep Stripe and MongoDB as one.")
    root.add_argument("--version", action="version", version=f"{SCRIPT} {__version__}")
    root.set_defaults(takes_more=False)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return root
