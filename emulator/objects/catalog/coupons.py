"""Coupons: a discount, and how long it lasts."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem, one_of
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Fields,
    Hash,
    Many,
    MapOf,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import NAMED
from stripe_mongo_sync.emulator.protocol.wire import Json

CURRENCY_DISCOUNTS = MapOf(each=Hash(fields={"amount_off": Whole(least=1, required=True)}), hidden=True)
CREATE: Fields = {
    "amount_off": Whole(least=1),
    "applies_to": Hash(fields={"products": Many(each=Ref(kind="product"))}, fill=False),
    "currency": Currency(),
    "currency_options": CURRENCY_DISCOUNTS,
    "duration": OneOf(values=("forever", "once", "repeating")),
    "duration_in_months": Whole(least=1),
    "id": NAMED,
    "max_redemptions": Whole(least=1),
    "metadata": Metadata(),
    "name": Text(longest=40),
    "percent_off": Number(above=0, most=100),
    "redeem_by": Time(),
}
UPDATE: Fields = {"currency_options": CURRENCY_DISCOUNTS, "metadata": Metadata(), "name": Text(longest=40)}


def _check(params: Json) -> None:
    if not one_of(params, "percent_off", "amount_off"):
        raise Problem(
            400, "You must pass either `percent_off` or `amount_off`.", code="parameter_missing", param="percent_off"
        )
    if params.get("amount_off") is not None and params.get("currency") is None:
        raise Problem(
            400, "You must pass currency when passing amount_off.", code="parameter_missing", param="currency"
        )
    errors.within(params.get("amount_off"), params.get("currency") or "usd", "amount_off")
    repeating = params.get("duration") == "repeating"
    if repeating and params.get("duration_in_months") is None:
        raise Problem(
            400,
            "You must pass duration_in_months when passing duration=repeating.",
            code="parameter_missing",
            param="duration_in_months",
        )
    if not repeating and params.get("duration_in_months") is not None:
        raise errors.invalid("You may only pass duration_in_months when duration=repeating.", "duration_in_months")


def _finish(ctx: Effects, params: Json, coupon: Json) -> None:
    coupon["duration"] = coupon["duration"] or "once"
    if coupon["percent_off"] is not None:
        coupon["currency"] = None


def _deactivate_codes(ctx: Effects, coupon: Json) -> None:
    """Deactivate the promotion codes of a deleted coupon (stripe-python, PromotionCode.active)."""
    for code in ctx.realm.all("promotion_code"):
        if code["promotion"]["coupon"] == coupon["id"] and code["active"]:
            ctx.update("promotion_code", code["id"], {"active": False})


COUPON = Resource(
    kind="coupon",
    path="coupons",
    prefix="",
    width=8,
    alphabet="upper",
    create=CREATE,
    update=UPDATE,
    defaults=blank("amount_off currency duration_in_months max_redemptions name percent_off redeem_by")
    | {"duration": "once", "metadata": {}, "times_redeemed": 0, "valid": True},
    delete="gone",
    includes={"applies_to": lambda ctx, coupon: ctx.need("coupon", coupon["id"])["applies_to"]},
    check=_check,
    finish=_finish,
    on_delete=_deactivate_codes,
)
