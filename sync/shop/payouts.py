"""Payout reports: what each automatic payout pays out, compared with the orders, payments, refunds and disputes here.

Stripe says which balance transactions an automatic payout consists of, and of no other payout
(docs.stripe.com/payouts/reconciliation). Amounts are in the currency's minor unit; a fee lowers the net amount.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from stripe_mongo_sync.models import Customer, Order, PaymentIntent, kinds
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import CannotReadStripe, NotFound, NotPossible

TRANSACTIONS = "/v1/balance_transactions"
# The object behind a transaction, by the transaction's type: its kind, and the field with its amount, which the
# transaction may count negatively. A transaction of another type (a fee, a reserve) is of no object here.
SOURCES = {
    "charge": ("charge", "amount_captured"),
    "payment": ("charge", "amount_captured"),
    "refund": ("refund", "amount"),
    "payment_refund": ("refund", "amount"),
    "refund_failure": ("refund", "amount"),
    "adjustment": ("dispute", "amount"),
}
OF_DISPUTES = ("du_", "dp_")  # Stripe corrects balances by adjustments, too, which are of no dispute
ITSELF = ("payout", "payout_cancel", "payout_failure")  # the types of a payout's own transactions
UNPAID = {
    *(PaymentStatus.PENDING, PaymentStatus.AWAITING_PAYMENT, PaymentStatus.FAILED),
    *(PaymentStatus.EXPIRED, PaymentStatus.CANCELED),
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a text for a formula
Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One balance transaction of a payout, and whose it is here."""

    balance_transaction: str
    type: str
    reporting_category: str | None
    created: int  # Stripe's second
    currency: str
    amount: int
    fee: int
    net: int
    source: str | None  # Stripe's id of the charge, refund, dispute, …
    payment_intent: str | None = None
    order: str | None = None  # the id of our document
    username: str | None = None
    problem: str | None = None  # what does not add up


@dataclass(frozen=True)
class PayoutReport:
    """What one payout pays out. `problems` says what does not add up; it is empty if everything does."""

    payout: str
    status: str
    currency: str
    amount: int
    arrival_date: int  # Stripe's second
    lines: list[Line] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """The count, and the sums of the amounts, fees and net amounts, by reporting category."""
        totals: dict[str, Counter[str]] = {}
        for line in self.lines:
            category = totals.setdefault(line.reporting_category or line.type, Counter())
            category.update(count=1, amount=line.amount, fee=line.fee, net=line.net)
        return {category: dict(totals[category]) for category in sorted(totals)}

    @property
    def lines_to_print(self) -> list[str]:
        """What the command prints without `--json`: the sums, then what does not add up."""
        arrives = datetime.fromtimestamp(self.arrival_date, UTC).date()
        head = f"{self.payout}: {self.amount} {self.currency}, {self.status}, arrives {arrives}"
        sums = [
            f"  {category}: {each['count']}, amount {each['amount']}, fees {each['fee']}, net {each['net']}"
            for category, each in self.totals.items()
        ]
        return [head, *sums, *(f"✘ {problem}" for problem in self.problems)]

    def as_json(self) -> Json:
        """Return what `--json` prints and the API answers."""
        return {**asdict(self), "totals": self.totals, "adds_up": not self.problems}


def payouts(since: int) -> Iterator[Json]:
    """Yield Stripe's automatic payouts that arrive since this second, newest first. Raises CannotReadStripe."""
    for page in current().gateway.pages("/v1/payouts", arrival_date={"gte": since}):
        yield from (payout for payout in page.remote["data"] if payout.get("automatic"))


def payout_report(id: str) -> PayoutReport:
    """Return the report of a payout, by Stripe's id. It costs a GET for the payout, and one for each 100 transactions.

    Raises NotFound; NotPossible for a payout that somebody requested, because Stripe does not say what it pays out;
    CannotReadStripe.
    """
    reply = current().gateway.get(kinds()["payout"].resource.object_path(id))
    if reply is None:
        raise NotFound(f"Stripe has no payout {id}.")
    return report_of(reply.remote)


