"""`stripe-mongo-sync events`: list, show, replay or ignore the events of the inbox."""

import json
from collections import Counter

import click

from stripe_mongo_sync.sync.commands.cli import (
    DRY_RUN,
    NEEDS_OPERATOR,
    Given,
    count,
    flag,
    group,
    moment,
    refuse,
    say,
    try_out,
)
from stripe_mongo_sync.sync.process.screen import spoken

STATES = (
    "received",
    "waiting",
    "applied",
    "stale",
    "ignored",
    "dead",
)  # a test compares them with the models, whose import would take too long here


main = group("events", "list, show, replay or ignore the events of the inbox")


@main.action(
    "list",
    "list the events, newest first",
    reads=True,
    examples=("events list --state dead", "events list --type 'customer.*' --limit 5"),
)
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"only this state: {', '.join(STATES)}")
@click.option("--type", metavar="TYPE", help="customer.updated, or customer.* (this includes thin events)")
@click.option("--object", metavar="ID", help="only events about this Stripe object")
@click.option("--limit", type=count, default=20, show_default=True, metavar="N", help="at most N events")
def show_all(given: Given) -> int:
    """List events."""
    from stripe_mongo_sync.sync.commands.table import tell_list
    from stripe_mongo_sync.sync.operator import inbox_admin

    found = inbox_admin.search(state=given.state, type=given.type, object=given.object, limit=given.limit)
    told = [inbox_admin.summary(row) for row in found]
    heads = {"ID": "id", "TYPE": "type", "STATE": "state", "AGE": "received_at"}
    line, nothing = inbox_admin.summary_line, "no such event was received"
    tell_list(given, told, heads=heads, note=inbox_admin.note, line=line, nothing=nothing)
    return 0


@main.action("show", "show one event and its state", reads=True, examples=("events show evt_123 --raw",))
@click.argument("id", help="evt_...")
@flag("--raw", "print its body, too, which holds personal data")
def show(given: Given) -> int:
    """Show one event."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    told = inbox_admin.summary(inbox_admin.event_of(given.id), raw=given.raw)
    body = json.dumps(told["raw"], indent=2).splitlines() if given.raw else []
    lines = [f"{name}: {spoken(value)}" for name, value in told.items() if name != "raw"]
    say(given, told, *lines, *body)
    return 0


@main.action(
    "replay",
    "apply one event again, or all dead events",
    one_of=("id", "dead"),
    examples=("events replay evt_123", "events replay --dead --since 2026-01-31"),
)
@click.argument("id", required=False, help="the id of an event, whatever its state")
@flag("--dead", "every dead event")
@click.option("--since", type=moment, metavar="DATE", help="with --dead: only events received since then (UTC)")
@DRY_RUN
def replay(given: Given) -> int:
    """Replay one event, or all dead events; return 1 when one could not be applied."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    if given.since is not None and not given.dead:
        raise refuse(given, "--since goes with --dead.")
    if not given.dead:
        row = inbox_admin.event_of(given.id)
        if given.dry_run:
            return try_out(given, lambda: inbox_admin.replay(row))
        row = inbox_admin.replay(row)
        told = inbox_admin.summary(row)
        say(given, told, inbox_admin.summary_line(told))
        return 0 if row.state in inbox_admin.SUCCEEDED else NEEDS_OPERATOR
    counts: Counter[str] = Counter()
    if given.dry_run:
        return try_out(given, lambda: [*inbox_admin.replay_dead(given.since, counts)])
    failed = [inbox_admin.summary(row) for row in inbox_admin.replay_dead(given.since, counts)]
    summary = ", ".join(f"{state} {count}" for state, count in sorted(counts.items())) or "no event is dead"
    say(given, {"counts": counts, "failed": failed}, *map(inbox_admin.summary_line, failed), summary)
    return 0 if counts.keys() <= set(inbox_admin.SUCCEEDED) else NEEDS_OPERATOR


@main.action("ignore", "mark a dead event as ignored", examples=("events ignore evt_123",))
@click.argument("id", help="evt_...")
@DRY_RUN
def ignore(given: Given) -> int:
    """Mark a dead event as ignored."""
    from stripe_mongo_sync.sync.operator import inbox_admin

    row = inbox_admin.event_of(given.id)
    if given.dry_run:
        return try_out(given, lambda: inbox_admin.ignore(row))
    told = inbox_admin.summary(inbox_admin.ignore(row))
    say(given, told, inbox_admin.summary_line(told))
    return 0
