"""The account's balance, payouts, top-ups and transfers."""

from __future__ import annotations

import copy

from stripe import params as stripe_params

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.lists import during
from stripe_mongo_sync.emulator.engine.resource import Resource, Route, blank, same
from stripe_mongo_sync.emulator.engine.steps import DAY, change, later, step
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Flag, Metadata, OneOf, Ref, Text, Whole
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

FUNDS = "funds"  # table: currency -> {"amount"}
AMOUNT: Fields = {"amount": Whole(least=1, most=99_999_999, required=True), "currency": Currency(required=True)}
BANK = "ba_1EmulatedBankAccount01"


def _available(ctx: Effects, currency: str) -> int:
    funds: int = ctx.realm.table(FUNDS).get(currency, {"amount": 0})["amount"]
    return funds


def move(ctx: Effects, currency: str, amount: int) -> None:
    """Add an amount to the available balance, or subtract a negative one. The emulator takes no fees."""
    ctx.realm.put(FUNDS, currency, {"amount": _available(ctx, currency) + amount})


def earn(ctx: Effects, currency: str, amount: int) -> None:
    """Add money that is available immediately, and announce that."""
    move(ctx, currency, amount)
    ctx.announce("balance.available", balance(ctx))


def _given_back(ctx: Effects, object: Json) -> None:
    move(ctx, object["currency"], object["amount"])


def balance(ctx: Effects, params: Json | None = None) -> Json:
    held = sorted(ctx.realm.table(FUNDS)) or ["usd"]
    shown = [(currency, _available(ctx, currency)) for currency in held]
    return {
        "object": "balance",
        "available": [{"amount": n, "currency": code, "source_types": {"card": n}} for code, n in shown],
        "livemode": ctx.realm.livemode,
        "pending": [{"amount": 0, "currency": code, "source_types": {"card": 0}} for code, _ in shown],
    }


def _funded(ctx: Effects, params: Json, object: Json | None) -> None:
    if object is None and params["amount"] > _available(ctx, params["currency"]):
        message = (
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available "
            "balance by creating Charges using the 4000000000000077 test card. See: "
            "https://stripe.com/docs/testing#available-balance"
        )
        raise Problem(400, message, code="balance_insufficient")


# payout


def _pay_out(ctx: Effects, params: Json, payout: Json) -> None:
    if "amount" in params:
        move(ctx, payout["currency"], -payout["amount"])
        payout |= {"arrival_date": ctx.second + 2 * DAY, "method": payout["method"] or "standard"}
        payout |= {"destination": payout["destination"] or BANK, "source_type": payout["source_type"] or "card"}
        payout["balance_transaction"] = "txn_" + ctx.draw(24, "base62")
        ctx.schedule(payout, payout["arrival_date"])


PAYOUT = Resource(
    kind="payout",
    path="payouts",
    prefix="po_",
    create={
        **AMOUNT,
        "description": Text(),
        "destination": Text(),
        "metadata": Metadata(),
        "method": OneOf(values=("instant", "standard")),
        "source_type": OneOf(values=("bank_account", "card", "fpx")),
        "statement_descriptor": Text(longest=22),
    },
    update={"metadata": Metadata()},
    defaults=blank(
        "application_fee application_fee_amount balance_transaction description destination "
        "failure_balance_transaction failure_code failure_message original_payout payout_method reversed_by "
        "statement_descriptor trace_id"
    )
    | {"amount": 0, "arrival_date": 0, "automatic": False, "currency": "usd", "metadata": {}, "method": "standard"}
    | {"reconciliation_status": "not_applicable", "source_type": "card", "status": "pending", "type": "bank_account"},
    filters={name: same(name) for name in ("destination", "status")} | {"arrival_date": during("arrival_date")},
    events=("created", "updated"),
    check_state=_funded,
    finish=_pay_out,
    on_due=later("pending", "paid", "payout.paid"),
    actions={"cancel": step("cancel", ("pending",), "canceled", "payout.canceled", effect=_given_back)},
)


# topup


