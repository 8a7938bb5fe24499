"""Bank payments: direct debits, whose outcome comes later, and the cash balance of customers."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, Route
from stripe_mongo_sync.emulator.engine.steps import change
from stripe_mongo_sync.emulator.objects.payments import cards
from stripe_mongo_sync.emulator.objects.payments.charges import charge, transaction
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Hash, OneOf, Text, Time, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json

ACCOUNTS = "bank_accounts"  # table: payment method -> {"iban"}
CASH = "cash_balance"  # table: customer -> currency -> amount
COUNTRIES = {"eur": "eu", "gbp": "gb", "jpy": "jp", "mxn": "mx"}  # of bank transfers in a currency


@dataclass(frozen=True)
class Debit:
    """The outcome of a debit, and after how many seconds it is known."""

    refused: str = ""
    after: int = 0


# Stripe's test accounts (docs.stripe.com/payments/sepa-debit/accept-a-payment, test your integration).
IBANS = {
    "AT611904300234573201": Debit(),
    "AT321904300235473204": Debit(after=180),
    "AT861904300235473202": Debit(refused="generic_could_not_process"),
    "AT591904300235473203": Debit(refused="generic_could_not_process", after=180),
    "IT60X0542811101000000123456": Debit(refused="generic_could_not_process"),
}


def finish(ctx: Effects, params: Json, method: Json) -> None:
    """Complete a new payment method from its IBAN."""
    iban = params["sepa_debit"]["iban"].replace(" ", "")
    ctx.realm.put(ACCOUNTS, method["id"], {"iban": iban})
    method["sepa_debit"] = {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": f"Emulated{iban[-8:]}",
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }


def check(params: Json) -> None:
    iban = (params.get("sepa_debit") or {}).get("iban")
    if iban is None:
        raise errors.missing("sepa_debit[iban]")
    for name in ("name", "email"):
        if (params.get("billing_details") or {}).get(name) is None:
            raise errors.missing(f"billing_details[{name}]")
    if iban.replace(" ", "") not in IBANS:
        raise errors.invalid(
            "The emulator knows only the IBANs of Stripe's test accounts.", "sepa_debit[iban]", "invalid_iban"
        )


def confirm(ctx: Effects, intent: Json, method: Json, params: Json) -> Json:
    """Begin a debit. The bank answers later."""
    if method["type"] not in intent["payment_method_types"]:
        message = f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent."
        raise errors.invalid(message, "payment_method")
    if params.get("mandate_data") is None:
        message = (
            "This PaymentIntent requires a mandate, but no existing mandate was found. Collect mandate acceptance from "
            "the customer and try again, providing acceptance data in the mandate_data parameter."
        )
        raise errors.invalid(message, "mandate_data", "payment_intent_mandate_invalid")
    made = charge(ctx, intent, method, pending=True)
    cards.spend(ctx, method)
    ctx.schedule(intent, ctx.second + IBANS[ctx.realm.table(ACCOUNTS)[method["id"]]["iban"]].after)
    fields = {"last_payment_error": None, "latest_charge": made["id"], "status": "processing"}
    return change(ctx, intent, "payment_intent.processing", **fields)


def debited(ctx: Effects, intent: Json) -> bool | None:
    """Store the bank's answer. Return whether it paid, or None if no debit is processing."""
    if intent["status"] != "processing":
        return None
    method = copy.deepcopy(ctx.need("payment_method", intent["payment_method"]))
    refused = IBANS[ctx.realm.table(ACCOUNTS)[method["id"]]["iban"]].refused
    tried = copy.deepcopy(ctx.need("charge", intent["latest_charge"]))
    if not refused:
        change(ctx, tried, "charge.succeeded", status="succeeded", balance_transaction=transaction(ctx))
        received = {"amount_received": intent["amount"], "status": "succeeded"}
        change(ctx, intent, "payment_intent.succeeded", **received)
        return True
    message = "The bank could not process the debit."
    change(ctx, tried, "charge.failed", status="failed", paid=False, failure_code=refused, failure_message=message)
    problem = Problem(402, message, code=refused, type="invalid_request_error", payment_method=method)
    fields: Json = {"last_payment_error": problem.error, "payment_method": None, "status": "requires_payment_method"}
    change(ctx, intent, "payment_intent.payment_failed", **fields)
    return False


# Cash balances of customers


def _fund(ctx: Effects, params: Json, customer: str) -> Json:
    """POST /v1/test_helpers/customers/<id>/fund_cash_balance: money from a customer, for no invoice."""
    ctx.need("customer", customer)
    currency, amount = params["currency"], params["amount"]
    held = {**ctx.realm.table(CASH).get(customer, {})}
    held[currency] = held.get(currency, 0) + amount
    ctx.realm.put(CASH, customer, held)
    way: Json = {"reference": params.get("reference"), "type": f"{COUNTRIES.get(currency, 'us')}_bank_transfer"}
    made = ctx.make(
        "customer_cash_balance_transaction",
        currency=currency,
        customer=customer,
        ending_balance=held[currency],
        funded={"bank_transfer": {**way, way["type"]: {}}},
        net_amount=amount,
        type="funded",
    )
    ctx.announce("customer_cash_balance_transaction.created", made)
    ctx.announce("cash_balance.funds_available", cash_balance(ctx, {}, customer))
    return made


def cash_balance(ctx: Effects, params: Json, customer: str) -> Json:
    """GET /v1/customers/<id>/cash_balance."""
    ctx.need("customer", customer)
    held = {code: amount for code, amount in ctx.realm.table(CASH).get(customer, {}).items() if amount}
    return {
        "object": "cash_balance",
        "available": held or None,
        "customer": customer,
        "customer_account": None,
        "livemode": ctx.realm.livemode,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }


NEW_METHOD: Fields = {"sepa_debit": Hash(fields={"iban": Text(required=True)}, hidden=True)}
ACCEPTANCE: Fields = {"accepted_at": Time(), "type": OneOf(values=("offline", "online"), required=True)}


def mandate(new: bool) -> Fields:
    """Return the parameter of a mandate, which a confirmation may omit if it was given before."""
    accepted = Hash(fields=ACCEPTANCE, required=new)
    return {"mandate_data": Hash(fields={"customer_acceptance": accepted}, hidden=True)}


CASH_TRANSACTION = Resource(
    kind="customer_cash_balance_transaction",
    path="(customer_cash_balance_transaction)",
    prefix="ccsbtxn_",
    readable=False,
    defaults={"customer_account": None},
    events=("created",),
)
ROUTES = (
    Route("GET", "customers/{}/cash_balance", "cash_balance", cash_balance),
    Route(
        "POST",
        "test_helpers/customers/{}/fund_cash_balance",
        "customer_cash_balance_transaction",
        _fund,
        {"amount": Whole(least=1, required=True), "currency": Currency(required=True), "reference": Text()},
    ),
)
