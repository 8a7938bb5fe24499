"""`stripe-mongo-sync usage`: send usage records to Stripe's meters, and decide those whose outcome is unknown."""

import argparse
from contextlib import suppress
from typing import Any

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Commands, command, count, group, rate, say, seconds
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.limits import RATE
from stripe_mongo_sync.sync.process.screen import quoted
from stripe_mongo_sync.sync.process.stop import STOP, Stopped


def add(commands: Commands) -> None:
    """Describe the command line."""
    actions = group(commands, "usage", "send usage records, and decide those whose outcome is unknown")
    running = command(actions, "run", "send the usage records that are due, as each reconcile does, too", run)
    running.add_argument("--every", type=seconds, metavar="SECONDS", help="repeat at this interval until SIGTERM")
    told = f"at most N requests to Stripe per second; {RATE:.0f}"
    running.add_argument("--rate", type=rate, default=RATE, metavar="N", help=told)
    listing = command(actions, "list", "list the usage records, the newest first", show, reads=True)
    listing.add_argument("--state", choices=("pending", "sent", "refused", "review"), help="list only this state")
    listing.add_argument("--limit", type=count, default=100, metavar="N", help="list at most N; by default 100")
    for name, told in (
        ("resend", "send a record again: it is counted twice if Stripe had it, so look in the Dashboard first"),
        ("mark-sent", "mark a record as sent, because Stripe has it, or shall not have it"),
    ):
        command(actions, name, told, decide).add_argument("id", help="the id of a record in review, or refused")


def run(given: argparse.Namespace) -> int:
    """Send what is due, once or until SIGTERM."""
    from pymongo.errors import PyMongoError

    from stripe_mongo_sync.sync.errors import SyncError

    if given.every is None:
        return _once(given)
    while not STOP.asked:
        try:
            _once(given)
        except SyncError as error:
            log.error("usage cannot be sent: %s", error)
        except PyMongoError as error:
            log.error("MongoDB does not answer: %s", type(error).__name__)
        except Exception:
            log.exception("this run failed")
        with suppress(Stopped):
            STOP.wait(given.every)
    return 0


def _once(given: argparse.Namespace) -> int:
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


def show(given: argparse.Namespace) -> int:
    """List records."""
    from stripe_mongo_sync.sync.shop.usage import as_shown, listed

    found = [as_shown(record) for record in listed(None, given.state, None, given.limit)]
    say(given, found, *(map(_line, found) if found else ["there is no such record"]))
    return 0


def decide(given: argparse.Namespace) -> int:
    """Send a record again, or mark it as sent."""
    from stripe_mongo_sync.sync.shop.usage import as_shown, mark_sent, resend

    one = as_shown((resend if given.action == "resend" else mark_sent)(given.id))
    say(given, one, _line(one))
    return 0


def _line(one: dict[str, Any]) -> str:
    why = f", {quoted(one['reason'])}" if one["reason"] else ""
    return f"{one['id']} {one['state']}: {quoted(one['meter'])} {one['value']} of customer {one['customer']}{why}"
