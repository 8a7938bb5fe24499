"""`stripe-mongo-sync payouts`: what Stripe's automatic payouts pay out, and what of that does not add up here."""

from datetime import timedelta

import click

from stripe_mongo_sync.sync.commands.cli import NEEDS_OPERATOR, Given, command, flag, moment, say
from stripe_mongo_sync.sync.process.screen import put

MONTH = timedelta(days=31)


@command(
    "payouts",
    "compare what Stripe's automatic payouts pay out with the orders, payments, refunds and disputes here",
    reads=True,
    examples=("payouts --since 2026-01-01", "payouts po_123 --csv > payout.csv"),
)
@click.argument("payout", nargs=-1, metavar="[PAYOUT]...", help="po_...; by default, all that arrive since --since")
@click.option("--since", type=moment, metavar="DATE", help="the first arrival; by default, 31 days ago")
@flag("--csv", "print every transaction as CSV")
def main(given: Given) -> int:
    """Report payouts."""
    from stripe_mongo_sync.models.rows import clock
    from stripe_mongo_sync.sync.shop.payouts import as_csv, payout_report, payouts, report_of

    since = int((given.since or clock.now() - MONTH).timestamp())
    reports = [*map(payout_report, given.payout)] if given.payout else [*map(report_of, payouts(since))]
    if given.csv:
        put(*as_csv(reports).splitlines())
    else:
        lines = [line for report in reports for line in report.lines_to_print]
        say(given, [report.as_json() for report in reports], *(lines or ["no automatic payout arrives since then"]))
    return NEEDS_OPERATOR if any(report.problems for report in reports) else 0