def report_of(payout: Json) -> PayoutReport:
    """Return the report of a payout that was read. Raises as `payout_report`."""
    id = payout["id"]
    if not payout.get("automatic"):
        raise NotPossible(
            f"{id} was requested, not made by Stripe's schedule, so Stripe does not say what it pays out."
        )
    pages = current().gateway.pages(TRANSACTIONS, payout=id)
    try:
        read = {each["id"]: each for page in pages for each in page.remote["data"]}  # a page may repeat one
        lines = [_line(each) for each in read.values() if each["type"] not in ITSELF]
        report = PayoutReport(
            id, payout["status"], payout["currency"], int(payout["amount"]), int(payout["arrival_date"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CannotReadStripe(f"GET {TRANSACTIONS}: Stripe's answer lacks {error}") from error
    lines = [*_compared(lines)]
    return replace(report, lines=lines, problems=[*_problems(report, payout, lines)])


def as_csv(reports: Iterable[PayoutReport]) -> str:
    """Return the lines of the reports as CSV, with a head. A text that a spreadsheet would compute gets a quote."""
    text = io.StringIO()
    names = ["payout", *(each.name for each in fields(Line))]
    sheet = csv.DictWriter(text, names, lineterminator="\n")
    sheet.writeheader()
    for report in reports:
        for line in report.lines:
            sheet.writerow({name: _inert(value) for name, value in {"payout": report.payout, **asdict(line)}.items()})
    return text.getvalue()


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _line(told: Json) -> Line:
    source = told.get("source")
    return Line(
        balance_transaction=told["id"],
        type=told["type"],
        reporting_category=told.get("reporting_category"),
        created=int(told["created"]),
        currency=told["currency"],
        amount=int(told["amount"]),
        fee=int(told["fee"]),
        net=int(told["net"]),
        source=source.get("id") if isinstance(source, dict) else source,
    )


def _compared(lines: list[Line]) -> Iterator[Line]:
    """Yield each line with whose it is, and what does not add up. However many there are, that takes six queries."""
    objects: dict[str | None, Json] = {}
    for kind in {kind for kind, _ in SOURCES.values()}:
        wanted = [line.source for line in lines if SOURCES.get(line.type, ("", ""))[0] == kind and line.source]
        found = kinds()[kind].objects(stripe_id__in=wanted).order_by("is_current") if wanted else ()
        objects |= {document.stripe_id: document.stripe or {} for document in found}
    intents = {str(id): found.get("payment_intent") for id, found in objects.items()}
    orders = {order.payment_intent: order for order in Order.paid_by([], intents.values())}
    payers = PaymentIntent.objects(stripe_id__in=[each for each in intents.values() if each])
    customers = {intent.stripe_id: (intent.stripe or {}).get("customer") for intent in payers}
    known = Customer.objects(stripe_id__in=[each for each in customers.values() if each]).order_by("is_current")
    names = {customer.stripe_id: customer.username for customer in known}
    for line in lines:
        intent = intents.get(str(line.source))
        order = orders.get(intent) if intent else None
        yield replace(
            line,
            payment_intent=intent,
            order=str(order.id) if order else None,
            username=order.username if order else names.get(customers.get(intent)),
            problem=_problem(line, objects.get(line.source), order),
        )


def _problem(line: Line, known: Json | None, order: Order | None) -> str | None:
    """Return what of a line contradicts what is known here; None if nothing does."""
    kind, amount = SOURCES.get(line.type, ("", ""))
    if not kind or line.source is None or (kind == "dispute" and not line.source.startswith(OF_DISPUTES)):
        return None
    if known is None:
        return f"the {kind} is not known here: `backfill {kind}` copies it"
    if known.get("currency") == line.currency and known.get(amount) != abs(line.amount):
        return f"the {kind} here has {known.get(amount)}"
    if order is not None and line.amount > 0 and order.payment_status in UNPAID:
        return f"the order is {order.payment_status}"
    if order is not None and kind == "refund" and line.amount < 0 and order.amount_refunded < -line.amount:
        return f"the order has {order.amount_refunded} refunded"
    return None


def _problems(report: PayoutReport, payout: Json, lines: list[Line]) -> Iterator[str]:
    if payout.get("reconciliation_status") == "in_progress":
        yield "Stripe has not assigned all transactions yet: ask again later"
    if report.status in ("failed", "canceled"):
        yield f"the payout is {report.status}: its money is back in the balance"
    if (net := sum(line.net for line in lines)) != report.amount:
        yield f"the transactions are {net} {report.currency}, and the payout is {report.amount}"
    for line in lines:
        if line.amount - line.fee != line.net:
            yield f"{line.balance_transaction}: {line.amount} less a fee of {line.fee} is not {line.net}"
        if line.problem:
            yield f"{line.balance_transaction} ({line.type} {line.source}): {line.problem}"
