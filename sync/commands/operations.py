"""`stripe-mongo-sync operations`: settle by hand what needs a person."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, command, count, group, say
from stripe_mongo_sync.sync.errors import NotPossible

if TYPE_CHECKING:
    from stripe_mongo_sync.sync.commands.cli import Commands


def add(commands: "Commands") -> None:
    """Describe the command line."""
    actions = group(commands, "operations", "settle by hand what needs a person")
    listed = command(
        actions, "list", "every document that is pending, has twins, or is in review; dead events", show, reads=True
    )
    listed.add_argument("--kind", type=kind, metavar="KIND", help="only these: customer, event, …")
    listed.add_argument("--verb", metavar="VERB", help="only with this operation: create, update, …")
    listed.add_argument("--review", action="store_true", help="only what is in review")
    listed.add_argument("--limit", type=count, metavar="N", help="so many; all, unless told")
    listed.add_argument("--starting-after", metavar="ID", help="what follows the entry of this id")
    for name, told in (
        ("retry", "look again, and send again only where the table would"),
        ("roll-back", "give up what is pending: a creation, a change, or the undoing of twins"),
        ("link", "say that this Stripe object is this document's: it is read, and compared with what was staged"),
    ):
        one = command(actions, name, told, run)
        one.add_argument("id", help="the id of the document")
        if name == "link":
            one.add_argument("stripe_id", help="the id of the Stripe object")
            one.add_argument("--force", action="store_true", help="link it although it differs from what was staged")
    command(actions, "confirm", "release the brakes after a run met its cap of undos and deletions", confirm)


def kind(text: str) -> str:
    """Return the kind of a document, or `event`."""
    from stripe_mongo_sync.models import kinds

    if text not in {*kinds(), "event"}:
        raise argparse.ArgumentTypeError("there is no such kind: see `types`; `event` is one here, too")
    return text


def show(given: argparse.Namespace) -> int:
    """List what is unfinished."""
    from stripe_mongo_sync.models.base.input import Invalid
    from stripe_mongo_sync.sync.operator import operations

    wanted = {"kind": given.kind, "verb": given.verb, "review": given.review}
    try:
        if given.limit is None:
            pages = operations.pages(after=given.starting_after, **wanted)
        else:
            pages = iter([operations.page(limit=given.limit, after=given.starting_after, **wanted)[0]])
        if given.json:
            say(given, [one for page in pages for one in page])
            return 0
        for number, page in enumerate(pages):  # each is printed as it is read: after an outage there are many
            lines = [] if page or number else ["nothing is pending"]
            if not say(given, page, *map(operations.line, page), *lines):
                break
    except Invalid as error:
        raise NotPossible(str(error)) from error
    return 0


def run(given: argparse.Namespace) -> int:
    """Do one of the actions."""
    from stripe_mongo_sync.sync.operator import operations
    from stripe_mongo_sync.sync.operator.link import Differs

    extra = {"stripe_id": given.stripe_id, "force": given.force} if given.action == "link" else {}
    try:
        one = operations.told(operations.ACTIONS[given.action](given.id, **extra))
    except Differs as error:
        shown = [asdict(difference) for difference in error.differences]
        say(given, {"error": str(error), "differences": shown}, str(error), *map(str, error.differences))
        return NEEDS_OPERATOR
    say(given, one, operations.line(one))
    return NEEDS_OPERATOR if one["review"] else 0


def confirm(given: argparse.Namespace) -> int:
    """Release the brakes."""
    from stripe_mongo_sync.sync.operator import operations

    operations.confirm()
    say(given, {"confirmed": True}, "the brakes are released")
    return 0
