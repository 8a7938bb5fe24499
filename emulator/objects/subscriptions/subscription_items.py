"""The items of a subscription: rules for their prices, and changes."""

from __future__ import annotations

from dataclasses import replace

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank, same
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.objects.catalog.plans import plan_of
from stripe_mongo_sync.emulator.objects.subscriptions.renewals import after
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Metadata, Ref, Text, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json


def prices(ctx: Effects, given: list[Json]) -> None:
    """Check that all prices are recurring, with the same interval."""
    lines.check_state(ctx, given, "subscription", name="items")
    rhythms = []
    for index, line in enumerate(given):
        price = line.get("price_data") or ctx.need("price", line["price"])
        if price.get("recurring") is None:
            raise errors.invalid(
                "The price specified is set to `type=one_time` but this field only accepts prices with "
                "`type=recurring`.",
                f"items[{index}][price]",
            )
        rhythms.append((price["recurring"]["interval"], price["recurring"].get("interval_count") or 1))
    if len(set(rhythms)) > 1:
        raise errors.invalid("Currency and interval fields must match across all plans on this subscription.", "items")


def check_state(ctx: Effects, params: Json, subscription: Json) -> None:
    """Check a change of items."""
    given = params.get("items")
    if given is None:
        return
    known = {item["id"]: item for item in subscription["items"]["data"]}
    for index, line in enumerate(given):
        if line.get("id") is not None and line["id"] not in known:
            raise errors.no_such("subscription item", line["id"], f"items[{index}][id]", 400)
        if line.get("id") is None and line.get("price") is None and line.get("price_data") is None:
            raise errors.missing(f"items[{index}][price]")
    dropped = {line.get("id") for line in given if line.get("deleted")}
    changed = {line.get("id"): line for line in given}
    left = [
        {**changed.get(id, {}), "price": changed.get(id, {}).get("price") or item["price"]["id"]}
        for id, item in known.items()
        if id not in dropped
    ]
    new = [line for line in given if line.get("id") is None]
    if not left and not new:
        raise errors.invalid("A subscription must have at least one active plan.", "items")
    prices(ctx, [*left, *new])


def cost(ctx: Effects, line: Json) -> int:
    price = line.get("price_data") or ctx.need("price", line["price"])
    exact = price.get("unit_amount_decimal") or str(price.get("unit_amount") or 0)
    whole = blank("custom_unit_amount transform_quantity") | price | {"unit_amount_decimal": exact}
    return lines.amount(whole, 1 if line.get("quantity") is None else line["quantity"])


def add(ctx: Effects, subscription: Json, line: Json) -> None:
    price = lines.price_of(ctx, line)
    start = ctx.second
    item = {
        "id": "si_" + ctx.draw(14, "base62"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": ctx.second,
        "current_period_end": after(start, price["recurring"], start),
        "current_period_start": start,
        "discounts": [],
        "metadata": line.get("metadata") or {},
        "plan": plan_of(price),
        "price": price,
        "quantity": 1 if line.get("quantity") is None else line["quantity"],
        "subscription": subscription["id"],
        "tax_rates": [],
    }
    if subscription["items"]["data"]:
        first = subscription["items"]["data"][0]
        item |= {name: first[name] for name in ("current_period_end", "current_period_start")}
    subscription["items"]["data"].append(item)
    subscription["items"]["total_count"] += 1


def change(ctx: Effects, subscription: Json, line: Json) -> None:
    data = subscription["items"]["data"]
    item = next((each for each in data if each["id"] == line.get("id")), None)
    if item is None:
        add(ctx, subscription, line)
    elif line.get("deleted"):
        data.remove(item)
        subscription["items"]["total_count"] -= 1
    else:
        if line.get("price") is not None or line.get("price_data") is not None:
            item["price"] = lines.price_of(ctx, line)
            item["plan"] = plan_of(item["price"])
        if line.get("quantity") is not None:
            item["quantity"] = line["quantity"]
        item["metadata"] |= line.get("metadata") or {}


def replace_all(ctx: Effects, subscription: Json, wanted: list[Json]) -> None:
    """Give the subscription exactly these items; one of the same price stays itself."""
    left = list(subscription["items"]["data"])
    for line in wanted:
        item = next((each for each in left if each["price"]["id"] == line["price"]), None)
        if item is not None:
            left.remove(item)
        change(ctx, subscription, {**line, "id": item and item["id"]})
    for item in left:
        change(ctx, subscription, {"id": item["id"], "deleted": True})


ITEM: Fields = {
    "metadata": Metadata(),
    "price": Ref(kind="price"),
    "price_data": Hash(fields={**lines.SOLD, "recurring": replace(lines.SOLD["recurring"], required=True)}, fill=False),
    "quantity": Whole(least=0, most=999_999),
}
CHANGED: Fields = {**ITEM, "deleted": Flag(), "id": Text()}


def _all(ctx: Effects) -> list[Json]:
    """Return all items, in an order in which the list shows those of one second as their subscription does."""
    return [item for owner in ctx.realm.all("subscription") for item in reversed(owner["items"]["data"])]


SUBSCRIPTION_ITEM = Resource(
    kind="subscription_item",
    path="subscription_items",
    prefix="si_",
    has_livemode=False,
    created_filter=False,
    filters={"subscription": same("subscription", Text(required=True))},
    events=(),
    within=_all,
)
