"""Prorations: a change in the middle of a period credits the time that is left of the old items, and bills the new.

They are computed to the second, each rounded half up (stripe-facts.md#prorations-and-previews).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.billing.invoice_shape import pricing_of
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.objects.subscriptions.renewals import period
from stripe_mongo_sync.emulator.protocol.wire import Json


def credit(ctx: Effects, subscription: Json, items: list[Json], at: int) -> None:
    """Create the pending items that give back the unused time of these items from a second on."""
    for item in items:
        _keep(ctx, subscription, item, at, -1)


def bill(ctx: Effects, subscription: Json, items: list[Json], at: int) -> None:
    """Create the pending items that bill the remaining time of these items from a second on."""
    for item in items:
        _keep(ctx, subscription, item, at, 1)


def changed(before: list[Json], after: list[Json]) -> tuple[list[Json], list[Json]]:
    """Return the items of before that were removed or changed, and those of after that are new or changed."""
    return [item for item in before if not _is_in(item, after)], [item for item in after if not _is_in(item, before)]


def _is_in(item: Json, others: list[Json]) -> bool:
    same = (other for other in others if other["id"] == item["id"])
    return any((other["price"]["id"], other["quantity"]) == (item["price"]["id"], item["quantity"]) for other in same)


def _keep(ctx: Effects, subscription: Json, item: Json, at: int, sign: int) -> None:
    price, (start, end) = item["price"], period(subscription)
    if price["recurring"].get("usage_type") == "metered" or not start <= at < end:
        return
    share = Decimal(lines.amount(price, item["quantity"])) * (end - at) / (end - start)
    product = ctx.realm.find("product", price["product"]) or {"name": price["product"]}
    spoken = f"{item['quantity']} × {product['name']} after {datetime.fromtimestamp(at, UTC):%d %b %Y}"
    amount = sign * int(share.to_integral_value(ROUND_HALF_UP))
    owner = {"subscription": subscription["id"], "subscription_item": item["id"]}
    made = ctx.make(
        "invoiceitem",
        amount=amount,
        currency=price["currency"],
        customer=subscription["customer"],
        description=f"{'Unused' if sign < 0 else 'Remaining'} time on {spoken}",
        discountable=False,
        net_amount=amount,
        parent={"subscription_details": owner, "type": "subscription_details"},
        period={"start": at, "end": end},
        pricing=pricing_of(price),
        proration=True,
        quantity=item["quantity"],
        quantity_decimal=str(item["quantity"]),
    )
    ctx.announce("invoiceitem.created", made)
