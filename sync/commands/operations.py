"""`stripe-mongo-sync operations`: list unfinished documents, and resolve those that need an operator."""

from dataclasses import asdict
from functools import partial
from typing import Any

import click

from stripe_mongo_sync.sync.commands.cli import (
    CANNOT_CHECK,
    DRY_RUN,
    NEEDS_OPERATOR,
    Given,
    count,
    flag,
    group,
    say,
    try_out,
)
from stripe_mongo_sync.sync.process.screen import tell
from stripe_mongo_sync.sync.process.starting import PROGRAM

DEPRECATED = "confirm"  # the name that `reset-breaker` had
main = group("operations", "list unfinished documents, and resolve those that need an operator")
DOCUMENT = click.argument("id", help="the id of the document")


def kind(text: str) -> str:
    """Return the kind of a document, or `event`."""
    from stripe_mongo_sync.models import kinds

    if text not in {*kinds(), "event"}:
        raise click.BadParameter("is not a kind: `types` lists the kinds, and `event` is one here, too")
    return text


@main.action(
    "list",
    "list the documents that are pending, have orphans or are in review, and the dead events",
    reads=True,
    examples=("operations list --review", "operations list --kind customer --limit 10"),
)
@click.option("--kind", type=kind, metavar="KIND", help="list only this kind: customer, event, ...")
@click.option("--verb", metavar="VERB", help="list only documents with this operation: create, update, ...")
@flag("--review", "list only documents in review")
@click.option("--limit", type=count, metavar="N", help="list at most N entries; by default all")
@click.option("--starting-after", metavar="ID", help="begin after the entry with this id")
def show_all(given: Given) -> int:
    """List the unfinished documents, and the dead events."""
    from stripe_mongo_sync.sync.commands.table import tell_list
    from stripe_mongo_sync.sync.operator import operations

    told = partial(
        tell_list,
        given,
        heads={"KIND": "kind", "ID": "id", "STATUS": "status", "AGE": "since"},
        note=operations.note,
        line=operations.line,
        nothing="nothing is pending",
    )
    wanted = {"kind": given.kind, "verb": given.verb, "review": given.review}
    if given.limit is None:
        pages = operations.pages(after=given.starting_after, **wanted)
    else:
        pages = iter([operations.page(limit=given.limit, after=given.starting_after, **wanted)[0]])
    if given.json:
        pages = iter([[one for page in pages for one in page]])
    for number, page in enumerate(pages):  # each is printed as it is read: after an outage there are many
        if not told(page, goes_on=number > 0):
            break
    return 0


@main.action(
    "show",
    "show what was staged, what Stripe has, and what each remedy would do",
    reads=True,
    examples=("operations show 65a1b2c3d4e5f60718293a4b",),
)
@click.argument("id", help="an id of `operations list`: of a document, or evt_...")
def show(given: Given) -> int:
    """Show everything of one operation; return 2 when Stripe could not be read."""
    from stripe_mongo_sync.sync.operator.views.show import everything, is_whole, lines

    told = everything(given.id)
    say(given, told, *lines(told))
    return 0 if is_whole(told) else CANNOT_CHECK


@main.action(
    "retry",
    "read the object at Stripe again, and resend the operation only if that is safe",
    examples=("operations retry 65a1b2c3d4e5f60718293a4b --dry-run", "operations retry 65a1b2c3d4e5f60718293a4b"),
)
@DOCUMENT
@DRY_RUN
def retry(given: Given) -> int:
    """Retry."""
    return _resolved(given, "retry")


@main.action(
    "roll-back",
    "give up what is pending: a creation, a change, or the undo of orphans",
    examples=("operations roll-back 65a1b2c3d4e5f60718293a4b",),
)
@DOCUMENT
@DRY_RUN
def roll_back(given: Given) -> int:
    """Roll back."""
    return _resolved(given, "roll-back")


@main.action(
    "link",
    "read a Stripe object, compare it with the staged operation, and link it to this document",
    examples=("operations link 65a1b2c3d4e5f60718293a4b cus_123",),
)
@DOCUMENT
@click.argument("stripe_id", help="the id of the Stripe object")
@flag("--force", "link it although it differs from the staged operation")
@DRY_RUN
def link(given: Given) -> int:
    """Link."""
    return _resolved(given, "link", stripe_id=given.stripe_id, force=given.force)


def _resolved(given: Given, action: str, **more: Any) -> int:
    """Carry out one of the actions on a document."""
    from stripe_mongo_sync.sync.operator import operations
    from stripe_mongo_sync.sync.operator.link import Differs

    act = partial(operations.ACTIONS[action], given.id, **more)
    try:
        if given.dry_run:
            return try_out(given, act)
        one = operations.told(act())
    except Differs as error:
        shown = [asdict(difference) for difference in error.differences]
        say(given, {"error": str(error), "differences": shown}, str(error), *map(str, error.differences))
        return NEEDS_OPERATOR
    say(given, one, operations.line(one))
    return NEEDS_OPERATOR if one["review"] else 0


@main.action(
    "reset-breaker",
    "reset the circuit breaker, which opened when a run reached its limit of undos and deletions",
    examples=("reconcile --full --dry-run", "operations reset-breaker"),
)
@DRY_RUN
def reset_breaker(given: Given) -> int:
    """Reset the circuit breaker."""
    from stripe_mongo_sync.sync.operator import operations

    if given.dry_run:
        return try_out(given, operations.reset_breaker)
    operations.reset_breaker()
    say(given, {"confirmed": True}, "the circuit breaker is reset: the next run undoes and deletes again")
    return 0


@main.action(DEPRECATED, "deprecated: use reset-breaker", examples=("operations reset-breaker",))
@DRY_RUN
def confirm(given: Given) -> int:
    """Reset the circuit breaker, by its old name."""
    tell(f"`{PROGRAM} operations {DEPRECATED}` is deprecated: use `operations reset-breaker`", error=True)
    return reset_breaker.run(given)
