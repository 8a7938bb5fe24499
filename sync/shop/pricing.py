"""Plans the payment of an order: computes what it costs from everything that Stripe shows of the prices, or leaves that
to Stripe, and completes all that will be sent.

Every field of a price is listed here, and a test compares the list with stripe-python's. An unknown field ends the
computation, because it might change the amount.
"""

import re
from fractions import Fraction
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import (
    CheckoutSession,
    Customer,
    Order,
    PaymentIntent,
    Price,
    Product,
    Status,
    SyncedDocument,
)
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.input import Invalid, accepted, params, stored, validate
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.params.amounts import LARGEST
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.engine.references import used
from stripe_mongo_sync.sync.engine.saga import build_operation, plan

Json = dict[str, Any]
PAYMENTS: dict[str, type[SyncedDocument]] = {"checkout": CheckoutSession, "payment_intent": PaymentIntent}
OURS = ("username", "items", "payment")  # the parameters of an order that are not those of its payment
# Parameters of a session by which the buyer pays another amount than that of the prices: it is Stripe's to say.
REPRICING = ("allow_promotion_codes", "automatic_tax", "discounts", "managed_payments", "shipping_options")
AT_ONCE = ("confirmation_token", "payment_method", "payment_method_data")  # to pay with
CHOOSING = ("allowed_payment_method_types", "automatic_payment_methods", "confirmation_token")  # the ways to pay

# Fields that never change the amount: our payments compute no tax, for which alone `tax_behavior` matters, and are in
# the price's own currency, so that its `currency_options` do not matter.
SILENT = {
    *("active", "created", "id", "livemode", "lookup_key", "metadata", "nickname", "object", "product", "type"),
    *("currency", "currency_options", "tax_behavior"),
}
NEUTRAL = {  # fields that do not change the amount as long as they have this value, or none
    "billing_scheme": "per_unit",
    "custom_unit_amount": None,
    "deleted": None,
    "recurring": None,
    "tiers": None,
    "tiers_mode": None,
}
UNDERSTOOD = {"transform_quantity", "unit_amount", "unit_amount_decimal"}
MOST = 999_999  # of one price
EXACT = re.compile(r"\d+(\.\d+)?", re.ASCII)


@plan.register(Order)
def _(order: type[Order], id: ObjectId, values: Json, own_id: str | None) -> tuple[Json, Json]:
    """Return the completed `values` of an order, and its operation, which creates its payment with a chosen id."""
    customer = _buyer(values.get("username"), f"{order.resource.kind}:{id}")
    payment, way = ObjectId(), values["payment"]
    model = PAYMENTS[way]
    lines = [{**line, "quantity": 1 if line.get("quantity") is None else line["quantity"]} for line in values["items"]]
    amount, currency = total_of(lines, by_stripe=way == "checkout")
    given = {name: value for name, value in values.items() if name not in OURS and value not in (None, "", [])}
    others = [name for name in given if name not in accepted(model, "create")]
    others += [f"items.{n}.tax_rates" for n, line in enumerate(lines) if line.get("tax_rates") and way != "checkout"]
    if others:
        raise Invalid(dict.fromkeys(others, f"does not go with payment {way}"))
    repriced = any(name in given for name in REPRICING) or any(line.get("tax_rates") for line in lines)
    wanted = _session(given, lines, currency) if way == "checkout" else _intent(given, sure(amount), currency)
    buyer = {} if customer is None else {"customer": customer.stripe_id}
    paying = model.with_derived(validate(model, {**wanted, **buyer}, "create"))
    call = Call(model.resource.path, params(model, paying, "create"))
    planned = {"values": stored(model, paying), "operation": build_operation(model, payment, "create", [call])}
    completed = {
        **stored(order, {**values, "items": lines}),
        "customer": customer and customer.stripe_id,
        "currency": currency,
        "amount_total": None if repriced else amount,
        "amount_by_stripe": repriced,
        "amount_refunded": 0,
        "amount_lost": 0,
        "disputes": [],
        "payment_status": PaymentStatus.PENDING,
        "payment_id": payment,
    }
    return completed, build_operation(order, id, "create", [Call("", planned)])


def _buyer(username: str | None, by: str) -> Customer | None:
    """Return the customer with this username, whom the order `by` uses from now on; None of a guest. Raises Invalid."""
    if username in (None, ""):
        return None
    customer = Customer.by_username(username)
    if customer is None or customer.status != Status.ACTIVE:
        raise Invalid({"username": "there is no such customer here" if customer is None else "is not active"})
    used(customer, "username", by)
    return customer


