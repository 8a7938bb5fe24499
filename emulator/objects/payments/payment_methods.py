"""Payment methods, which can be attached once, and never again after they are detached."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.objects.payments import bank, sources
from stripe_mongo_sync.emulator.objects.payments.cards import (
    ALIASES,
    CARDS,
    SPENT,
    TEMPLATES,
    attach,
    attachable,
    template,
)
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Email, Fields, Hash, Metadata, OneOf, Ref, Text, Whole
from stripe_mongo_sync.emulator.protocol.params import ADDRESS
from stripe_mongo_sync.emulator.protocol.values import METHODS
from stripe_mongo_sync.emulator.protocol.wire import Json

NOBODY: Json = blank("email name phone tax_id") | {"address": blank("city country line1 line2 postal_code state")}


def _attach(ctx: Effects, method: Json, params: Json) -> Json:
    customer = params.get("customer")
    if customer is None:
        raise errors.missing("customer")
    attachable(ctx, method, customer)
    return attach(ctx, method, customer)


def _detach(ctx: Effects, method: Json, params: Json) -> Json:
    if method["customer"] is None:
        raise Problem(400, "The payment method you provided is not attached to a customer so detachment is impossible.")
    old = copy.deepcopy(method)
    ctx.realm.put(SPENT, method["id"], {})
    method["customer"] = None
    ctx.keep("payment_method", method)
    for customer in ctx.realm.all("customer"):
        if customer["invoice_settings"]["default_payment_method"] == method["id"]:
            ctx.update("customer", customer["id"], {"invoice_settings": {"default_payment_method": None}})
    ctx.announce("payment_method.detached", method, old)
    return method


def _check(params: Json) -> None:
    if params.get("type") is None:
        raise errors.missing("type")
    if params["type"] == "sepa_debit":
        bank.check(params)
        return
    if params["type"] != "card":
        raise errors.invalid(f"The emulator supports only cards and SEPA debits, not {params['type']}.", "type")
    card = params.get("card") or {}
    if card.get("number") is not None:
        raise Problem(
            402,
            "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test "
            "tokens that map to the test card you are using, see https://stripe.com/docs/testing.",
        )
    if card.get("token") is None:
        raise errors.missing("card[token]")
    token = card["token"].removeprefix("tok_")
    if token not in CARDS and token not in ALIASES:
        raise errors.no_such("token", card["token"], "card[token]", 400)


def _finish(ctx: Effects, params: Json, method: Json) -> None:
    given = params.get("card") or {}
    if "token" in given:
        method |= template(given["token"].removeprefix("tok_"))
    if method["type"] == "sepa_debit" and "sepa_debit" in params:
        bank.finish(ctx, params, method)
    if method["type"] == "card":
        method["card"] |= {name: given[name] for name in ("exp_month", "exp_year") if given.get(name) is not None}
    method["billing_details"] = NOBODY | {k: v for k, v in method["billing_details"].items() if v is not None}
    method["allow_redisplay"] = method["allow_redisplay"] or "unspecified"


def _check_state(ctx: Effects, params: Json, method: Json | None) -> None:
    if method is not None and method["customer"] is None:
        message = "You must save this PaymentMethod to a customer before you can update it."
        raise errors.invalid(message, "payment_method")


DETAILS = Hash(
    fields={"address": Hash(fields=ADDRESS), "email": Email(), "name": Text(), "phone": Text(), "tax_id": Text()},
    merge=True,
)
SHOWN: Fields = {
    "allow_redisplay": OneOf(values=("always", "limited", "unspecified")),
    "billing_details": DETAILS,
    "metadata": Metadata(),
}
EXPIRY: Fields = {"exp_month": Whole(least=1, most=12), "exp_year": Whole(least=2000, most=2100)}
PAYMENT_METHOD = Resource(
    kind="payment_method",
    path="payment_methods",
    prefix="pm_",
    label="PaymentMethod",
    create={
        **SHOWN,
        **bank.NEW_METHOD,
        "type": OneOf(values=METHODS),
        "card": Hash(fields={**EXPIRY, **{name: Text() for name in ("cvc", "number", "token")}}, hidden=True),
    },
    update={**SHOWN, "card": Hash(fields=EXPIRY, hidden=True)},
    defaults={
        "allow_redisplay": "unspecified",
        "billing_details": NOBODY,
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": "card",
    },
    filters={
        **{name: same(name) for name in ("customer", "customer_account")},
        "allow_redisplay": same("allow_redisplay", SHOWN["allow_redisplay"]),
        "type": same("type", OneOf(values=METHODS)),
    },
    created_filter=False,
    expands={"customer": "customer"},
    events=("updated",),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    templates=TEMPLATES,
    stand_in=sources.as_method,
    actions={"attach": Action(_attach, {"customer": Ref(kind="customer")}), "detach": Action(_detach)},
)
