"""Customers."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank, same
from stripe_mongo_sync.emulator.objects.catalog import discounts
from stripe_mongo_sync.emulator.objects.payments import balances, cards, sources
from stripe_mongo_sync.emulator.objects.read_only import PARTS_OF_CUSTOMER
from stripe_mongo_sync.emulator.objects.subscriptions import renewals
from stripe_mongo_sync.emulator.protocol.fields import (
    Email,
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    OneOf,
    Ref,
    Text,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import ADDRESS, INVOICE_SETTINGS, SHIPPING
from stripe_mongo_sync.emulator.protocol.values import TAX_IDS
from stripe_mongo_sync.emulator.protocol.wire import Json

SHOWN: Fields = {
    "address": Hash(fields=ADDRESS),
    "balance": Whole(),
    "business_name": Text(longest=150),
    "coupon": Ref(kind="coupon", hidden=True, until="2025-03-31.basil"),
    "cash_balance": Hash(
        fields={
            "settings": Hash(fields={"reconciliation_mode": OneOf(values=("automatic", "manual", "merchant_default"))})
        },
        hidden=True,
    ),
    "description": Text(),
    "email": Email(),
    "individual_name": Text(longest=150),
    "invoice_prefix": Text(pattern="[A-Z0-9]{1,12}"),
    "invoice_settings": Hash(fields=INVOICE_SETTINGS, merge=True),
    "metadata": Metadata(),
    "name": Text(longest=256),
    "next_invoice_sequence": Whole(least=1),
    "phone": Text(longest=20),
    "preferred_locales": Many(each=Text()),
    "shipping": Hash(fields=SHIPPING),
    "source": Text(hidden=True),
    "tax": Hash(
        fields={"ip_address": Text(), "validate_location": OneOf(values=("deferred", "immediately"))}, hidden=True
    ),
    "tax_exempt": OneOf(values=("none", "exempt", "reverse")),
    "validate": Flag(hidden=True),
}
CREATE: Fields = {
    **SHOWN,
    "payment_method": Ref(kind="payment_method", hidden=True),
    "tax_id_data": Many(
        each=Hash(fields={"type": OneOf(values=TAX_IDS, required=True), "value": Text(required=True)}), hidden=True
    ),
    "test_clock": Ref(kind="test_helpers.test_clock"),
}
UPDATE: Fields = {
    **SHOWN,
    "default_source": Text(longest=500),
    "tax": Hash(
        fields={"ip_address": Text(), "validate_location": OneOf(values=("auto", "deferred", "immediately"))},
        hidden=True,
    ),
}
NO_SETTINGS: Json = {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None}


def _check_state(ctx: Effects, params: Json, customer: Json | None) -> None:
    """Refuse a default payment method that is not the customer's, or is not given with a new customer."""
    if params.get("source") is not None:
        sources.card_of_token(params["source"])
    if params.get("default_source") is not None:
        sources.owned(ctx, customer["id"] if customer else "", params["default_source"], "default_source", 400)
    if params.get("payment_method") is not None:
        cards.attachable(ctx, cards.peek(ctx, params["payment_method"]), None)
    default = (params.get("invoice_settings") or {}).get("default_payment_method")
    if default is None or (customer is None and default == params.get("payment_method")):
        return
    cards.belongs(ctx, default, customer["id"] if customer else "", "invoice_settings[default_payment_method]")


def _finish(ctx: Effects, params: Json, customer: Json) -> None:
    stored = ctx.need("customer", customer["id"])  # as it was before an update
    balances.record(ctx, customer, customer["balance"] - stored["balance"], "adjustment")
    customer["invoice_prefix"] = customer["invoice_prefix"] or ctx.draw(8, "upper")
    customer["preferred_locales"] = customer["preferred_locales"] or []
    customer["tax_exempt"] = customer["tax_exempt"] or "none"
    if params.get("source") is not None:
        customer["default_source"] = sources.keep(ctx, params["source"], customer["id"])["id"]
    if "coupon" in params:
        discounts.give(ctx, customer, params["coupon"])
    id = params.get("payment_method")
    if id is not None:
        method = cards.attach(ctx, ctx.named("payment_method", id), customer["id"])
        if customer["invoice_settings"]["default_payment_method"] == id:
            customer["invoice_settings"]["default_payment_method"] = method["id"]


def _cancel_subscriptions(ctx: Effects, customer: Json) -> None:
    """Cancel the subscriptions of a deleted customer immediately (stripe-facts.md#deletions)."""
    for subscription in ctx.realm.all("subscription"):
        if subscription["customer"] == customer["id"] and subscription["status"] not in renewals.OVER:
            renewals.end(ctx, copy.deepcopy(subscription))


def _methods_of(ctx: Effects, customer: Json) -> list[Json]:
    """Return the payment methods of a customer, newest first."""
    return [each for each in reversed(ctx.realm.all("payment_method")) if each["customer"] == customer["id"]]


def _subscriptions_of(ctx: Effects, customer: Json) -> Json:
    data = [
        each
        for each in reversed(ctx.realm.all("subscription"))
        if each.get("customer") == customer["id"] and each.get("status") != "canceled"
    ]
    url = f"/v1/customers/{customer['id']}/subscriptions"
    return {"object": "list", "data": data[:10], "has_more": len(data) > 10, "url": url}


CUSTOMER = Resource(
    kind="customer",
    path="customers",
    prefix="cus_",
    width=14,
    create=CREATE,
    update=UPDATE,
    defaults=blank(
        "address currency default_source description discount email invoice_prefix name phone shipping test_clock"
    )
    | {
        "balance": 0,
        "delinquent": False,
        "invoice_settings": NO_SETTINGS,
        "metadata": {},
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
    },
    filters={"email": same("email", Text(longest=512)), "test_clock": same("test_clock")},
    expands={"invoice_settings.default_payment_method": "payment_method"},
    includes={"subscriptions": _subscriptions_of},
    lists={"payment_methods": _methods_of, **PARTS_OF_CUSTOMER},
    delete="stub",
    check_state=_check_state,
    finish=_finish,
    after=lambda ctx, params, customer: balances.record(ctx, customer, customer["balance"], "initial"),
    on_delete=_cancel_subscriptions,
)
