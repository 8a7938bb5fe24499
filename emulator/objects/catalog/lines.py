"""Line items: prices, quantities, and their total."""

from __future__ import annotations

import copy
from decimal import ROUND_HALF_UP, Decimal

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Flag, Hash, Many, Metadata, Ref, Text, Whole
from stripe_mongo_sync.emulator.protocol.params import CENTS, EXACT_CENTS, INTERVAL, TAX_BEHAVIOR
from stripe_mongo_sync.emulator.protocol.wire import Json

INLINE = "inline_prices"  # table: ids of prices made from `price_data`, which no list shows
ITEMS = "line_items"  # table: owner's id -> its items

NEW_PRODUCT: Fields = {
    "description": Text(longest=40_000),
    "images": Many(each=Text(), most=8),
    "metadata": Metadata(),
    "name": Text(required=True),
    "unit_label": Text(longest=12),
}
# A price for one use. `product_data` is added where Stripe also takes a new product.
PRICE_DATA: Fields = {
    "currency": Currency(required=True),
    "product": Ref(kind="product"),
    "recurring": Hash(fields={"interval": INTERVAL, "interval_count": Whole(least=1)}, fill=False),
    "tax_behavior": TAX_BEHAVIOR,
    "unit_amount": CENTS,
    "unit_amount_decimal": EXACT_CENTS,
}
SOLD: Fields = {**PRICE_DATA, "product": Ref(kind="product", required=True)}  # only an existing product
ADJUSTABLE = Hash(fields={"enabled": Flag(required=True), "maximum": Whole(least=1), "minimum": Whole(least=0)})
LINE: Fields = {
    "adjustable_quantity": ADJUSTABLE,
    "price": Ref(kind="price"),
    "price_data": Hash(fields={**PRICE_DATA, "product_data": Hash(fields=NEW_PRODUCT, fill=False)}, fill=False),
    "quantity": Whole(least=0, most=999_999),
}


def amount(price: Json, quantity: int) -> int:
    """Return the amount of a quantity. Of a custom amount it is the preset. Raises Problem for tiers."""
    if price["custom_unit_amount"] is not None:
        return int(price["custom_unit_amount"].get("preset") or 0)
    if price["unit_amount_decimal"] is None:
        raise Problem(400, f"The emulator cannot compute the amount of price {price['id']}: it does not support tiers.")
    packs = price["transform_quantity"]
    if packs:
        quantity = -(-quantity // packs["divide_by"]) if packs["round"] == "up" else quantity // packs["divide_by"]
    return int((Decimal(price["unit_amount_decimal"]) * quantity).to_integral_value(ROUND_HALF_UP))


def check(lines: list[Json], mode: str, name: str = "line_items") -> None:
    """Check the rules that need no state: each line has one price with an amount, and a quantity."""
    for index, line in enumerate(lines):
        path = f"{name}[{index}]"
        given = [key for key in ("price", "price_data") if line.get(key) is not None]
        if len(given) != 1:
            message = "You must specify either `price` or `price_data` for each line item, and not both."
            raise errors.invalid(message, path)
        if line.get("quantity") is None and mode != "subscription":
            raise Problem(400, f"Quantity is required. Add `quantity` to `{path}`", param=path)
        data = line.get("price_data")
        if data is not None:
            if (data.get("product") is None) == (data.get("product_data") is None):
                raise errors.missing(f"{path}[price_data][product]")
            if (data.get("unit_amount") is None) == (data.get("unit_amount_decimal") is None):
                raise errors.missing(f"{path}[price_data][unit_amount]")
            errors.within(data.get("unit_amount"), data["currency"], f"{path}[price_data][unit_amount]")


def check_state(
    ctx: Effects, lines: list[Json], mode: str, currency: str | None = None, name: str = "line_items"
) -> None:
    """Check that prices are active (or inline), of one currency, and recurring if the mode requires it."""
    currencies, recurring, total = {currency} if currency is not None else set(), 0, 0
    for index, line in enumerate(lines):
        data = line.get("price_data")
        if data is None:
            data = ctx.need("price", line["price"])
            if not data["active"] and not line.get("own"):
                message = "The price specified is inactive. This field only accepts active prices."
                raise errors.invalid(message, f"{name}[{index}][price]")
            total += amount(data, line.get("quantity") or 1)
        currencies.add(data["currency"])
        recurring += data.get("recurring") is not None
    if len(currencies) > 1:
        raise errors.invalid("All prices on a single session or link must be in the same currency.", name)
    errors.within(total, currencies.pop() if currencies else "usd", name)
    if mode == "payment" and recurring:
        message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or "
        raise errors.invalid(message + "use only one-time prices.", name)
    if mode == "subscription" and not recurring:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise errors.invalid(message, name)


def whole(ctx: Effects, owner: Json | None, given: list[Json]) -> list[Json]:
    """Return the lines, and for one with the `id` of an item of the owner, what it leaves out. Raises Problem."""
    there = {} if owner is None else {item["id"]: item for item in of(ctx, owner)}
    found = []
    for index, line in enumerate(given):
        said = {name: value for name, value in line.items() if value is not None}
        if "id" in said:
            item = there.pop(said["id"], None)  # one that is named twice is not there a second time
            if item is None:
                raise errors.no_such("line item", said["id"], f"line_items[{index}][id]", status=400)
            priced = {"price", "price_data"} & said.keys()
            said = {"quantity": item["quantity"]} | said
            said |= {} if priced else {"price": item["price"]["id"], "own": True}
        found.append(said)
    return found


def currency_of(ctx: Effects, line: Json) -> str:
    """Return the currency of a line."""
    return str((line.get("price_data") or ctx.need("price", line["price"]))["currency"])


def price_of(ctx: Effects, line: Json) -> Json:
    """Return the price of a line. A price made from `price_data` is archived immediately."""
    if line.get("price") is not None:
        return copy.deepcopy(ctx.need("price", line["price"]))
    data = dict(line["price_data"])
    new = data.pop("product_data", None)
    if new is not None:
        data["product"] = ctx.create("product", new)["id"]
    price = ctx.create("price", {**data, "active": False})
    ctx.realm.put(INLINE, price["id"], {})
    return copy.deepcopy(price)


def items(ctx: Effects, lines: list[Json]) -> list[Json]:
    """Return the line items as a session or link lists them."""
    made = []
    for line in lines:
        price, quantity = price_of(ctx, line), line.get("quantity") or 1
        total = amount(price, quantity)
        product = ctx.realm.find("product", price["product"]) or {"name": None}
        item = {
            "id": line.get("id") or "li_" + ctx.draw(24, "base62"),
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": total,
            "amount_tax": 0,
            "amount_total": total,
            "currency": price["currency"],
            "description": product["name"],
            "price": price,
            "quantity": quantity,
        }
        made.append(item)
    return made


def keep(ctx: Effects, owner: str, made: list[Json]) -> None:
    ctx.realm.put(ITEMS, owner, {"items": made})


def of(ctx: Effects, owner: Json) -> list[Json]:
    found: list[Json] = ctx.realm.table(ITEMS).get(owner["id"], {"items": []})["items"]
    return found


def expanded_items(ctx: Effects, owner: Json) -> Json:
    """Return the list of `expand=line_items`: the first ten items."""
    path = {"checkout.session": "checkout/sessions", "payment_link": "payment_links", "quote": "quotes"}[
        owner["object"]
    ]
    found = of(ctx, owner)
    url = f"/v1/{path}/{owner['id']}/line_items"
    return {"object": "list", "data": found[:10], "has_more": len(found) > 10, "url": url}
