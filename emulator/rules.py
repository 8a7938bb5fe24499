"""The rules of single types that no table can say: what excludes what, what blocks what, what comes along."""

from __future__ import annotations

from decimal import Decimal

from emulator import errors
from emulator.effects import Effects
from emulator.errors import Problem
from emulator.wire import Json


def one_of(params: Json, *names: str) -> list[str]:
    """Which of `names` were given; refuses more than one."""
    given = [name for name in names if params.get(name) is not None]
    if len(given) > 1:
        raise errors.both(*given)
    return given


# product


def guard_product(act: Effects, params: Json, product: Json | None) -> None:
    price_id = params.get("default_price")
    if product is not None and price_id is not None:
        price = act.realm.find("price", price_id)
        if price is None or price["product"] != product["id"]:
            raise errors.invalid(
                f"The price specified is not associated with this product: {price_id}", "default_price"
            )


def shape_product(act: Effects, params: Json, product: Json) -> None:
    product["images"] = product["images"] or []
    product["marketing_features"] = product["marketing_features"] or []
    if params.get("default_price_data"):
        price = act.create("price", {**params["default_price_data"], "product": product["id"]})
        product["default_price"] = price["id"]
    product["updated"] = act.second


def product_in_use(act: Effects, product: Json) -> None:
    if any(price["product"] == product["id"] for price in act.realm.all("price")):
        raise Problem(400, "This product cannot be deleted because it has one or more user-created prices.")


# price


def check_amount(params: Json) -> None:
    amount = one_of(params, "unit_amount", "unit_amount_decimal", "custom_unit_amount")
    tiered = params.get("billing_scheme") == "tiered"
    if not amount and not tiered:
        raise Problem(
            400,
            "Prices require an `unit_amount`, `unit_amount_decimal` or `custom_unit_amount` parameter to be set.",
            code="parameter_missing",
            param="unit_amount",
        )
    if tiered and not params.get("tiers"):
        raise errors.missing("tiers")
    errors.within(params.get("unit_amount"), params["currency"], "unit_amount")
    if params.get("unit_amount_decimal") is not None:
        errors.within(int(Decimal(params["unit_amount_decimal"])), params["currency"], "unit_amount_decimal")


def check_price(params: Json) -> None:
    if not one_of(params, "product", "product_data"):
        raise errors.missing("product")
    check_amount(params)


def check_product(params: Json) -> None:
    if params.get("default_price_data"):
        check_amount(params["default_price_data"])


def guard_price(act: Effects, params: Json, price: Json | None) -> None:
    key = params.get("lookup_key")
    if key is not None and not params.get("transfer_lookup_key"):
        for other in act.realm.all("price"):
            if other["lookup_key"] == key and (price is None or other["id"] != price["id"]):
                raise errors.invalid(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
    if price is not None and params.get("active") is False:
        product = act.realm.find("product", price["product"])
        if product is not None and product["default_price"] == price["id"]:
            raise errors.invalid(
                "This price cannot be archived because it is the default price of its product.", "active"
            )
    own = (params.get("product_data") or {}).get("id")
    if own is not None and act.realm.find("product", own) is not None:
        raise errors.already_exists("Product", "product_data[id]")


def shape_price(act: Effects, params: Json, price: Json) -> None:
    if params.get("transfer_lookup_key") and price["lookup_key"]:
        for other in act.realm.all("price"):
            if other["lookup_key"] == price["lookup_key"] and other["id"] != price["id"]:
                act.update("price", other["id"], {"lookup_key": None})
    if "currency" not in params:
        return  # an update: amounts are for ever
    if params.get("product_data"):
        price["product"] = act.create("product", params["product_data"])["id"]
    if params.get("recurring"):
        empty = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
        given = {name: value for name, value in params["recurring"].items() if value is not None}
        price |= {"type": "recurring", "recurring": empty | given}
    if params.get("custom_unit_amount"):
        custom = params["custom_unit_amount"]
        price["custom_unit_amount"] = {name: custom.get(name) for name in ("maximum", "minimum", "preset")}
    if price["unit_amount_decimal"] is not None:
        exact = price["unit_amount_decimal"]
        price["unit_amount"] = None if "." in exact else int(exact)
    elif price["unit_amount"] is not None:
        price["unit_amount_decimal"] = str(price["unit_amount"])


def shows_price(act: Effects, price: Json, asked: Json) -> bool:
    """Active prices, unless asked for the others; inline ones never, as stripe-python's `Price.list` says."""
    return (price["active"] or "active" in asked) and price["id"] not in act.realm.table("inline_prices")


# coupon


def check_coupon(params: Json) -> None:
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


def shape_coupon(act: Effects, params: Json, coupon: Json) -> None:
    coupon["duration"] = coupon["duration"] or "once"
    if coupon["percent_off"] is not None:
        coupon["currency"] = None


def deactivate_codes(act: Effects, coupon: Json) -> None:
    """A promotion code is only active while its coupon is valid (stripe-python, PromotionCode.active)."""
    for code in act.realm.all("promotion_code"):
        if code["promotion"]["coupon"] == coupon["id"] and code["active"]:
            act.update("promotion_code", code["id"], {"active": False})


# promotion_code


def check_promotion(params: Json) -> None:
    if params["promotion"].get("coupon") is None:
        raise errors.missing("promotion[coupon]")
    restrictions = params.get("restrictions") or {}
    if restrictions.get("minimum_amount") is not None and restrictions.get("minimum_amount_currency") is None:
        raise errors.missing("restrictions[minimum_amount_currency]")
    least, currency = restrictions.get("minimum_amount"), restrictions.get("minimum_amount_currency")
    errors.within(least, currency or "usd", "restrictions[minimum_amount]")


def guard_code(act: Effects, params: Json, code: Json | None) -> None:
    """A code is unique among the active ones, whatever its case."""
    if code is not None and params.get("active") and act.realm.find("coupon", code["promotion"]["coupon"]) is None:
        raise errors.invalid("This promotion code cannot be reactivated because its coupon is not valid.", "active")
    text = params.get("code") if code is None else code["code"]
    if text is None or not params.get("active", code is None):
        return
    for other in act.realm.all("promotion_code"):
        same = other["code"].lower() == text.lower() and (code is None or other["id"] != code["id"])
        if same and other["active"] and other["customer"] == (params if code is None else code).get("customer"):
            raise errors.invalid(f"An active promotion code with `code: {text}` already exists.", "code")


def shape_code(act: Effects, params: Json, code: Json) -> None:
    code["code"] = code["code"] or act.draw(8, "upper")
    code["restrictions"] = {
        "first_time_transaction": bool((code["restrictions"] or {}).get("first_time_transaction")),
        "minimum_amount": (code["restrictions"] or {}).get("minimum_amount"),
        "minimum_amount_currency": (code["restrictions"] or {}).get("minimum_amount_currency"),
    }


# webhook_endpoint


def check_url(params: Json) -> None:
    if not params["url"].startswith(("https://", "http://")):
        raise errors.invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")


def shape_endpoint(act: Effects, params: Json, endpoint: Json) -> None:
    if params.get("connect"):
        act.realm.put("connect", endpoint["id"], {})
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
