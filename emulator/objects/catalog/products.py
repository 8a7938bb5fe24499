"""Products."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import ACTIVE, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.objects.catalog.prices import CURRENCY_PRICES, CUSTOM_AMOUNT, check_amount
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import (
    CENTS,
    EXACT_CENTS,
    INTERVAL,
    NAMED,
    PRODUCT_DATA,
    TAX_BEHAVIOR,
    TAX_DETAILS,
)
from stripe_mongo_sync.emulator.protocol.wire import Json

DEFAULT_PRICE: Fields = {
    "currency": Currency(required=True),
    "currency_options": CURRENCY_PRICES,
    "custom_unit_amount": CUSTOM_AMOUNT,
    "metadata": Metadata(),
    "recurring": Hash(fields={"interval": INTERVAL, "interval_count": Whole(least=1)}, fill=False),
    "tax_behavior": TAX_BEHAVIOR,
    "unit_amount": CENTS,
    "unit_amount_decimal": EXACT_CENTS,
}
PACKAGE = Hash(fields={name: Number(above=0, required=True) for name in ("height", "length", "weight", "width")})
FEATURES = Many(each=Hash(fields={"name": Text(required=True, longest=80)}), most=15)
SHOWN: Fields = {
    "active": Flag(),
    "description": Text(longest=40_000),
    "images": Many(each=Text(), most=8),
    "marketing_features": FEATURES,
    "metadata": Metadata(),
    "package_dimensions": PACKAGE,
    "shippable": Flag(),
    "statement_descriptor": PRODUCT_DATA["statement_descriptor"],
    "tax_code": Text(),
    "tax_details": TAX_DETAILS,
    "unit_label": Text(longest=12),
    "url": Text(),
}
CREATE: Fields = {
    **SHOWN,
    "name": Text(required=True),
    "id": NAMED,
    "type": OneOf(values=("good", "service")),
    "default_price_data": Hash(fields=DEFAULT_PRICE, fill=False, hidden=True),
}
UPDATE: Fields = {**SHOWN, "name": NAMED, "default_price": Ref(kind="price")}


def _among(name: str) -> Filter:
    """Return a filter that keeps the objects whose field is one of the values."""
    return Filter(Many(each=Text()), lambda object, values: object.get(name) in values)


def _check(params: Json) -> None:
    if params.get("default_price_data"):
        check_amount(params["default_price_data"])


def _check_state(ctx: Effects, params: Json, product: Json | None) -> None:
    price_id = params.get("default_price")
    if product is not None and price_id is not None:
        price = ctx.realm.find("price", price_id)
        if price is None or price["product"] != product["id"]:
            raise errors.invalid(
                f"The price specified is not associated with this product: {price_id}", "default_price"
            )


def _finish(ctx: Effects, params: Json, product: Json) -> None:
    product["images"] = product["images"] or []
    product["marketing_features"] = product["marketing_features"] or []
    if params.get("default_price_data"):
        price = ctx.create("price", {**params["default_price_data"], "product": product["id"]})
        product["default_price"] = price["id"]
    product["updated"] = ctx.second


def _in_use(ctx: Effects, product: Json) -> None:
    if any(price["product"] == product["id"] for price in ctx.realm.all("price")):
        raise Problem(400, "This product cannot be deleted because it has one or more user-created prices.")


PRODUCT = Resource(
    kind="product",
    path="products",
    prefix="prod_",
    width=14,
    create=CREATE,
    update=UPDATE,
    defaults=blank(
        "default_price description name package_dimensions shippable statement_descriptor tax_code unit_label url"
    )
    | {"active": True, "images": [], "marketing_features": [], "metadata": {}, "type": "service", "updated": 0},
    filters={
        **ACTIVE,
        "ids": _among("id"),
        "shippable": same("shippable", Flag()),
        "type": same("type", OneOf(values=("good", "service"))),
        "url": same("url"),
    },
    expands={"default_price": "price"},
    delete="gone",
    check=_check,
    check_state=_check_state,
    finish=_finish,
    check_delete=_in_use,
)
