"""`stripe-mongo-sync usage`: send usage records to Stripe's meters, and decide those whose outcome is unknown."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Given, count, group, rate, say, seconds
from stripe_mongo_sync.sync.process.limits import RATE
from stripe_mongo_sync.sync.process.screen import quoted
from stripe_mongo_sync.sync.process.stop import STOP, Stopped

if TYPE_CHECKING:
    from stripe_mongo_sync.models import UsageRecord


STATES = ("pending", "sent", "refused", "review")
main = group("usage", "send usage records, and decide those whose outcome is unknown")
RECORD = click.argument("id", help="the id of a record in review, or refused")


@main.action(
    "run", "send the usage records that are due, as each reconcile does, too", examples=("usage run --every 5min",)
)
@click.option("--every", type=seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM: 300, 5min")
@click.option(
    "--rate",
    type=rate,
    default=f"{RATE:.0f}",
    show_default=True,
    metavar="N",
    help="at most N requests to Stripe per second",
)
def run(given: Given) -> int:
    """Send what is due, once or until SIGTERM."""
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.database.outage import outage
    from stripe_mongo_sync.sync.errors import SyncError
    from stripe_mongo_sync.sync.logs import log

    if given.every is None:
        return _once(given)
    while not STOP.asked:
        try:
            _once(given)
        except SyncError as error:
            log.error("usage cannot be sent: %s", error)
        except PyMongoError as error:
            log.error("%s", outage(error))
        except Exception:
            log.exception("this run failed")
        with suppress(Stopped):
            STOP.wait(given.every)
    return 0


def _once(given: Given) -> int:
    from stripe_mongo_sync.models import UsageRecord, UsageState
    from stripe_mongo_sync.sync.shop.usage import send_usage
    from stripe_mongo_sync.sync.stripe.throttle import RUN_OUTAGE_AFTER, Throttle

    with Throttle(given.rate, retry_all=False, outage_after=RUN_OUTAGE_AFTER).active():
        counts = send_usage()
    decides = counts["failed"] or UsageRecord.objects(state=UsageState.REVIEW).first()
    code = NEEDS_OPERATOR if decides else 0
    if counts or given.every is None:
        text = ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "nothing is due"
        say(given, {"counts": dict(counts), "exit_code": code}, text)
    return code


@main.action("list", "list the usage records, the newest first", reads=True, examples=("usage list --state review",))
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"list only this state: {', '.join(STATES)}")
@click.option("--limit", type=count, default=100, show_default=True, metavar="N", help="list at most N records")
def show(given: Given) -> int:
    """List records."""
    from stripe_mongo_sync.sync.commands.table import tell_list
    from stripe_mongo_sync.sync.shop.usage import as_shown, listed

    found = [as_shown(record) for record in listed(None, given.state, None, given.limit)]
    heads = {"ID": "id", "STATE": "state", "METER": "meter", "VALUE": "value"}
    tell_list(given, found, heads=heads, note=_note, line=_line, nothing="there is no such record")
    return 0


@main.action(
    "resend",
    "send a record again: it is counted twice if Stripe had it, so look in the Dashboard first",
    examples=("usage resend 65a1b2c3d4e5f60718293a4b",),
)
@RECORD
def send_again(given: Given) -> int:
    """Send a record again."""
    from stripe_mongo_sync.sync.shop.usage import resend

    return _decided(given, resend(given.id))


@main.action(
    "mark-sent",
    "mark a record as sent, because Stripe has it, or shall not have it",
    examples=("usage mark-sent 65a1b2c3d4e5f60718293a4b",),
)
@RECORD
def accept(given: Given) -> int:
    """Mark a record as sent."""
    from stripe_mongo_sync.sync.shop.usage import mark_sent

    return _decided(given, mark_sent(given.id))


def _decided(given: Given, record: "UsageRecord") -> int:
    from stripe_mongo_sync.sync.shop.usage import as_shown

    one = as_shown(record)
    say(given, one, _line(one))
    return 0


def _line(one: dict[str, Any]) -> str:
    return f"{one['id']} {one['state']}: {quoted(one['meter'])} {one['value']} {_note(one)}"


def _note(one: dict[str, Any]) -> str:
    why = f", {quoted(one['reason'])}" if one["reason"] else ""
    return f"of customer {one['customer']}{why}"
