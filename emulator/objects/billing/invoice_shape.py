"""The lines of invoices, and their sum."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.protocol.wire import Json


def pricing_of(price: Json) -> Json:
    """Return the `pricing` of a line or item."""
    details = {"price": price["id"], "product": price["product"]}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"]}


def _line(ctx: Effects, invoice: Json, parent: Json, **fields: object) -> Json:
    empty = {"invoice_item_details": None, "subscription_item_details": None}
    return {
        "id": "il_" + ctx.draw(24, "base62"),
        "object": "line_item",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": invoice["livemode"],
        "metadata": {},
        "parent": {**empty, **parent},
        "pretax_credit_amounts": [],
        "taxes": [],
        **fields,
    }


def subscription_of(item: Json) -> str | None:
    """Return the subscription that an invoice item belongs to."""
    owner: str | None = ((item["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return owner


def line(ctx: Effects, invoice: Json, item: Json) -> Json:
    """Return the line of an invoice item."""
    owner, prorated = subscription_of(item), item["proration"]
    details = {"invoice_item": item["id"], "proration": prorated, "subscription": owner}
    details["proration_details"] = {"credited_items": None} if prorated else None
    shown = ("amount", "currency", "description", "metadata", "period", "pricing", "quantity")
    return _line(
        ctx,
        invoice,
        {"type": "invoice_item_details", "invoice_item_details": details},
        subscription=owner,
        subtotal=item["amount"],
        **{name: item[name] for name in shown},
    )


def period_line(ctx: Effects, invoice: Json, item: Json, free: bool) -> Json:
    """Return the line of a subscription item for one period; its amount is 0 in a trial."""
    price, quantity = item["price"], item["quantity"]
    product = ctx.realm.find("product", price["product"]) or {"name": price["product"]}
    total = 0 if free else lines.amount(price, quantity)
    details = {"invoice_item": None, "proration": False, "proration_details": None}
    details |= {"subscription": item["subscription"], "subscription_item": item["id"]}
    each = f"{lines.amount(price, 1) / 100:.2f} / {price['recurring']['interval']}"
    return _line(
        ctx,
        invoice,
        {"type": "subscription_item_details", "subscription_item_details": details},
        amount=total,
        currency=price["currency"],
        description=f"Trial period for {product['name']}" if free else f"{quantity} × {product['name']} (at {each})",
        period={"start": item["current_period_start"], "end": item["current_period_end"]},
        pricing=pricing_of(price),
        quantity=quantity,
        subscription=item["subscription"],
        subtotal=total,
    )


def set_lines(invoice: Json, data: list[Json]) -> None:
    """Set the lines and their sum. With a negative sum, nothing is due."""
    total = sum(each["amount"] for each in data)
    due = max(total, 0)
    url = f"/v1/invoices/{invoice['id']}/lines"
    invoice["lines"] = {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}
    invoice |= dict.fromkeys(("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total)
    invoice |= {"amount_due": due, "amount_remaining": due}
