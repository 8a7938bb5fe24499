"""`stripe-mongo-sync hooks`: deliver notices to the hooks of the application, and replay or drop deliveries."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

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
from stripe_mongo_sync.sync.errors import NotFound, NotPossible
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.screen import quoted, word
from stripe_mongo_sync.sync.process.stop import STOP, Stopped

if TYPE_CHECKING:
    from stripe_mongo_sync.models import Delivery


main = group("hooks", "deliver notices to hooks; list, replay or drop deliveries")


@main.action(
    "run",
    "call the hooks that are due, once or at an interval",
    examples=("hooks run", "hooks run --every 5"),
)
@click.option("--every", type=seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM")
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
            log.error("MongoDB does not answer: %s", type(error).__name__)
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


@main.action("list", "list the deliveries that are pending or dead", reads=True)
def show(given: Given) -> int:
    """List the deliveries that are pending or dead."""
    from stripe_mongo_sync.models import Delivery, DeliveryState

    found = [_shown(row) for row in Delivery.objects(state__ne=DeliveryState.DONE).order_by("at")]
    say(given, found, *(map(_line, found) if found else ["nothing is pending"]))
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
    from stripe_mongo_sync.models import Delivery, DeliveryState

    if given.id is not None:
        rows = [_row(given.id)]
    else:
        rows = list(Delivery.objects(state=DeliveryState.DEAD, dead_at__gte=given.dead_since))
    if given.dry_run:
        return try_out(given, lambda: [row.replay() for row in rows])
    replayed = [_shown(again) for row in rows if (again := row.replay())]
    if given.id is not None and not replayed:
        raise NotPossible("The delivery has just changed: see it in `hooks list`, and try again.")
    say(given, replayed, *(map(_line, replayed) if replayed else ["no delivery died since then"]))
    return 0


@main.action("drop", "drop a dead delivery")
@click.argument("id", help="the id of the delivery")
@DRY_RUN
def drop(given: Given) -> int:
    """Drop a dead delivery."""
    row = _row(given.id)
    if given.dry_run:
        return try_out(given, lambda: _dropped(row))
    told = _shown(_dropped(row))
    say(given, told, _line(told))
    return 0


def _dropped(row: "Delivery") -> "Delivery":
    from stripe_mongo_sync.models import DeliveryState

    if row.state != DeliveryState.DEAD:
        raise NotPossible(f"Delivery {row.id} is {row.state}, and only dead deliveries can be dropped.")
    dropped = row.succeed(f"given up by an operator; {row.reason}", bare="given up by an operator")
    if dropped is None:
        raise NotPossible("The delivery has just changed: see it in `hooks list`, and try again.")
    return dropped


def _row(id: str) -> "Delivery":
    from stripe_mongo_sync.models import Delivery

    row: Delivery | None = Delivery.objects(id=id).first()
    if row is None:
        raise NotFound("There is no such delivery: see `hooks list`.")
    return row


def _shown(row: "Delivery") -> dict[str, Any]:
    return {
        "id": row.id,
        "hook": row.hook,
        "notice": row.notice,
        "name": row.name,
        "at": row.occurred_at,
        "occurred_at": row.occurred_at,
        "state": row.state,
        "attempts": row.attempts,
        "due": row.due_at,
        "due_reason": row.due_reason,
        "dead_at": row.dead_at,
        "replays": row.replays,
        "error": row.reason,
        "reason": row.reason,
    }


def _line(one: dict[str, Any]) -> str:
    told = [f"{name} {one[name]}" for name in ("attempts", "due", "replays") if one[name]]
    told += [f"error {quoted(one['error'])}"] if one["error"] else []
    return f"{word(one['id'])} {one['state']}: {', '.join(told) or 'due'}"
