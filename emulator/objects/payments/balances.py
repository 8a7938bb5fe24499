"""The credit balance of customers, and the transactions that change it: below zero the customer has credit."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, Route, blank
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Metadata, Text, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json

KIND = "customer_balance_transaction"
OTHERS = "other_balances"  # table: customer -> currency -> balance, of those that are not the customer's currency


def balance(ctx: Effects, customer: str, currency: str) -> int:
    """Return a customer's balance in a currency."""
    owner = ctx.need("customer", customer)
    if owner["currency"] in (None, currency):
        return int(owner["balance"])
    return int(ctx.realm.table(OTHERS).get(customer, {}).get(currency, 0))


def move(ctx: Effects, customer: str, amount: int, currency: str, type: str, **about: object) -> Json:
    """Add an amount to a customer's balance, and return the transaction. No event shows it but the customer's."""
    old = copy.deepcopy(ctx.need("customer", customer))
    ending = balance(ctx, customer, currency) + amount
    fields = {"customer": customer, "amount": amount, "currency": currency, "ending_balance": ending, "type": type}
    made = ctx.make(KIND, **fields, **about)
    if old["currency"] in (None, currency):
        new = {**old, "balance": ending, "currency": currency}
        ctx.keep("customer", new)
        ctx.announce("customer.updated", new, old)
    else:
        ctx.realm.put(OTHERS, customer, {**ctx.realm.table(OTHERS).get(customer, {}), currency: ending})
    return made


def record(ctx: Effects, customer: Json, amount: int, type: str) -> None:
    """Record a balance that was set on the customer itself, by a create or an update, whose event shows it."""
    if amount:
        fields = {"customer": customer["id"], "currency": customer["currency"] or "usd", "type": type}
        ctx.make(KIND, **fields, amount=amount, ending_balance=customer["balance"])


def _create(ctx: Effects, params: Json, customer: str) -> Json:
    said = {name: params.get(name) for name in ("description", "metadata")}
    said["metadata"] = said["metadata"] or {}
    return move(ctx, customer, params["amount"], params["currency"], "adjustment", **said)


def _update(ctx: Effects, params: Json, customer: str, id: str) -> Json:
    ctx.need("customer", customer)
    made = ctx.realm.find(KIND, id)
    if made is None or made["customer"] != customer:
        raise errors.no_such("customer balance transaction", id, "transaction")
    new = {**made, **{name: value for name, value in params.items() if name in SAID}}
    ctx.keep(KIND, new)
    return new


SAID: Fields = {"description": Text(longest=350, unset=False), "metadata": Metadata()}
TRANSACTION = Resource(
    kind=KIND,
    path=f"({KIND})",
    prefix="cbtxn_",
    label="customer balance transaction",
    readable=False,
    defaults=blank("checkout_session credit_note customer_account description invoice") | {"metadata": {}},
    events=(),
)
ROUTES = (
    Route(
        "POST",
        "customers/{}/balance_transactions",
        "customer",
        _create,
        {**SAID, "amount": Whole(required=True), "currency": Currency(required=True)},
    ),
    Route("POST", "customers/{}/balance_transactions/{}", "customer", _update, SAID),
)
