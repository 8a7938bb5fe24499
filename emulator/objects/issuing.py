"""Issuing: cards that the account issues, their holders, and purchases with them."""

from __future__ import annotations

import copy

from stripe.params import issuing
from stripe.params.test_helpers import issuing as test_issuing

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, Route, blank, same
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Fields,
    Hash,
    Many,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import ADDRESS
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

FREE: Json = blank(
    "allowed_card_presences allowed_categories allowed_merchant_countries blocked_card_presences blocked_categories "
    "blocked_merchant_countries spending_limits_currency"
) | {"spending_limits": []}
ACCEPTED = Hash(fields={"user_terms_acceptance": Hash(fields={"date": Time(), "ip": Text(), "user_agent": Text()})})
BIRTH = Hash(fields={name: Whole(required=True) for name in ("day", "month", "year")})
HOME: Fields = {
    **ADDRESS,
    **{name: Text(required=True) for name in ("city", "country", "line1", "postal_code")},
}
CARDHOLDER = Resource(
    kind="issuing.cardholder",
    path="issuing/cardholders",
    prefix="ich_",
    label="issuing cardholder",
    create={
        "billing": Hash(fields={"address": Hash(fields=HOME, required=True)}, required=True),
        "email": Text(),
        "individual": Hash(
            fields={"card_issuing": ACCEPTED, "dob": BIRTH, "first_name": Text(longest=20), "last_name": Text()}
        ),
        "metadata": Metadata(),
        "name": Text(required=True, longest=24),
        "phone_number": Text(),
        "status": OneOf(values=("active", "inactive")),
        "type": OneOf(values=("company", "individual")),
    },
    update={"email": Text(), "metadata": Metadata(), "phone_number": Text()},
    defaults=blank("company email individual phone_number preferred_locales")
    | {"billing": {"address": blank(" ".join(ADDRESS))}, "metadata": {}, "name": ""}
    | {"requirements": {"disabled_reason": None, "past_due": []}, "spending_controls": FREE}
    | {"status": "active", "type": "individual"},
    filters={
        **{name: same(name) for name in ("email", "phone_number")},
        **{name: same(name, choice(issuing.CardholderListParams, name)) for name in ("status", "type")},
    },
    event_name="issuing_cardholder",
    events=("created", "updated"),
)


# issuing.card


def _print(ctx: Effects, params: Json, card: Json) -> None:
    if "currency" in params:
        card["cardholder"] = copy.deepcopy(ctx.need("issuing.cardholder", params["cardholder"]))
        card["last4"] = f"{sum(map(ord, card['id'])) % 10_000:04d}"


def _check_card(params: Json) -> None:
    if params.get("cardholder") is None:
        raise errors.missing("cardholder")


CARD = Resource(
    kind="issuing.card",
    path="issuing/cards",
    prefix="ic_",
    label="issuing card",
    create={
        "cardholder": Ref(kind="issuing.cardholder", hidden=True),
        "currency": Currency(required=True),
        "metadata": Metadata(),
        "status": OneOf(values=("active", "inactive")),
        "type": OneOf(values=("physical", "virtual"), required=True),
    },
    update={"metadata": Metadata(), "status": OneOf(values=("active", "canceled", "inactive"))},
    defaults=blank(
        "cancellation_reason financial_account latest_fraud_warning lifecycle_controls personalization_design "
        "replaced_by replacement_for replacement_reason second_line shipping wallets"
    )
    | {"brand": "Visa", "cardholder": None, "currency": "usd", "exp_month": 12, "exp_year": 2034, "last4": ""}
    | {"metadata": {}, "spending_controls": FREE, "status": "inactive", "type": "virtual"},
    filters={
        **{name: same(name) for name in ("last4", "personalization_design")},
        **{name: same(name, choice(issuing.CardListParams, name)) for name in ("status", "type")},
        **{name: same(name, Whole()) for name in ("exp_month", "exp_year")},
        "cardholder": same("cardholder"),
    },
    event_name="issuing_card",
    events=("created", "updated"),
    check=_check_card,
    finish=_print,
)


# issuing.authorization and issuing.transaction

SHOP: Json = blank("city country name postal_code state tax_id terminal_id url") | {
    "category": "taxicabs_limousines",
    "category_code": "4121",
    "network_id": "1234567890",
}
MERCHANT: Fields = {
    name: Text() for name in ("city", "country", "name", "network_id", "postal_code", "state", "terminal_id", "url")
} | {"category": choice(test_issuing.TransactionCreateForceCaptureParamsMerchantData, "category")}
RECEIPT: Fields = {
    "description": Text(longest=26),
    "quantity": Number(above=-1e-12, exact=True),
    "total": Whole(),
    "unit_cost": Whole(),
}


