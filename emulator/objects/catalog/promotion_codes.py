"""Promotion codes, which a customer enters to redeem a coupon."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import ACTIVE, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import (
    Currency,
    Fields,
    Flag,
    Hash,
    MapOf,
    Metadata,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.wire import Json

CURRENCY_MINIMUMS = MapOf(each=Hash(fields={"minimum_amount": Whole(least=1)}), hidden=True)
RESTRICTIONS: Fields = {
    "currency_options": CURRENCY_MINIMUMS,
    "first_time_transaction": Flag(),
    "minimum_amount": Whole(least=1),
    "minimum_amount_currency": Currency(),
}
CREATE: Fields = {
    "active": Flag(),
    "code": Text(longest=500, pattern="[A-Za-z0-9-]+"),
    "customer": Ref(kind="customer"),
    "customer_account": Text(),
    "expires_at": Time(),
    "max_redemptions": Whole(least=1),
    "metadata": Metadata(),
    # Since 2025-09-30.clover; before, the coupon was a parameter of its own.
    "promotion": Hash(
        fields={"type": OneOf(values=("coupon",), required=True), "coupon": Ref(kind="coupon")}, required=True
    ),
    "restrictions": Hash(fields=RESTRICTIONS, fill=False),
}
UPDATE: Fields = {
    "active": Flag(),
    "metadata": Metadata(),
    "restrictions": Hash(fields={"currency_options": CURRENCY_MINIMUMS}, merge=True),
}


def _check(params: Json) -> None:
    if params["promotion"].get("coupon") is None:
        raise errors.missing("promotion[coupon]")
    restrictions = params.get("restrictions") or {}
    if restrictions.get("minimum_amount") is not None and restrictions.get("minimum_amount_currency") is None:
        raise errors.missing("restrictions[minimum_amount_currency]")
    least, currency = restrictions.get("minimum_amount"), restrictions.get("minimum_amount_currency")
    errors.within(least, currency or "usd", "restrictions[minimum_amount]")


def _check_state(ctx: Effects, params: Json, code: Json | None) -> None:
    """Refuse a code that another active promotion code has, in any case."""
    if code is not None and params.get("active") and ctx.realm.find("coupon", code["promotion"]["coupon"]) is None:
        raise errors.invalid("This promotion code cannot be reactivated because its coupon is not valid.", "active")
    text = params.get("code") if code is None else code["code"]
    if text is None or not params.get("active", code is None):
        return
    for other in ctx.realm.all("promotion_code"):
        same = other["code"].lower() == text.lower() and (code is None or other["id"] != code["id"])
        if same and other["active"] and other["customer"] == (params if code is None else code).get("customer"):
            raise errors.invalid(f"An active promotion code with `code: {text}` already exists.", "code")


def _finish(ctx: Effects, params: Json, code: Json) -> None:
    code["code"] = code["code"] or ctx.draw(8, "upper")
    code["restrictions"] = {
        "first_time_transaction": bool((code["restrictions"] or {}).get("first_time_transaction")),
        "minimum_amount": (code["restrictions"] or {}).get("minimum_amount"),
        "minimum_amount_currency": (code["restrictions"] or {}).get("minimum_amount_currency"),
    }


PROMOTION_CODE = Resource(
    kind="promotion_code",
    path="promotion_codes",
    prefix="promo_",
    label="promotion code",
    create=CREATE,
    update=UPDATE,
    defaults=blank("code customer customer_account expires_at max_redemptions promotion restrictions")
    | {"active": True, "metadata": {}, "times_redeemed": 0},
    filters={
        **ACTIVE,
        "code": Filter(Text(), lambda promo, code: promo["code"].lower() == code.lower()),
        "coupon": Filter(Text(), lambda promo, coupon: promo["promotion"]["coupon"] == coupon),
        "customer": same("customer"),
        "customer_account": same("customer_account"),
    },
    expands={"customer": "customer", "promotion.coupon": "coupon"},
    events=("created", "updated"),
    check=_check,
    check_state=_check_state,
    finish=_finish,
)
