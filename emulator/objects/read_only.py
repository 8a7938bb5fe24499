"""Types whose objects no call creates: a test inserts them. Each is listed only where Stripe lists it."""

from __future__ import annotations

from collections.abc import Callable

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, same
from stripe_mongo_sync.emulator.protocol.fields import Text
from stripe_mongo_sync.emulator.protocol.wire import Json

Parts = Callable[[Effects, Json], list[Json]]


def parts(kinds: str, names: str) -> Parts:
    """Return a function that lists the objects of an owner, newest first."""
    return lambda ctx, owner: [
        each for kind in kinds.split() for each in reversed(ctx.realm.all(kind)) if each.get(names) == owner["id"]
    ]


PARTS_OF_CUSTOMER: dict[str, Parts] = {
    "balance_transactions": parts("customer_balance_transaction", "customer"),
    "cash_balance_transactions": parts("customer_cash_balance_transaction", "customer"),
    "sources": parts("card bank_account source", "customer"),
    "tax_ids": parts("tax_id", "customer"),
}
PARTS_OF_ACCOUNT: dict[str, Parts] = {
    "capabilities": parts("capability", "account"),
    "external_accounts": parts("card bank_account", "account"),
    "persons": parts("person", "account"),
}


def part(kind: str, prefix: str) -> Resource:
    """Return a type that is read and listed only below its owner."""
    return Resource(kind=kind, path=f"({kind})", prefix=prefix, readable=False, events=())


def owned(kind: str, prefix: str, owner: str, *, created_filter: bool = False) -> Resource:
    """Return a type whose list requires an owner in the query."""
    path = kind.replace(".", "/") + "s"
    filters = {owner: same(owner, Text(required=True))}
    return Resource(kind=kind, path=path, prefix=prefix, filters=filters, created_filter=created_filter, events=())


READ_ONLY: tuple[Resource, ...] = (
    Resource(
        kind="application_fee",
        path="application_fees",
        prefix="fee_",
        lists={"refunds": parts("fee_refund", "fee")},
        events=("created",),
    ),
    Resource(
        kind="review",
        path="reviews",
        prefix="prv_",
        defaults={"open": True, "reason": "rule"},
        shows=lambda ctx, review, asked: bool(review["open"]),
        events=(),
    ),
    Resource(
        kind="tax_id",
        path="tax_ids",
        prefix="txi_",
        created_filter=False,
        shows=lambda ctx, tax_id, asked: tax_id.get("customer") is None,  # the account's own
        events=(),
    ),
    Resource(kind="treasury.financial_account", path="treasury/financial_accounts", prefix="fa_", events=()),
    owned("issuing.token", "intok_", "card", created_filter=True),
    owned("treasury.credit_reversal", "credrev_", "financial_account"),
    owned("treasury.debit_reversal", "debrev_", "financial_account"),
    owned("treasury.inbound_transfer", "ibt_", "financial_account"),
    owned("treasury.outbound_payment", "obp_", "financial_account"),
    owned("treasury.outbound_transfer", "obt_", "financial_account"),
    owned("treasury.received_credit", "rc_", "financial_account"),
    owned("treasury.received_debit", "rd_", "financial_account"),
    part("bank_account", "ba_"),
    part("capability", ""),
    part("fee_refund", "fr_"),
    part("person", "person_"),
    part("source", "src_"),
)
