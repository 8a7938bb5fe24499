"""The table of Stripe types: to serve another type, add one row."""

from __future__ import annotations

from emulator import account, bank, customers, discounts, issuing, money, params, purchases, rules, sources
from emulator.account import ACCOUNT
from emulator.billing import INVOICE
from emulator.charges import CHARGE, REFUND
from emulator.checkout import SESSION
from emulator.clocks import TEST_CLOCK
from emulator.credit_notes import CREDIT_NOTE
from emulator.disputes import DISPUTE
from emulator.fields import Currency, Flag, Hash, Many, OneOf, Text
from emulator.identity import VERIFICATION_SESSION
from emulator.invoice_payments import INVOICE_PAYMENT
from emulator.invoiceitems import INVOICEITEM
from emulator.links import PAYMENT_LINK, PORTAL_SESSION
from emulator.payment_methods import PAYMENT_METHOD
from emulator.payments import PAYMENT_INTENT
from emulator.plans import PLAN, plan_of
from emulator.planted import PARTS_OF_CUSTOMER, PLANTED
from emulator.portal import CONFIGURATION
from emulator.quotes import QUOTE
from emulator.rates import SHIPPING_RATE, TAX_RATE
from emulator.reports import REPORT_RUN
from emulator.resource import ACTIVE, Filter, Resource, blank, register, same
from emulator.schedules import SCHEDULE
from emulator.setups import SETUP_INTENT
from emulator.subscription_items import SUBSCRIPTION_ITEM
from emulator.subscriptions import SUBSCRIPTION
from emulator.wire import Json

NO_SETTINGS: Json = {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None}


def among(name: str) -> Filter:
    """Objects whose field is one of the values."""
    return Filter(Many(each=Text()), lambda object, values: object.get(name) in values)


def recurs(object: Json, value: Json) -> bool:
    recurring: Json = object["recurring"] or {}
    return all(recurring.get(name) == wanted for name, wanted in value.items())


CUSTOMER = Resource(
    kind="customer",
    path="customers",
    prefix="cus_",
    width=14,
    create=params.CUSTOMER_CREATE,
    update=params.CUSTOMER_UPDATE,
    defaults=blank(
        "address currency default_source description discount email invoice_prefix name phone shipping test_clock"
    )
    | {
        "balance": 0,
        "delinquent": False,
        "invoice_settings": NO_SETTINGS,
        "metadata": {},
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
    },
    filters={"email": same("email", Text(longest=512)), "test_clock": same("test_clock")},
    expands={"invoice_settings.default_payment_method": "payment_method"},
    includes={"subscriptions": customers.subscriptions_of},
    lists={"payment_methods": customers.methods_of, **PARTS_OF_CUSTOMER},
    delete="stub",
    guard=customers.guard_customer,
    shape=customers.shape_customer,
    gone=customers.cancel_subscriptions,
)

PRODUCT = Resource(
    kind="product",
    path="products",
    prefix="prod_",
    width=14,
    create=params.PRODUCT_CREATE,
    update=params.PRODUCT_UPDATE,
    defaults=blank(
        "default_price description name package_dimensions shippable statement_descriptor tax_code unit_label url"
    )
    | {"active": True, "images": [], "marketing_features": [], "metadata": {}, "type": "service", "updated": 0},
    filters={
        **ACTIVE,
        "ids": among("id"),
        "shippable": same("shippable", Flag()),
        "type": same("type", OneOf(values=("good", "service"))),
        "url": same("url"),
    },
    expands={"default_price": "price"},
    delete="gone",
    check=rules.check_product,
    guard=rules.guard_product,
    shape=rules.shape_product,
    blocked=rules.product_in_use,
)

