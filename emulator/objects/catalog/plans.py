"""Plans, the older form of recurring prices. Each is shown as a plan and as a price, with the same id."""

from __future__ import annotations

from typing import Any

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import ACTIVE, Resource, blank, same
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Currency, Field, Fields, Flag, Hash, Metadata, OneOf, Text, Whole
from stripe_mongo_sync.emulator.protocol.params import CENTS, EXACT_CENTS, INTERVAL, PRODUCT_DATA
from stripe_mongo_sync.emulator.protocol.wire import Json

SHARED = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
RHYTHM = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")


def plan_of(price: Json) -> Json | None:
    """Return the plan as which a recurring price is announced again (stripe-facts.md#the-request-of-an-event)."""
    if price["type"] != "recurring":
        return None
    return {name: price[name] for name in SHARED} | {
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        **{name: price["recurring"][name] for name in RHYTHM},
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
    }


def price_of(plan: Json) -> Json:
    """Return a plan as a price."""
    return {name: plan[name] for name in SHARED} | {
        "object": "price",
        "custom_unit_amount": None,
        "lookup_key": None,
        "recurring": {name: plan[name] for name in RHYTHM},
        "tax_behavior": "unspecified",
        "tiers_mode": plan["tiers_mode"],
        "transform_quantity": plan["transform_usage"],
        "type": "recurring",
        "unit_amount": plan["amount"],
        "unit_amount_decimal": plan["amount_decimal"],
    }


class Product(Field):
    """The id of a product, or the parameters of a new one."""

    new = Hash(fields=PRODUCT_DATA, fill=False)

    def parse(self, raw: Any, name: str) -> Any:
        return self.new.parse(raw, name) if isinstance(raw, dict) else Text().parse(raw, name)


def _check(params: Json) -> None:
    if (params.get("amount") is None) == (params.get("amount_decimal") is None):
        raise errors.missing("amount")
    if params.get("product") is None:
        raise errors.missing("product")


def _check_state(ctx: Effects, params: Json, plan: Json | None) -> None:
    product = params.get("product")
    if isinstance(product, str) and ctx.realm.find("product", product) is None:
        raise errors.no_such("product", product, "product", 400)


def _finish(ctx: Effects, params: Json, plan: Json) -> None:
    if isinstance(params.get("product"), dict):
        plan["product"] = ctx.create("product", params["product"])["id"]
    if "currency" in params:
        exact = plan["amount_decimal"] if plan["amount"] is None else str(plan["amount"])
        plan |= {"amount": None if "." in exact else int(exact), "amount_decimal": exact}


SHOWN: Fields = {
    "active": Flag(),
    "metadata": Metadata(),
    "nickname": Text(),
    "product": Product(),
    "trial_period_days": Whole(least=0),
}
PLAN = Resource(
    kind="plan",
    path="plans",
    prefix="plan_",
    width=14,
    create={
        **SHOWN,
        "amount": CENTS,
        "amount_decimal": EXACT_CENTS,
        "currency": Currency(required=True),
        "id": Text(unset=False),
        "interval": INTERVAL,
        "interval_count": Whole(least=1),
        "meter": Text(),
        "usage_type": OneOf(values=("licensed", "metered")),
    },
    update=SHOWN,
    defaults=blank("amount amount_decimal meter nickname product tiers_mode transform_usage trial_period_days")
    | {"active": True, "billing_scheme": "per_unit", "currency": "usd", "interval": "month", "interval_count": 1}
    | {"metadata": {}, "usage_type": "licensed"},
    filters={**ACTIVE, "product": same("product")},
    expands={"product": "product"},
    delete="gone",
    check=_check,
    check_state=_check_state,
    finish=_finish,
    companion=price_of,
)
