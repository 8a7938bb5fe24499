"""`stripe-mongo-sync hooks`: deliver notices to the hooks of the application, and replay or drop deliveries."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta

import click

from stripe_mongo_sync.sync.commands.cli import (
    DRY_RUN,
    NEEDS_OPERATOR,
    Given,
    count,
    group,
    moment,
    say,
    seconds,
    try_out,
)
from stripe_mongo_sync.sync.process.stop import STOP, Stopped

main = group("hooks", "deliver notices to hooks; list, replay or drop deliveries")


@main.action(
    "run",
    "call the hooks that are due, once or at an interval",
    examples=("hooks run", "hooks run --every 5"),
)
@click.option("--every", type=seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM: 300, 5min")
@click.option(
    "--timeout", type=seconds, default="60", show_default=True, metavar="SECONDS", help="time limit of one call"
)
@click.option(
    "--attempts",
    type=count,
    default=15,
    show_default=True,
    metavar="N",
    help="attempts before a delivery is dead",
)
@click.option(
    "--backoff",
    type=seconds,
    default="30",
    show_default=True,
    metavar="SECONDS",
    help="wait after the first failure; it doubles with each",
)
def run(given: Given) -> int:
    """Call the hooks."""
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.database.outage import outage
    from stripe_mongo_sync.sync.logs import log
    from stripe_mongo_sync.sync.notices.deliver import Limits, deliver
    from stripe_mongo_sync.sync.notices.hooks import HOOKS

    if not HOOKS:
        say(given, {"counts": {}, "exit_code": 0}, "HOOKS names no module with a hook: there is nothing to run")
        return 0
    limits = Limits(given.timeout, given.attempts, timedelta(seconds=given.backoff))
    if given.every is None:
        code = _tell(given, deliver(limits))
        STOP.here()
        return code
    while not STOP.asked:
        try:
            counts = deliver(limits)
            if counts:  # a run that did nothing prints nothing
                _tell(given, counts)
        except PyMongoError as error:  # it may answer in the next round
            log.error("%s", outage(error))
        except Exception:
            log.exception("this run failed")
        with suppress(Stopped):
            STOP.wait(given.every)
    return 0


def _tell(given: Given, counts: Counter[str]) -> int:
    from stripe_mongo_sync.models import Delivery, DeliveryState

    code = NEEDS_OPERATOR if Delivery.objects(state=DeliveryState.DEAD).first() else 0
    text = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing is due"
    say(given, {"counts": dict(counts), "exit_code": code}, text)
    return code


@main.action("list", "list the deliveries that are pending or dead", reads=True, examples=("hooks list --json",))
def show(given: Given) -> int:
    """List the deliveries that are pending or dead."""
    from stripe_mongo_sync.sync.commands.table import tell_list
    from stripe_mongo_sync.sync.operator import deliveries

    found = [deliveries.summary(row) for row in deliveries.search()]
    heads = {"ID": "id", "STATE": "state", "AGE": "at"}
    tell_list(
        given, found, heads=heads, note=deliveries.note, line=deliveries.summary_line, nothing="nothing is pending"
    )
    return 0


@main.action(
    "replay",
    "make a dead delivery due again, with all of its attempts",
    one_of=("id", "dead_since"),
    examples=("hooks replay --dead-since 2026-11-23",),
)
@click.argument("id", required=False, help="the id of the delivery")
@click.option("--dead-since", type=moment, metavar="DATE", help="every delivery that died since then: 2026-11-23")
@DRY_RUN
def replay(given: Given) -> int:
    """Replay one delivery, or all that died since a date."""
    from stripe_mongo_sync.sync.operator import deliveries

    one = given.id is not None
    rows = [deliveries.delivery_of(given.id)] if one else deliveries.dead_since(given.dead_since)
    again = map(deliveries.replay, rows) if one else deliveries.replay_all(rows)
    if given.dry_run:
        return try_out(given, lambda: [*again])
    replayed = [*map(deliveries.summary, again)]
    say(given, replayed, *(map(deliveries.summary_line, replayed) if replayed else ["no delivery died since then"]))
    return 0


@main.action("drop", "drop a dead delivery", examples=("hooks drop 65a1:2:customer.active:shop.hooks.welcome",))
@click.argument("id", help="the id of the delivery")
@DRY_RUN
def drop(given: Given) -> int:
    """Drop a dead delivery."""
    from stripe_mongo_sync.sync.operator import deliveries

    row = deliveries.delivery_of(given.id)
    if given.dry_run:
        return try_out(given, lambda: deliveries.drop(row))
    told = deliveries.summary(deliveries.drop(row))
    say(given, told, deliveries.summary_line(told))
    return 0