def _session(given: Json, lines: list[Json], currency: str) -> Json:
    if "success_url" not in given:
        raise Invalid({"success_url": "is required: where the buyer returns to after paying"})
    # Without `currency`, Stripe may charge a buyer from elsewhere in another currency of these prices.
    return {**given, "mode": "payment", "currency": currency, "line_items": lines}


def _intent(given: Json, amount: int, currency: str) -> Json:
    wanted = {**given, "amount": amount, "currency": currency}
    at_once = any(name in given for name in AT_ONCE)
    if at_once:
        wanted["confirm"] = True
    if not any(name in given for name in CHOOSING):
        never = {"allow_redirects": "never"} if at_once and "return_url" not in given else {}
        wanted["automatic_payment_methods"] = {"enabled": True, **never}
    if not at_once:
        wanted.pop("return_url", None)  # Stripe takes it only with a confirmation
    return wanted


class Unreckonable(ValueError):
    """Only Stripe can compute the amount; the message says why."""


def reckon(price: dict[str, Any], quantity: int) -> int:
    """Return what a quantity costs, in the minor unit, at a price as Stripe shows it. Raises Unreckonable."""
    for name, value in price.items():
        if value is not None and name not in SILENT | UNDERSTOOD and value != NEUTRAL.get(name):
            raise Unreckonable(f"has a {name} that changes the amount")
    amount = _unit(price) * _billed(price.get("transform_quantity"), quantity)
    if amount.denominator != 1:
        raise Unreckonable(f"amounts to {float(amount):g}, which is no whole amount")
    return amount.numerator


def _unit(price: dict[str, Any]) -> Fraction:
    """Return the price of one, which Stripe shows with all its decimals and, where it is whole, without, too."""
    whole, exact = price.get("unit_amount"), price.get("unit_amount_decimal")
    shown = str(whole if exact is None else exact)
    if not EXACT.fullmatch(shown) or (whole is not None and Fraction(shown) != whole):
        raise Unreckonable("has no unit amount")
    return Fraction(shown)


def _billed(transform: Any, quantity: int) -> int:
    """Return how often the unit amount is charged: with package pricing, once per package."""
    match transform:
        case None:
            return quantity
        case {"divide_by": int(size), "round": "up" | "down" as way, **others} if size > 0 and not others:
            return -(-quantity // size) if way == "up" else quantity // size
    raise Unreckonable("has a transform_quantity that this version does not know")


def total_of(items: list[dict[str, Any]], *, by_stripe: bool) -> tuple[int | None, str]:
    """Return the total of the items and its currency, by the prices that we know from Stripe. Raises Invalid.

    A total that only Stripe can compute is None `by_stripe` (by checkout); else it is Invalid.
    """
    if not items:
        raise Invalid({"items": "is empty"})
    amounts: list[int | None] = []
    currencies, problems = set(), {}
    for number, item in enumerate(items):
        price = sure(Price.by_stripe_id(item["price"]))  # references are resolved before
        currencies.add(price.currency.lower())
        if not 1 <= item["quantity"] <= MOST:
            problems[f"items.{number}.quantity"] = f"must be from 1 to {MOST}"
            continue
        if problem := _unsellable(price):
            problems[f"items.{number}.price"] = problem
            continue
        try:
            amounts.append(reckon(price.stripe or {}, item["quantity"]))
        except Unreckonable as why:
            amounts.append(None)
            if not by_stripe:
                problems[f"items.{number}.price"] = f"{why}: only Stripe can compute that, so sell it by checkout"
    if len(currencies) > 1:
        problems["items"] = f"are in several currencies: {', '.join(sorted(currencies))}"
    known = [amount for amount in amounts if amount is not None]
    total = sum(known) if len(known) == len(items) else None
    if not problems and total is not None and not 0 < total <= LARGEST:
        problems["items"] = f"amount to {total}: an amount must be from 1 to {LARGEST}"
    if problems:
        raise Invalid(problems)
    return total, currencies.pop()


def _unsellable(price: Price) -> str | None:
    """Return why this price cannot be sold, or None."""
    shown = price.stripe or {}
    if price.recurring is not None or shown.get("type") == "recurring":
        return "recurs: sell it by a checkout session or a subscription"
    if price.active is False:
        return "is archived"
    if shown.get("custom_unit_amount") is not None:
        return "lets the buyer choose the amount: an order has one"
    product = Product.by_stripe_id(price.product) if isinstance(price.product, str) else None
    if product is not None and product.status == Status.DELETED:
        return "is of a product that was deleted"
    return "is of a product that is archived" if product is not None and product.active is False else None