def _spent(ctx: Effects, kind: str, by: Json, params: Json, amount: int, **fields: object) -> Json:
    """Create an authorization of a purchase, or the purchase."""
    currency = params.get("currency") or params.get("held_currency") or by["currency"]
    shop = {name: value for name, value in (params.get("merchant_data") or {}).items() if value is not None}
    return ctx.make(
        kind,
        amount=amount,
        cardholder=by["cardholder"]["id"],
        currency=currency,
        merchant_amount=amount,
        merchant_currency=currency,
        merchant_data=SHOP | shop,
        **fields,
    )


def _capture(ctx: Effects, params: Json) -> Json:
    """POST /v1/test_helpers/issuing/transactions/create_force_capture: a purchase without an authorization."""
    card = ctx.need("issuing.card", params["card"])
    bought = blank("fleet flight fuel lodging receipt reference") | (params.get("purchase_details") or {})
    for item in bought["receipt"] or []:
        item["quantity"] = None if item["quantity"] is None else float(item["quantity"])
    details = bought if any(bought.values()) else None
    made = _spent(
        ctx, "issuing.transaction", card, params, -params["amount"], card=card["id"], purchase_details=details
    )
    ctx.announce("issuing_transaction.created", made)
    if bought["receipt"]:
        ctx.announce("issuing_transaction.purchase_details_receipt_updated", made)
    return made


def _authorize(ctx: Effects, params: Json, id: str) -> Json:
    """POST /v1/issuing/cards/<id>/test/authorizations, which only Stripe's command line uses.

    The request is announced first; as no endpoint answers it, it is approved.
    """
    card, amount = copy.deepcopy(ctx.need("issuing.card", id)), params["held_amount"]
    how = params.get("authorization_method") or "online"
    asked = _spent(ctx, "issuing.authorization", card, params, amount, card=card, authorization_method=how)
    request: Json = blank("amount_details network_risk_score") | {
        name: asked[name] for name in ("amount", "currency", "merchant_amount", "merchant_currency")
    }
    waiting: Json = {"amount": 0, "approved": False, "merchant_amount": 0}
    waiting["pending_request"] = {**request, "is_amount_controllable": False}
    ctx.announce("issuing_authorization.request", {**asked, **waiting})
    answer = {"approved": True, "created": ctx.second, "reason": "webhook_timeout", "requested_at": ctx.second}
    asked["request_history"] = [{**request, **answer, **blank("authorization_code reason_message")}]
    ctx.keep("issuing.authorization", asked)
    ctx.announce("issuing_authorization.created", asked)
    return asked


MONEY = {"amount": 0, "currency": "usd", "merchant_amount": 0, "merchant_currency": "usd", "merchant_data": SHOP}
BY_CARD = {name: same(name) for name in ("card", "cardholder")}
AUTHORIZATION = Resource(
    kind="issuing.authorization",
    path="issuing/authorizations",
    prefix="iauth_",
    label="issuing authorization",
    defaults=blank(
        "amount_details card_presence cardholder fleet fraud_challenges fuel network_data pending_request token "
        "treasury verified_by_fraud_challenge wallet"
    )
    | {**MONEY, "approved": True, "authorization_method": "online", "balance_transactions": [], "card": None}
    | {"metadata": {}, "request_history": [], "status": "pending", "transactions": []}
    | {
        "verification_data": {
            **dict.fromkeys(("address_line1_check", "address_postal_code_check"), "not_provided"),
            **dict.fromkeys(("cvc_check", "expiry_check"), "match"),
            **blank("authentication_exemption postal_code three_d_secure"),
        }
    },
    filters={**BY_CARD, "status": same("status", choice(issuing.AuthorizationListParams, "status"))},
    event_name="issuing_authorization",
)
TRANSACTION = Resource(
    kind="issuing.transaction",
    path="issuing/transactions",
    prefix="ipi_",
    label="issuing transaction",
    update={"metadata": Metadata()},
    defaults=blank(
        "amount_details authorization balance_transaction card cardholder dispute network_data purchase_details token "
        "treasury wallet"
    )
    | {**MONEY, "metadata": {}, "type": "capture"},
    filters={**BY_CARD, "type": same("type", choice(issuing.TransactionListParams, "type"))},
    event_name="issuing_transaction",
    events=("updated",),
)
ROUTES = (
    Route(
        "POST",
        "test_helpers/issuing/transactions/create_force_capture",
        "issuing.transaction",
        _capture,
        {
            "amount": Whole(least=1, required=True),
            "card": Ref(kind="issuing.card", required=True),
            "currency": Currency(),
            "merchant_data": Hash(fields=MERCHANT, fill=False),
            "purchase_details": Hash(
                fields={"receipt": Many(each=Hash(fields=RECEIPT)), "reference": Text()}, fill=False
            ),
        },
    ),
    Route(
        "POST",
        "issuing/cards/{}/test/authorizations",
        "issuing.authorization",
        _authorize,
        {
            "authorization_method": OneOf(values=("chip", "contactless", "keyed_in", "online", "swipe")),
            "held_amount": Whole(least=0, required=True),
            "held_currency": Currency(),
        },
    ),
)
