"""`stripe-mongo-sync operations`: list unfinished documents, and resolve those that need an operator."""

import argparse
from dataclasses import asdict

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Commands, command, count, group, say
from stripe_mongo_sync.sync.errors import NotPossible
from stripe_mongo_sync.sync.process.screen import tell
from stripe_mongo_sync.sync.process.starting import PROGRAM

DEPRECATED = "confirm"  # the name that `reset-breaker` had


def add(commands: Commands) -> None:
    """Describe the command line."""
    actions = group(commands, "operations", "list unfinished documents, and resolve those that need an operator")
    listed = command(
        actions,
        "list",
        "list the documents that are pending, have orphans or are in review, and the dead events",
        show,
        reads=True,
    )
    listed.add_argument("--kind", type=kind, metavar="KIND", help="list only this kind: customer, event, …")
    listed.add_argument("--verb", metavar="VERB", help="list only documents with this operation: create, update, …")
    listed.add_argument("--review", action="store_true", help="list only documents in review")
    listed.add_argument("--limit", type=count, metavar="N", help="list at most N entries; by default all")
    listed.add_argument("--starting-after", metavar="ID", help="begin after the entry with this id")
    for name, told in (
        ("retry", "read the object at Stripe again, and resend the operation only if that is safe"),
        ("roll-back", "give up what is pending: a creation, a change, or the undo of orphans"),
        ("link", "read a Stripe object, compare it with the staged operation, and link it to this document"),
    ):
        one = command(actions, name, told, run)
        one.add_argument("id", help="the id of the document")
        if name == "link":
            one.add_argument("stripe_id", help="the id of the Stripe object")
            one.add_argument(
                "--force", action="store_true", help="link it although it differs from the staged operation"
            )
    told = "reset the circuit breaker, which opened when a run reached its limit of undos and deletions"
    command(actions, "reset-breaker", told, reset_breaker)
    command(actions, DEPRECATED, "deprecated: use reset-breaker", reset_breaker)


def kind(text: str) -> str:
    """Return the kind of a document, or `event`."""
    from stripe_mongo_sync.models import kinds

    if text not in {*kinds(), "event"}:
        raise argparse.ArgumentTypeError("is not a kind: `types` lists the kinds, and `event` is one here, too")
    return text


def show(given: argparse.Namespace) -> int:
    """List the unfinished documents, and the dead events."""
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
    """Carry out one of the actions on a document."""
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


def reset_breaker(given: argparse.Namespace) -> int:
    """Reset the circuit breaker."""
    from stripe_mongo_sync.sync.operator import operations

    if given.action == DEPRECATED:
        tell(f"`{PROGRAM} operations {DEPRECATED}` is deprecated: use `operations reset-breaker`", error=True)
    operations.reset_breaker()
    say(given, {"confirmed": True}, "the circuit breaker is reset: the next run undoes and deletes again")
    return 0
