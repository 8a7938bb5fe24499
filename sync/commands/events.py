"""`stripe-mongo-sync events`: list, show, replay or ignore the events of the inbox."""

import argparse
import json
from collections import Counter

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Commands, command, count, group, moment, say

STATES = (
    "received",
    "waiting",
    "applied",
    "stale",
    "ignored",
    "dead",
)  # a test compares them with the models, whose import would take too long here


def add(commands: Commands) -> None:
    """Describe the command line."""
    actions = group(commands, "events", "list, show, replay or ignore the events of the inbox")
    listed = command(actions, "list", "list the events, newest first", show_all, reads=True)
    listed.add_argument("--state", choices=STATES)
    listed.add_argument("--type", metavar="TYPE", help="customer.updated, or customer.* (this includes thin events)")
    listed.add_argument("--object", metavar="ID", help="only events about this Stripe object")
    listed.add_argument("--limit", type=count, default=20, metavar="N")
    one = command(actions, "show", "show one event and its state", show, reads=True)
    one.add_argument("id")
    one.add_argument("--raw", action="store_true", help="print its body, too, which holds personal data")
    again = command(actions, "replay", "apply one event again, or all dead events", replay)
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", help="the id of an event, whatever its state")
    which.add_argument("--dead", action="store_true", help="every dead event")
    again.add_argument(
        "--since", type=moment, metavar="DATE", help="with --dead: only events received since then (UTC)"
    )
    again.set_defaults(refuse=again.error)
    given_up = command(actions, "ignore", "mark a dead event as ignored", ignore)
    given_up.add_argument("id")


def show_all(given: argparse.Namespace) -> int:
    """List events."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    found = inbox_admin.search(state=given.state, type=given.type, object=given.object, limit=given.limit)
    told = [inbox_admin.summary(row) for row in found]
    say(given, told, *(map(inbox_admin.summary_line, told) if told else ["no such event was received"]))
    return 0


def show(given: argparse.Namespace) -> int:
    """Show one event."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    told = inbox_admin.summary(inbox_admin.event_of(given.id), raw=given.raw)
    body = json.dumps(told["raw"], indent=2).splitlines() if given.raw else []
    lines = [f"{name}: {value}" for name, value in told.items() if name != "raw"]
    say(given, told, *lines, *body)
    return 0


def replay(given: argparse.Namespace) -> int:
    """Replay one event, or all dead events; return 1 when one could not be applied."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    if given.since is not None and not given.dead:
        given.refuse("--since goes with --dead")
    if not given.dead:
        row = inbox_admin.replay(inbox_admin.event_of(given.id))
        told = inbox_admin.summary(row)
        say(given, told, inbox_admin.summary_line(told))
        return 0 if row.state in inbox_admin.SUCCEEDED else NEEDS_OPERATOR
    counts: Counter[str] = Counter()
    failed = [inbox_admin.summary(row) for row in inbox_admin.replay_dead(given.since, counts)]
    summary = ", ".join(f"{state} {count}" for state, count in sorted(counts.items())) or "no event is dead"
    say(given, {"counts": counts, "failed": failed}, *map(inbox_admin.summary_line, failed), summary)
    return 0 if counts.keys() <= set(inbox_admin.SUCCEEDED) else NEEDS_OPERATOR


def ignore(given: argparse.Namespace) -> int:
    """Mark a dead event as ignored."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    told = inbox_admin.summary(inbox_admin.ignore(inbox_admin.event_of(given.id)))
    say(given, told, inbox_admin.summary_line(told))
    return 0
