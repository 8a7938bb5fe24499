"""`stripe-mongo-sync payouts`: what Stripe's automatic payouts pay out, and what of that does not add up here."""

import argparse
from datetime import timedelta

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Commands, command, moment, say
from stripe_mongo_sync.sync.process.screen import tell

MONTH = timedelta(days=31)


def add(commands: Commands) -> None:
    """Describe the command line."""
    told = "compare what Stripe's automatic payouts pay out with the orders, payments, refunds and disputes here"
    one = command(commands, "payouts", told, run, reads=True)
    one.add_argument("payout", nargs="*", metavar="PAYOUT", help="po_…; by default, all that arrive since --since")
    one.add_argument("--since", type=moment, metavar="DATE", help="the first arrival; by default, 31 days ago")
    one.add_argument("--csv", action="store_true", help="print every transaction as CSV")


def run(given: argparse.Namespace) -> int:
    """Report payouts."""
    from stripe_mongo_sync.models.rows import clock
    from stripe_mongo_sync.sync.shop.payouts import as_csv, payout_report, payouts, report_of

    since = int((given.since or clock.now() - MONTH).timestamp())
    reports = [*map(payout_report, given.payout)] if given.payout else [*map(report_of, payouts(since))]
    if given.csv:
        tell(*as_csv(reports).splitlines())
    else:
        lines = [line for report in reports for line in report.lines_to_print]
        say(given, [report.as_json() for report in reports], *(lines or ["no automatic payout arrives since then"]))
    return NEEDS_OPERATOR if any(report.problems for report in reports) else 0
