"""Prices of products, for one payment or for recurring ones."""

from __future__ import annotations

from decimal import Decimal

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import ACTIVE, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.objects.catalog.plans import plan_of
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem, one_of
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Fields,
    Flag,
    Hash,
    Many,
    MapOf,
    Metadata,
    OneOf,
    Ref,
    Text,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import CENTS, EXACT_CENTS, INTERVAL, PRODUCT_DATA, TAX_BEHAVIOR
from stripe_mongo_sync.emulator.protocol.wire import Json

CUSTOM_AMOUNT = Hash(
    fields={"enabled": Flag(required=True), "maximum": CENTS, "minimum": CENTS, "preset": CENTS}, hidden=True
)
TIERS = Many(
    each=Hash(
        fields={
            "flat_amount": CENTS,
            "flat_amount_decimal": EXACT_CENTS,
            "unit_amount": CENTS,
            "unit_amount_decimal": EXACT_CENTS,
            "up_to": Text(required=True, pattern="inf|[0-9]+"),
        }
    ),
    hidden=True,
)
CURRENCY_PRICES = MapOf(
    each=Hash(
        fields={
            "custom_unit_amount": CUSTOM_AMOUNT,
            "tax_behavior": TAX_BEHAVIOR,
            "tiers": TIERS,
            "unit_amount": CENTS,
            "unit_amount_decimal": EXACT_CENTS,
        }
    ),
    hidden=True,
)
RECURRING: Fields = {
    "interval": INTERVAL,
    "interval_count": Whole(least=1),
    "meter": Ref(kind="billing.meter"),
    "trial_period_days": Whole(least=0),
    "usage_type": OneOf(values=("licensed", "metered")),
}
SHOWN: Fields = {
    "active": Flag(),
    "currency_options": CURRENCY_PRICES,
    "lookup_key": Text(longest=200),
    "metadata": Metadata(),
    "nickname": Text(),
    "tax_behavior": TAX_BEHAVIOR,
    "transfer_lookup_key": Flag(hidden=True),
}
CREATE: Fields = {
    **SHOWN,
    "billing_scheme": OneOf(values=("per_unit", "tiered")),
    "currency": Currency(required=True),
    "custom_unit_amount": CUSTOM_AMOUNT,
    "product": Ref(kind="product", unset=False),
    "product_data": Hash(fields=PRODUCT_DATA, fill=False, hidden=True),
    "recurring": Hash(fields=RECURRING, fill=False, hidden=True),
    "tiers": TIERS,
    "tiers_mode": OneOf(values=("graduated", "volume")),
    "transform_quantity": Hash(
        fields={"divide_by": Whole(least=1, required=True), "round": OneOf(values=("up", "down"), required=True)}
    ),
    "unit_amount": CENTS,
    "unit_amount_decimal": EXACT_CENTS,
}


def check_amount(params: Json) -> None:
    amount = one_of(params, "unit_amount", "unit_amount_decimal", "custom_unit_amount")
    tiered = params.get("billing_scheme") == "tiered"
    if not amount and not tiered:
        raise Problem(
            400,
            "Prices require an `unit_amount`, `unit_amount_decimal` or `custom_unit_amount` parameter to be set.",
            code="parameter_missing",
            param="unit_amount",
        )
    if tiered and not params.get("tiers"):
        raise errors.missing("tiers")
    errors.within(params.get("unit_amount"), params["currency"], "unit_amount")
    if params.get("unit_amount_decimal") is not None:
        errors.within(int(Decimal(params["unit_amount_decimal"])), params["currency"], "unit_amount_decimal")


def _check(params: Json) -> None:
    if not one_of(params, "product", "product_data"):
        raise errors.missing("product")
    check_amount(params)


def _check_state(ctx: Effects, params: Json, price: Json | None) -> None:
    key = params.get("lookup_key")
    if key is not None and not params.get("transfer_lookup_key"):
        for other in ctx.realm.all("price"):
            if other["lookup_key"] == key and (price is None or other["id"] != price["id"]):
                raise errors.invalid(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
    if price is not None and params.get("active") is False:
        product = ctx.realm.find("product", price["product"])
        if product is not None and product["default_price"] == price["id"]:
            raise errors.invalid(
                "This price cannot be archived because it is the default price of its product.", "active"
            )
    own = (params.get("product_data") or {}).get("id")
    if own is not None and ctx.realm.find("product", own) is not None:
        raise errors.already_exists("Product", "product_data[id]")


def _finish(ctx: Effects, params: Json, price: Json) -> None:
    if params.get("transfer_lookup_key") and price["lookup_key"]:
        for other in ctx.realm.all("price"):
            if other["lookup_key"] == price["lookup_key"] and other["id"] != price["id"]:
                ctx.update("price", other["id"], {"lookup_key": None})
    if "currency" not in params:
        return  # an update cannot change amounts
    if params.get("product_data"):
        price["product"] = ctx.create("product", params["product_data"])["id"]
    if params.get("recurring"):
        empty = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
        given = {name: value for name, value in params["recurring"].items() if value is not None}
        price |= {"type": "recurring", "recurring": empty | given}
    if params.get("custom_unit_amount"):
        custom = params["custom_unit_amount"]
        price["custom_unit_amount"] = {name: custom.get(name) for name in ("maximum", "minimum", "preset")}
    if price["unit_amount_decimal"] is not None:
        exact = price["unit_amount_decimal"]
        price["unit_amount"] = None if "." in exact else int(exact)
    elif price["unit_amount"] is not None:
        price["unit_amount_decimal"] = str(price["unit_amount"])


def _shows(ctx: Effects, price: Json, asked: Json) -> bool:
    """Show active prices, or those that the query filters for, but no inline ones (stripe-python, Price.list)."""
    return (price["active"] or "active" in asked) and price["id"] not in ctx.realm.table("inline_prices")


def _recurs(object: Json, value: Json) -> bool:
    recurring: Json = object["recurring"] or {}
    return all(recurring.get(name) == wanted for name, wanted in value.items())


PRICE = Resource(
    kind="price",
    path="prices",
    prefix="price_",
    create=CREATE,
    update=SHOWN,
    defaults=blank(
        "currency custom_unit_amount lookup_key nickname product recurring tiers_mode transform_quantity "
        "unit_amount unit_amount_decimal"
    )
    | {"active": True, "billing_scheme": "per_unit", "metadata": {}, "tax_behavior": "unspecified", "type": "one_time"},
    filters={
        **ACTIVE,
        "currency": same("currency", Currency()),
        "lookup_keys": Filter(Many(each=Text(), most=10), lambda price, keys: price["lookup_key"] in keys),
        "product": same("product"),
        "recurring": Filter(
            Hash(
                fields={name: RECURRING[name] for name in ("meter", "usage_type")}
                | {"interval": OneOf(values=INTERVAL.values)},
                fill=False,
            ),
            _recurs,
        ),
        "type": same("type", OneOf(values=("one_time", "recurring"))),
    },
    expands={"product": "product"},
    check=_check,
    check_state=_check_state,
    finish=_finish,
    shows=_shows,
    companion=plan_of,
)