PRICE = Resource(
    kind="price",
    path="prices",
    prefix="price_",
    create=params.PRICE_CREATE,
    update=params.PRICE_UPDATE,
    defaults=blank(
        "currency custom_unit_amount lookup_key nickname product recurring tiers_mode transform_quantity "
        "unit_amount unit_amount_decimal"
    )
    | {"active": True, "billing_scheme": "per_unit", "metadata": {}, "tax_behavior": "unspecified", "type": "one_time"},
    filters={
        **ACTIVE,
        "currency": same("currency", Currency()),
        "lookup_keys": Filter(Many(each=Text(), most=10), lambda price, keys: price["lookup_key"] in keys),
        "product": same("product"),
        "recurring": Filter(
            Hash(
                fields={name: params.RECURRING[name] for name in ("meter", "usage_type")}
                | {"interval": OneOf(values=params.INTERVAL.values)},
                fill=False,
            ),
            recurs,
        ),
        "type": same("type", OneOf(values=("one_time", "recurring"))),
    },
    expands={"product": "product"},
    check=rules.check_price,
    guard=rules.guard_price,
    shape=rules.shape_price,
    shows=rules.shows_price,
    twin=plan_of,
)

COUPON = Resource(
    kind="coupon",
    path="coupons",
    prefix="",
    width=8,
    draw="upper",
    create=params.COUPON_CREATE,
    update=params.COUPON_UPDATE,
    defaults=blank("amount_off currency duration_in_months max_redemptions name percent_off redeem_by")
    | {"duration": "once", "metadata": {}, "times_redeemed": 0, "valid": True},
    delete="gone",
    includes={"applies_to": lambda act, coupon: act.need("coupon", coupon["id"])["applies_to"]},
    check=rules.check_coupon,
    shape=rules.shape_coupon,
    gone=rules.deactivate_codes,
)

PROMOTION_CODE = Resource(
    kind="promotion_code",
    path="promotion_codes",
    prefix="promo_",
    label="promotion code",
    create=params.PROMOTION_CODE_CREATE,
    update=params.PROMOTION_CODE_UPDATE,
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
    check=rules.check_promotion,
    guard=rules.guard_code,
    shape=rules.shape_code,
)

WEBHOOK_ENDPOINT = Resource(
    kind="webhook_endpoint",
    path="webhook_endpoints",
    prefix="we_",
    label="webhook endpoint",
    create=params.WEBHOOK_ENDPOINT_CREATE,
    update=params.WEBHOOK_ENDPOINT_UPDATE,
    defaults=blank("api_version application description url")
    | {"enabled_events": [], "metadata": {}, "status": "enabled"},
    created_filter=False,
    delete="gone",
    events=(),
    check=rules.check_url,
    shape=rules.shape_endpoint,
)

register(
    rows=(
        CUSTOMER,
        PRODUCT,
        PRICE,
        PLAN,
        COUPON,
        PROMOTION_CODE,
        WEBHOOK_ENDPOINT,
        PAYMENT_METHOD,
        SETUP_INTENT,
        PAYMENT_INTENT,
        CHARGE,
        REFUND,
        DISPUTE,
        SESSION,
        SUBSCRIPTION,
        INVOICE,
        INVOICE_PAYMENT,
        INVOICEITEM,
        TAX_RATE,
        SHIPPING_RATE,
        PAYMENT_LINK,
        PORTAL_SESSION,
        SUBSCRIPTION_ITEM,
        TEST_CLOCK,
        *PLANTED,
        CONFIGURATION,
        ACCOUNT,
        money.PAYOUT,
        money.TOPUP,
        money.TRANSFER,
        CREDIT_NOTE,
        QUOTE,
        SCHEDULE,
        issuing.CARDHOLDER,
        issuing.CARD,
        issuing.AUTHORIZATION,
        issuing.TRANSACTION,
        VERIFICATION_SESSION,
        REPORT_RUN,
        bank.CASH_TRANSACTION,
        sources.CARD,
    ),
    routes=(
        route for module in (account, bank, discounts, issuing, money, purchases, sources) for route in module.ROUTES
    ),
)
