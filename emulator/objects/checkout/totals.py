"""The total of a checkout session: its lines with a discount and tax rates, and its shipping."""

from __future__ import annotations

import copy
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.wire import Json


def check(params: Json) -> None:
    """Refuse what cannot be together."""
    if params.get("discounts") and params.get("allow_promotion_codes") is not None:
        raise errors.both("allow_promotion_codes", "discounts")
    for index, discount in enumerate(params.get("discounts") or []):
        if len(errors.one_of(discount, "coupon", "promotion_code")) != 1:
            raise errors.missing(f"discounts[{index}][coupon]")
    for index, option in enumerate(params.get("shipping_options") or []):
        if len(errors.one_of(option, "shipping_rate", "shipping_rate_data")) != 1:
            raise errors.missing(f"shipping_options[{index}][shipping_rate]")
    for name, most in (("discounts", 1), ("shipping_options", 5)):
        if len(params.get(name) or []) > most:
            raise errors.invalid(f"Array {name} exceeded maximum {most} allowed elements.", name)
        if params.get(name) and params["mode"] != "payment" and name == "shipping_options":
            raise errors.invalid(f"You can not pass `{name}` in `{params['mode']}` mode.", name)


def check_state(ctx: Effects, params: Json, currency: str) -> None:
    """Refuse a discount, a rate or a tax that cannot be used now."""
    for index, given in enumerate(params.get("discounts") or []):
        discount_of(ctx, given, currency, f"discounts[{index}]")
    for index, option in enumerate(params.get("shipping_options") or []):
        rate = option.get("shipping_rate_data") or ctx.need("shipping_rate", option["shipping_rate"])
        path = f"shipping_options[{index}][shipping_rate]"
        if not rate.get("active", True):
            raise errors.invalid("The shipping rate is inactive.", path)
        if (rate.get("fixed_amount") or {}).get("currency") != currency:
            raise errors.invalid("The shipping rate must have the currency of the session.", path)
    for index, line in enumerate(params.get("line_items") or []):
        for id in line.get("tax_rates") or []:
            if not ctx.need("tax_rate", id)["active"]:
                message = f"The tax rate {id} is inactive and cannot be applied."
                raise errors.invalid(message, f"line_items[{index}][tax_rates]")


def discount_of(ctx: Effects, given: Json, currency: str, path: str) -> tuple[Json, str | None]:
    """Return the coupon of a discount, and the id of its promotion code. Raises Problem."""
    code = None if given.get("promotion_code") is None else ctx.need("promotion_code", given["promotion_code"])
    if code is not None and not code["active"]:
        raise errors.invalid("This promotion code is not active.", f"{path}[promotion_code]")
    coupon = ctx.need("coupon", given["coupon"] if code is None else code["promotion"]["coupon"])
    if not coupon["valid"]:
        raise errors.invalid(f"Coupon expired: {coupon['id']}", f"{path}[coupon]")
    if coupon["amount_off"] is not None and coupon["currency"] != currency:
        raise errors.invalid("The coupon must have the currency of the session.", f"{path}[coupon]")
    return coupon, None if code is None else str(code["id"])


def finish(ctx: Effects, params: Json, session: Json) -> None:
    """Complete a new session: its shipping options, its discount, and its total."""
    session["shipping_options"] = [_shipping(ctx, option) for option in params.get("shipping_options") or []]
    taxed = (params.get("automatic_tax") or {}).get("enabled") is True
    if taxed:  # nobody is registered to collect tax, so it comes to nothing
        self_ = {"type": "self"}
        status = "requires_location_inputs"
        session["automatic_tax"] = {"enabled": True, "liability": self_, "provider": "stripe", "status": status}
    rates = [line.get("tax_rates") or [] for line in params["line_items"]]
    ctx.realm.put("tax_rates_of_lines", session["id"], {"lines": rates})
    given = (params.get("discounts") or [None])[0]
    total(ctx, session, given)


def _shipping(ctx: Effects, option: Json) -> Json:
    rate = option.get("shipping_rate")
    if rate is None:
        rate = ctx.create("shipping_rate", option["shipping_rate_data"])["id"]
    return {"shipping_amount": ctx.need("shipping_rate", rate)["fixed_amount"]["amount"], "shipping_rate": rate}


def total(ctx: Effects, session: Json, given: Json | None) -> None:
    """Compute the total of a session with this discount, as the first shipping option is chosen."""
    made = copy.deepcopy(lines.of(ctx, session))
    coupon, code = (None, None) if given is None else discount_of(ctx, given, made[0]["currency"], "discounts[0]")
    session["discounts"] = [] if coupon is None else [{"coupon": coupon["id"], "promotion_code": code}]
    off = _off(ctx, coupon, made)
    rates = ctx.realm.table("tax_rates_of_lines")[session["id"]]["lines"]
    for item, less, ids in zip(made, off, rates, strict=True):
        added, within = _taxes(item["amount_subtotal"] - less, [ctx.need("tax_rate", id) for id in ids])
        item |= {"amount_discount": less, "amount_tax": added + within}
        item["amount_total"] = item["amount_subtotal"] - less + added
    lines.keep(ctx, session["id"], made)
    shipping = session["shipping_options"][0] if session["shipping_options"] else None
    cost = 0 if shipping is None else shipping["shipping_amount"]
    if shipping is not None:
        amounts = {"amount_subtotal": cost, "amount_tax": 0, "amount_total": cost}
        session["shipping_cost"] = {**amounts, "shipping_rate": shipping["shipping_rate"]}
    session["amount_subtotal"] = sum(item["amount_subtotal"] for item in made)
    session["amount_total"] = sum(item["amount_total"] for item in made) + cost
    session["total_details"] = {
        "amount_discount": sum(off),
        "amount_shipping": cost,
        "amount_tax": sum(item["amount_tax"] for item in made),
    }
    if session["mode"] == "payment":
        session["payment_status"] = "unpaid" if session["amount_total"] else "no_payment_required"


def _off(ctx: Effects, coupon: Json | None, made: list[Json]) -> list[int]:
    """Return the discount of each line: a percentage of each, or an amount over all in proportion."""
    if coupon is None:
        return [0] * len(made)
    of = ctx.need("coupon", coupon["id"]).get("applies_to") or {}
    products = of.get("products")
    sums = [item["amount_subtotal"] if not products or item["price"]["product"] in products else 0 for item in made]
    if coupon["percent_off"] is not None:
        return [_whole(Fraction(each) * Fraction(str(coupon["percent_off"])) / 100) for each in sums]
    rest, left, found = sum(sums), min(coupon["amount_off"], sum(sums)), []
    for each in sums:
        part = _whole(Fraction(left * each, rest)) if rest else 0
        found.append(part)
        left, rest = left - part, rest - each
    return found


def _taxes(net: int, rates: list[Json]) -> tuple[int, int]:
    """Return the tax that is added to an amount, and the tax that it includes."""
    inclusive = sum((Fraction(str(rate["percentage"])) for rate in rates if rate["inclusive"]), Fraction())
    base = Fraction(net) / (1 + inclusive / 100)
    added = sum(_whole(base * Fraction(str(rate["percentage"])) / 100) for rate in rates if not rate["inclusive"])
    return added, net - _whole(base)


def _whole(amount: Fraction) -> int:
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return int(exact.to_integral_value(ROUND_HALF_UP))
