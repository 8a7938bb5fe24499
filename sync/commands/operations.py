"""`python -m sync operations`: settle by hand what needs a person."""

import argparse
from typing import TYPE_CHECKING

from models.event import EventState
from sync import operations
from sync.commands.line import NEEDS_OPERATOR, command, group, say

if TYPE_CHECKING:
    from sync.commands.line import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    actions = group(commands, "operations", "settle by hand what needs a person")
    command(actions, "list", "every document that is pending, has twins, or is in review; every dead event", show)
    for name, act in operations.ACTIONS.items():
        one = command(actions, name, (act.__doc__ or "").splitlines()[0], run)
        one.add_argument("id", help="the id of the document, or of an event")
        if name == "link":
            one.add_argument("stripe_id", help="the id of the Stripe object")
    command(actions, "confirm", "release the brakes after a run met its cap of undos and deletions", confirm)


def show(given: argparse.Namespace) -> int:
    """List what is unfinished."""
    found = operations.listed()
    say(given, found, "\n".join(operations.line(one) for one in found) or "nothing is pending")
    return 0


def run(given: argparse.Namespace) -> int:
    """Do one of the actions."""
    extra = [given.stripe_id] if given.action == "link" else []
    one = operations.shown(operations.ACTIONS[given.action](given.id, *extra))
    say(given, one, operations.line(one))
    return NEEDS_OPERATOR if one["review"] or one["status"] == EventState.DEAD else 0


def confirm(given: argparse.Namespace) -> int:
    """Release the brakes."""
    operations.confirm()
    say(given, {"confirmed": True}, "the brakes are released")
    return 0
