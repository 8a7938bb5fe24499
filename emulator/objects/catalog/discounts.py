"""Discounts of customers: a coupon that applies to all their invoices."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Route, blank
from stripe_mongo_sync.emulator.engine.steps import change
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.wire import Json


def give(ctx: Effects, customer: Json, coupon: str | None) -> None:
    """Replace the coupon of a customer; None removes it."""
    old = customer["discount"]
    if coupon is None:
        customer["discount"] = None
        if old is not None:
            ctx.announce("customer.discount.deleted", old)
        return
    customer["discount"] = blank(
        "checkout_session customer_account end invoice invoice_item promotion_code subscription subscription_item"
    ) | {
        "id": "di_" + ctx.draw(24, "base62"),
        "object": "discount",
        "customer": customer["id"],
        "source": {"type": "coupon", "coupon": coupon},
        "start": ctx.second,
    }
    ctx.announce(f"customer.discount.{'created' if old is None else 'updated'}", customer["discount"])


def _remove(ctx: Effects, params: Json, id: str) -> Json:
    """DELETE /v1/customers/<id>/discount."""
    customer = {**ctx.need("customer", id)}
    removed = customer["discount"]
    if removed is None:
        raise errors.no_such("active discount for customer", id)
    give(ctx, customer, None)
    change(ctx, {**ctx.need("customer", id)}, "customer.updated", discount=None)
    return {name: value for name, value in removed.items() if name != "end"} | {"deleted": True}


ROUTES = (Route("DELETE", "customers/{}/discount", "customer", _remove),)
