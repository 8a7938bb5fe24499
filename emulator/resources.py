"""The table of Stripe types: to serve another type, add one row."""

from __future__ import annotations

from typing import Any

from emulator import rules, shapes
from emulator.fields import Currency, Fields, Flag, Hash, Many, MapOf, Metadata, Number, OneOf, Ref, Text, Time, Whole
from emulator.resource import ACTIVE, Filter, Resource, same
from emulator.wire import Json

META: Fields = {"metadata": Metadata()}
NAMED = Text(unset=False)
EVENT_NAMES = Many(each=Text(), required=True)
NO_ADDRESS: Json = {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None}


def among(name: str) -> Filter:
    """Objects whose field is one of the values."""
    return Filter(Many(each=Text()), lambda object, values: object.get(name) in values)


def recurs(object: Json, value: Json) -> bool:
    recurring: Json = object["recurring"] or {}
    return all(recurring.get(name) == wanted for name, wanted in value.items())


def in_status(object: Json, value: Any) -> bool:
    return bool(value == "all" or object.get("status") == value)


CUSTOMER = Resource(
    kind="customer",
    path="customers",
    prefix="cus_",
    width=14,
    create={
        **shapes.CUSTOMER,
        "payment_method": Ref(kind="payment_method", hidden=True),
        "tax_id_data": Many(each=Hash(fields={"type": Text(required=True), "value": Text(required=True)}), hidden=True),
        "test_clock": Ref(kind="test_helpers.test_clock"),
    },
    update={**shapes.CUSTOMER, "default_source": Ref(kind="source")},
    defaults={
        "address": None,
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": None,
        "invoice_settings": NO_ADDRESS,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    },
    filters={"email": same("email"), "test_clock": same("test_clock")},
    includes={"subscriptions": rules.subscriptions_of},
    delete="stub",
    shape=rules.shape_customer,
    gone=rules.cancel_subscriptions,
)

PRODUCT_FIELDS: Fields = {
    "active": Flag(),
    "description": Text(longest=40_000),
    "images": Many(each=Text(), most=8),
    "marketing_features": shapes.FEATURES,
    "metadata": Metadata(),
    "package_dimensions": shapes.PACKAGE,
    "shippable": Flag(),
    "statement_descriptor": shapes.PRODUCT_DATA["statement_descriptor"],
    "tax_code": Text(),
    "tax_details": shapes.TAX_DETAILS,
    "unit_label": Text(),
    "url": Text(),
}
PRODUCT = Resource(
    kind="product",
    path="products",
    prefix="prod_",
    width=14,
    own_id=True,
    create={
        **PRODUCT_FIELDS,
        "name": Text(required=True),
        "id": NAMED,
        "type": OneOf(values=("good", "service")),
        "default_price_data": Hash(fields=shapes.DEFAULT_PRICE, fill=False, hidden=True),
    },
    update={**PRODUCT_FIELDS, "name": NAMED, "default_price": Ref(kind="price")},
    defaults={
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "metadata": {},
        "name": None,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": 0,
        "url": None,
    },
    filters={
        **ACTIVE,
        "ids": among("id"),
        "shippable": same("shippable", Flag()),
        "type": same("type"),
        "url": same("url"),
    },
    expands={"default_price": "price"},
    delete="gone",
    check=rules.check_product,
    guard=rules.guard_product,
    shape=rules.shape_product,
    blocked=rules.product_in_use,
)

PRICE_FIELDS: Fields = {
    "active": Flag(),
    "currency_options": shapes.CURRENCY_PRICES,
    "lookup_key": Text(longest=200),
    "metadata": Metadata(),
    "nickname": Text(),
    "tax_behavior": shapes.TAX_BEHAVIOR,
    "transfer_lookup_key": Flag(hidden=True),
}
PRICE = Resource(
    kind="price",
    path="prices",
    prefix="price_",
    create={
        **PRICE_FIELDS,
        "billing_scheme": OneOf(values=("per_unit", "tiered")),
        "currency": Currency(required=True),
        "custom_unit_amount": shapes.CUSTOM_AMOUNT,
        "product": Ref(kind="product", unset=False),
        "product_data": Hash(fields=shapes.PRODUCT_DATA, fill=False, hidden=True),
        "recurring": Hash(fields=shapes.RECURRING, fill=False, hidden=True),
        "tiers": shapes.TIERS,
        "tiers_mode": OneOf(values=("graduated", "volume")),
        "transform_quantity": Hash(
            fields={"divide_by": Whole(least=1, required=True), "round": OneOf(values=("up", "down"), required=True)}
        ),
        "unit_amount": shapes.CENTS,
        "unit_amount_decimal": shapes.EXACT_CENTS,
    },
    update=PRICE_FIELDS,
    defaults={
        "active": True,
        "billing_scheme": "per_unit",
        "currency": None,
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": None,
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": None,
        "unit_amount_decimal": None,
    },
    filters={
        **ACTIVE,
        "currency": same("currency", Currency()),
        "lookup_keys": Filter(Many(each=Text(), most=10), lambda price, keys: price["lookup_key"] in keys),
        "product": same("product"),
        "recurring": Filter(Hash(fields={k: Text() for k in ("interval", "meter", "usage_type")}, fill=False), recurs),
        "type": same("type", OneOf(values=("one_time", "recurring"))),
    },
    expands={"product": "product"},
    check=rules.check_price,
    guard=rules.guard_price,
    shape=rules.shape_price,
    twin=rules.plan_of,
)

