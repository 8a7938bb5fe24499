"""The rules of customers: their cards, and their subscriptions."""

from __future__ import annotations

import copy

from emulator import cards, discounts, renewals, sources
from emulator.effects import Effects
from emulator.wire import Json


def guard_customer(act: Effects, params: Json, customer: Json | None) -> None:
    """The default payment method is one of the customer's own (a new customer has only the one that comes along)."""
    if params.get("source") is not None:
        sources.look(params["source"])
    if params.get("default_source") is not None:
        sources.owned(act, customer["id"] if customer else "", params["default_source"], "default_source", 400)
    if params.get("payment_method") is not None:
        cards.attachable(act, cards.peek(act, params["payment_method"]), None)
    default = (params.get("invoice_settings") or {}).get("default_payment_method")
    if default is None or (customer is None and default == params.get("payment_method")):
        return
    cards.belongs(act, default, customer["id"] if customer else "", "invoice_settings[default_payment_method]")


def shape_customer(act: Effects, params: Json, customer: Json) -> None:
    customer["invoice_prefix"] = customer["invoice_prefix"] or act.draw(8, "upper")
    customer["preferred_locales"] = customer["preferred_locales"] or []
    customer["tax_exempt"] = customer["tax_exempt"] or "none"
    if params.get("source") is not None:
        customer["default_source"] = sources.keep(act, params["source"], customer["id"])["id"]
    if "coupon" in params:
        discounts.give(act, customer, params["coupon"])
    id = params.get("payment_method")
    if id is not None:
        method = cards.hand_over(act, act.named("payment_method", id), customer["id"])
        if customer["invoice_settings"]["default_payment_method"] == id:
            customer["invoice_settings"]["default_payment_method"] = method["id"]


def cancel_subscriptions(act: Effects, customer: Json) -> None:
    """Deleting a customer cancels its subscriptions at once (facts, section 5)."""
    for subscription in act.realm.all("subscription"):
        if subscription["customer"] == customer["id"] and subscription["status"] not in renewals.OVER:
            renewals.end(act, copy.deepcopy(subscription))


def methods_of(act: Effects, customer: Json) -> list[Json]:
    """Its payment methods, the newest first."""
    return [each for each in reversed(act.realm.all("payment_method")) if each["customer"] == customer["id"]]


def subscriptions_of(act: Effects, customer: Json) -> Json:
    data = [
        each
        for each in reversed(act.realm.all("subscription"))
        if each.get("customer") == customer["id"] and each.get("status") != "canceled"
    ]
    url = f"/v1/customers/{customer['id']}/subscriptions"
    return {"object": "list", "data": data[:10], "has_more": len(data) > 10, "url": url}
