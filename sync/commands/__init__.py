"""The commands of `python -m sync`, one file each.

A file offers `add(commands)`, which describes its command line and names the function that runs it and returns the exit
code. Exit codes are the same everywhere: 0 in order, 1 needs an operator, 2 could not look (or was not told how, or was
stopped before its end).
"""

import argparse

from stripe_mongo_sync.sync.commands import (
    backfill,
    doctor,
    endpoint,
    erase,
    events,
    hooks,
    indexes,
    installation,
    operations,
    reconcile,
    status,
    types,
)
from stripe_mongo_sync.sync.commands.line import Line

COMMANDS = (
    reconcile,
    backfill,
    status,
    doctor,
    endpoint,
    events,
    operations,
    hooks,
    erase,
    types,
    indexes,
    installation,
)


def parser() -> argparse.ArgumentParser:
    """Return the command line of all of them."""
    root = Line(prog="python -m sync", description="Keep Stripe and MongoDB as one.")
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return root