COUPON = Resource(
    kind="coupon",
    path="coupons",
    prefix="",
    width=8,
    draw="upper",
    own_id=True,
    create={
        "amount_off": Whole(least=1),
        "applies_to": Hash(fields={"products": Many(each=Ref(kind="product"))}, hidden=True),
        "currency": Currency(),
        "currency_options": shapes.CURRENCY_DISCOUNTS,
        "duration": OneOf(values=("forever", "once", "repeating")),
        "duration_in_months": Whole(least=1),
        "id": NAMED,
        "max_redemptions": Whole(least=1),
        "metadata": Metadata(),
        "name": Text(longest=40),
        "percent_off": Number(above=0, most=100),
        "redeem_by": Time(),
    },
    update={"currency_options": shapes.CURRENCY_DISCOUNTS, "metadata": Metadata(), "name": Text(longest=40)},
    defaults={
        "amount_off": None,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    },
    delete="gone",
    check=rules.check_coupon,
    shape=rules.shape_coupon,
    gone=rules.deactivate_codes,
)

PROMOTION_CODE = Resource(
    kind="promotion_code",
    path="promotion_codes",
    prefix="promo_",
    label="promotion code",
    create={
        "active": Flag(),
        "code": Text(pattern="[A-Za-z0-9-]{1,500}"),
        "customer": Ref(kind="customer"),
        "customer_account": Text(),
        "expires_at": Time(),
        "max_redemptions": Whole(least=1),
        "metadata": Metadata(),
        # Since 2025-09-30.clover; before, the coupon was a parameter of its own.
        "promotion": Hash(
            fields={"type": OneOf(values=("coupon",), required=True), "coupon": Ref(kind="coupon")}, required=True
        ),
        "restrictions": Hash(fields=shapes.RESTRICTIONS, fill=False),
    },
    update={
        "active": Flag(),
        "metadata": Metadata(),
        "restrictions": Hash(fields={"currency_options": shapes.CURRENCY_MINIMUMS}, merge=True),
    },
    defaults={
        "active": True,
        "code": None,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "max_redemptions": None,
        "metadata": {},
        "promotion": None,
        "restrictions": None,
        "times_redeemed": 0,
    },
    filters={
        **ACTIVE,
        "code": Filter(Text(), lambda promo, code: promo["code"].lower() == code.lower()),
        "coupon": Filter(Text(), lambda promo, coupon: promo["promotion"]["coupon"] == coupon),
        "customer": same("customer"),
        "customer_account": same("customer_account"),
    },
    expands={"customer": "customer", "promotion.coupon": "coupon"},
    events=("created", "updated"),
    check=rules.check_promotion,
    guard=rules.guard_code,
    shape=rules.shape_code,
)

WEBHOOK_ENDPOINT = Resource(
    kind="webhook_endpoint",
    path="webhook_endpoints",
    prefix="we_",
    label="webhook endpoint",
    create={
        "api_version": Text(pattern=r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?"),
        "connect": Flag(hidden=True),
        "description": Text(),
        "enabled_events": EVENT_NAMES,
        "metadata": Metadata(),
        "url": Text(required=True),
    },
    update={
        "description": Text(),
        "disabled": Flag(hidden=True),
        "enabled_events": Many(each=Text()),
        "metadata": Metadata(),
        "url": NAMED,
    },
    defaults={
        "api_version": None,
        "application": None,
        "description": None,
        "enabled_events": [],
        "metadata": {},
        "status": "enabled",
        "url": None,
    },
    created_filter=False,
    delete="gone",
    events=(),
    check=rules.check_url,
    shape=rules.shape_endpoint,
)

OF_CUSTOMER = {"customer": same("customer")}
# Read-only for now: tests plant them, so that a customer can have money on it.
SUBSCRIPTION = Resource(
    kind="subscription",
    path="subscriptions",
    prefix="sub_",
    event_name="customer.subscription",
    defaults={"customer": None, "status": "active", "metadata": {}},
    filters={**OF_CUSTOMER, "status": Filter(Text(), in_status)},
    expands={"customer": "customer"},
)
PAYMENT_INTENT = Resource(
    kind="payment_intent",
    path="payment_intents",
    prefix="pi_",
    label="payment_intent",
    defaults={"amount": 0, "currency": "usd", "customer": None, "status": "requires_payment_method", "metadata": {}},
    filters=OF_CUSTOMER,
    expands={"customer": "customer"},
    events=("created",),
)
CHARGE = Resource(
    kind="charge",
    path="charges",
    prefix="ch_",
    defaults={"amount": 0, "currency": "usd", "customer": None, "paid": True, "status": "succeeded", "metadata": {}},
    filters={**OF_CUSTOMER, "payment_intent": same("payment_intent")},
    expands={"customer": "customer", "payment_intent": "payment_intent"},
    events=(),
)
INVOICE = Resource(
    kind="invoice",
    path="invoices",
    prefix="in_",
    defaults={"customer": None, "status": "draft", "currency": "usd", "total": 0, "metadata": {}},
    filters={**OF_CUSTOMER, "status": same("status"), "subscription": same("subscription")},
    expands={"customer": "customer"},
)

RESOURCES: dict[str, Resource] = {
    row.kind: row
    for row in (
        CUSTOMER,
        PRODUCT,
        PRICE,
        COUPON,
        PROMOTION_CODE,
        WEBHOOK_ENDPOINT,
        SUBSCRIPTION,
        PAYMENT_INTENT,
        CHARGE,
        INVOICE,
    )
}
BY_PATH: dict[str, Resource] = {row.path: row for row in RESOURCES.values()}
LABELS = {"payment_method": "PaymentMethod", "source": "source", "test_helpers.test_clock": "test clock"}


def label(kind: str) -> str:
    return RESOURCES[kind].name() if kind in RESOURCES else LABELS.get(kind, kind)


__all__ = ["BY_PATH", "RESOURCES", "MapOf", "label"]
