"""`stripe-mongo-sync doctor`: look at everything that the service rests on, and say what to do about what is wrong."""

import argparse
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import command, say

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.commands.cli import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    told = "look at the key, the webhooks, the clocks and MongoDB, and say what to do"
    doctor = command(commands, "doctor", told, run, reads=True)
    doctor.add_argument("--url", help="where Stripe reaches the service, if its path is not /webhooks/stripe")


def run(given: argparse.Namespace) -> int:
    """Examine everything."""
    from stripe_mongo_sync.sync.operator.doctor import examine

    found = examine(given.url)
    say(given, found.as_json(), *found.lines)
    return found.exit_code
