"""Balance transactions: what each charge, refund, dispute and payout moved, and the payouts of Stripe's own schedule.

They are derived from the objects that moved the money, as each of those names its transaction. Stripe keeps 2.9 % and
30 of each charge; which transactions a payout pays out is known only of automatic ones
(docs.stripe.com/payouts/reconciliation).
"""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Filter, Resource, same
from stripe_mongo_sync.emulator.engine.steps import DAY
from stripe_mongo_sync.emulator.objects.payments.money import BANK
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Currency, Text
from stripe_mongo_sync.emulator.protocol.wire import Json

PAID_OUT = "paid_out"  # table: balance transaction -> {"payout"}
PERMILLE, FIXED = 29, 30  # of each charge
CLEARS_AFTER = 2 * DAY


def _moved(ctx: Effects, by: Json, amount: int, type: str, category: str, fee: int = 0) -> Json:
    """Return the balance transaction of an object that moved an amount."""
    available = by["created"] + (0 if type == "payout" else CLEARS_AFTER)
    cut = {"amount": fee, "application": None, "currency": by["currency"], "type": "stripe_fee"}
    return {
        "id": by["balance_transaction"],
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available,
        "balance_type": "payments",
        "created": by["created"],
        "currency": by["currency"],
        "description": by.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [cut | {"description": "Stripe processing fees"}] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": by["id"],
        "status": "available" if available <= ctx.second else "pending",
        "type": type,
    }


def _of_charge(ctx: Effects, charge: Json) -> Json:
    amount, type = charge["amount_captured"], "charge" if _by_card(charge) else "payment"
    return _moved(ctx, charge, amount, type, "charge", amount * PERMILLE // 1000 + FIXED)


def _of_refund(ctx: Effects, refund: Json) -> Json:
    type = "refund" if _by_card(ctx.need("charge", refund["charge"])) else "payment_refund"
    return _moved(ctx, refund, -refund["amount"], type, "refund")


def _of_failure(ctx: Effects, refund: Json) -> Json:
    returned = {**refund, "balance_transaction": refund["failure_balance_transaction"]}
    return _moved(ctx, returned, refund["amount"], "refund_failure", "refund_failure")


def _by_card(charge: Json) -> bool:
    return bool(charge["payment_method_details"]["type"] == "card")


def _all(ctx: Effects) -> list[Json]:
    """Return all balance transactions, the oldest first."""
    all = ctx.realm.all
    found = [_of_charge(ctx, each) for each in all("charge") if each["balance_transaction"]]
    found += [_of_refund(ctx, each) for each in all("refund") if each["balance_transaction"]]
    found += [_of_failure(ctx, each) for each in all("refund") if each.get("failure_balance_transaction")]
    found += [each for dispute in all("dispute") for each in dispute["balance_transactions"]]
    payouts = [each for each in all("payout") if each["balance_transaction"]]
    found += [_moved(ctx, each, -each["amount"], "payout", "payout") for each in payouts]
    return sorted(found, key=lambda each: int(each["created"]))


def _is_asked(ctx: Effects, transaction: Json, asked: Json) -> bool:
    payout = asked.get("payout")
    if payout is None:
        return True
    if not ctx.need("payout", payout)["automatic"]:
        raise Problem(400, "Balance transaction history can only be filtered on automatic payouts, not manual.")
    return bool(ctx.realm.table(PAID_OUT).get(transaction["id"]) == {"payout": payout})


def pay_out(ctx: Effects, currency: str) -> Json:
    """Pay out all that was not paid out yet, as Stripe's schedule does. Raises ValueError if nothing is left over."""
    done = ctx.realm.table(PAID_OUT)
    due = [each for each in _all(ctx) if each["currency"] == currency and each["type"] != "payout"]
    due = [each for each in due if each["id"] not in done]
    if (amount := sum(each["net"] for each in due)) <= 0:
        raise ValueError(f"there is nothing to pay out in {currency}")
    payout = ctx.make(
        "payout",
        amount=amount,
        arrival_date=ctx.second + CLEARS_AFTER,
        automatic=True,
        balance_transaction="txn_" + ctx.draw(24, "base62"),
        currency=currency,
        description="STRIPE PAYOUT",
        destination=BANK,
        reconciliation_status="completed",
    )
    for id in (payout["balance_transaction"], *(each["id"] for each in due)):
        ctx.realm.put(PAID_OUT, id, {"payout": payout["id"]})
    ctx.announce("payout.created", payout)
    ctx.schedule(payout, payout["arrival_date"])
    ctx.announce("payout.reconciliation_completed", payout)
    return payout


BALANCE_TRANSACTION = Resource(
    kind="balance_transaction",
    path="balance_transactions",
    prefix="txn_",
    has_livemode=False,
    filters={name: same(name) for name in ("source", "type")}
    | {"currency": same("currency", Currency()), "payout": Filter(Text(), lambda object, value: True)},
    shows=_is_asked,
    events=(),
    within=_all,
)