def _top_up(ctx: Effects, params: Json, topup: Json) -> None:
    if "amount" in params:
        topup["expected_availability_date"] = ctx.second + 5 * DAY
        ctx.schedule(topup, topup["expected_availability_date"])


SAID: Fields = {"description": Text(), "metadata": Metadata()}
TOPUP = Resource(
    kind="topup",
    path="topups",
    prefix="tu_",
    create={**AMOUNT, **SAID, "statement_descriptor": Text(longest=15), "transfer_group": Text()},
    update=SAID,
    defaults=blank(
        "balance_transaction description expected_availability_date failure_code failure_message source "
        "statement_descriptor transfer_group"
    )
    | {"amount": 0, "currency": "usd", "metadata": {}, "status": "pending"},
    filters={
        "amount": same("amount", Whole()),
        "status": same("status", choice(stripe_params.TopupListParams, "status")),
    },
    events=("created",),
    finish=_top_up,
    on_due=later("pending", "succeeded", "topup.succeeded", effect=_given_back),
    actions={"cancel": step("cancel", ("pending",), "canceled", "topup.canceled")},
)


# transfer


def _afford(ctx: Effects, params: Json, transfer: Json | None) -> None:
    if transfer is None:
        if params.get("amount") is None:
            raise errors.missing("amount")
        _funded(ctx, params, transfer)


def _transfer(ctx: Effects, params: Json, transfer: Json) -> None:
    if "destination" in params:
        move(ctx, transfer["currency"], -transfer["amount"])
        transfer |= {"destination_payment": "py_" + ctx.draw(24, "base62"), "reversals": _reversals(transfer, [])}
        transfer["source_type"] = transfer["source_type"] or "card"


def _reversals(transfer: Json, data: list[Json]) -> Json:
    url = f"/v1/transfers/{transfer['id']}/reversals"
    return {"object": "list", "data": data, "has_more": False, "url": url}


def _reverse(ctx: Effects, params: Json, id: str) -> Json:
    """POST /v1/transfers/<id>/reversals."""
    transfer = copy.deepcopy(ctx.need("transfer", id))
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = left if params.get("amount") is None else params["amount"]
    if not 0 < amount <= left:
        raise errors.invalid(f"Reversal amount ({amount}) is greater than unreversed amount on transfer.", "amount")
    made = blank("balance_transaction destination_payment_refund source_refund") | {
        "id": "trr_" + ctx.draw(24, "base62"),
        "object": "transfer_reversal",
        "amount": amount,
        "created": ctx.second,
        "currency": transfer["currency"],
        "metadata": params.get("metadata") or {},
        "transfer": id,
    }
    move(ctx, transfer["currency"], amount)
    given_back, data = transfer["amount_reversed"] + amount, [made, *transfer["reversals"]["data"]]
    whole = given_back == transfer["amount"]
    after: Json = {"amount_reversed": given_back, "reversals": _reversals(transfer, data), "reversed": whole}
    change(ctx, transfer, "transfer.reversed", **after)
    return made


TRANSFER = Resource(
    kind="transfer",
    path="transfers",
    prefix="tr_",
    create={
        **SAID,
        "amount": Whole(least=1, most=99_999_999),
        "currency": Currency(required=True),
        "destination": Ref(kind="account", required=True),
        "source_transaction": Ref(kind="charge"),
        "source_type": OneOf(values=("bank_account", "card", "fpx")),
        "transfer_group": Text(),
    },
    update=SAID,
    defaults=blank("balance_transaction description destination destination_payment source_transaction transfer_group")
    | {"amount": 0, "amount_reversed": 0, "currency": "usd", "metadata": {}, "reversals": None, "reversed": False}
    | {"source_type": "card"},
    filters={name: same(name) for name in ("destination", "transfer_group")},
    expands={"destination": "account"},
    events=("created", "updated"),
    check_state=_afford,
    finish=_transfer,
)


ROUTES = (
    Route("GET", "balance", "balance", balance),
    Route(
        "POST",
        "transfers/{}/reversals",
        "transfer",
        _reverse,
        {**SAID, "amount": Whole(least=1), "refund_application_fee": Flag()},
    ),
)
