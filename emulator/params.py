"""Every parameter of every call; names and limits are Stripe's (stripe-python 16.1, stripe.params)."""

from __future__ import annotations

from emulator.fields import (
    Currency,
    Email,
    Fields,
    Flag,
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
from emulator.values import EVENTS, TAX_IDS, VERSIONS

ADDRESS: Fields = {name: Text() for name in ("city", "country", "line1", "line2", "postal_code", "state")}
SHIPPING: Fields = {
    "address": Hash(fields=ADDRESS, required=True),
    "name": Text(required=True),
    "phone": Text(),
}
INVOICE_SETTINGS: Fields = {
    "custom_fields": Many(
        each=Hash(fields={"name": Text(required=True, longest=40), "value": Text(required=True, longest=140)}), most=4
    ),
    "default_payment_method": Ref(kind="payment_method"),
    "footer": Text(),
    "rendering_options": Hash(
        fields={
            "amount_tax_display": OneOf(values=("exclude_tax", "include_inclusive_tax")),
            "template": Text(),
        }
    ),
}
# What both POST /v1/customers and POST /v1/customers/{id} take.
CUSTOMER: Fields = {
    "address": Hash(fields=ADDRESS),
    "balance": Whole(),
    "business_name": Text(longest=150),
    "coupon": Ref(kind="coupon", hidden=True, until="2025-03-31.basil"),
    "cash_balance": Hash(
        fields={
            "settings": Hash(fields={"reconciliation_mode": OneOf(values=("automatic", "manual", "merchant_default"))})
        },
        hidden=True,
    ),
    "description": Text(),
    "email": Email(),
    "individual_name": Text(longest=150),
    "invoice_prefix": Text(pattern="[A-Z0-9]{1,12}"),
    "invoice_settings": Hash(fields=INVOICE_SETTINGS, merge=True),
    "metadata": Metadata(),
    "name": Text(longest=256),
    "next_invoice_sequence": Whole(least=1),
    "phone": Text(longest=20),
    "preferred_locales": Many(each=Text()),
    "shipping": Hash(fields=SHIPPING),
    "source": Text(hidden=True),
    "tax": Hash(
        fields={"ip_address": Text(), "validate_location": OneOf(values=("deferred", "immediately"))}, hidden=True
    ),
    "tax_exempt": OneOf(values=("none", "exempt", "reverse")),
    "validate": Flag(hidden=True),
}
INTERVAL = OneOf(values=("month", "year", "week", "day"), required=True)
CENTS = Whole(least=0)  # the most that Stripe takes is the currency's: see errors.within
EXACT_CENTS = Number(above=-1e-12, exact=True)
CUSTOM_AMOUNT = Hash(
    fields={"enabled": Flag(required=True), "maximum": CENTS, "minimum": CENTS, "preset": CENTS}, hidden=True
)
TAX_BEHAVIOR = OneOf(values=("inclusive", "exclusive", "unspecified"))
TIERS = Many(
    each=Hash(
        fields={
            "flat_amount": CENTS,
            "flat_amount_decimal": EXACT_CENTS,
            "unit_amount": CENTS,
            "unit_amount_decimal": EXACT_CENTS,
            "up_to": Text(required=True, pattern="inf|[0-9]+"),
        }
    ),
    hidden=True,
)
CURRENCY_PRICES = MapOf(
    each=Hash(
        fields={
            "custom_unit_amount": CUSTOM_AMOUNT,
            "tax_behavior": TAX_BEHAVIOR,
            "tiers": TIERS,
            "unit_amount": CENTS,
            "unit_amount_decimal": EXACT_CENTS,
        }
    ),
    hidden=True,
)
RECURRING: Fields = {
    "interval": INTERVAL,
    "interval_count": Whole(least=1),
    "meter": Text(),
    "trial_period_days": Whole(least=0),
    "usage_type": OneOf(values=("licensed", "metered")),
}
TAX_DETAILS = Hash(fields={"performance_location": Text(), "tax_code": Text()}, hidden=True)
PRODUCT_DATA: Fields = {
    "active": Flag(),
    "id": Text(),
    "metadata": Metadata(),
    "name": Text(required=True),
    "statement_descriptor": Text(longest=22, pattern=r"[^<>\\\"'*]*"),
    "tax_code": Text(),
    "tax_details": TAX_DETAILS,
    "unit_label": Text(longest=12),
}
DEFAULT_PRICE: Fields = {
    "currency": Currency(required=True),
    "currency_options": CURRENCY_PRICES,
    "custom_unit_amount": CUSTOM_AMOUNT,
    "metadata": Metadata(),
    "recurring": Hash(fields={"interval": INTERVAL, "interval_count": Whole(least=1)}, fill=False),
    "tax_behavior": TAX_BEHAVIOR,
    "unit_amount": CENTS,
    "unit_amount_decimal": EXACT_CENTS,
}
PACKAGE = Hash(fields={name: Number(above=0, required=True) for name in ("height", "length", "weight", "width")})
FEATURES = Many(each=Hash(fields={"name": Text(required=True, longest=80)}), most=15)
CURRENCY_DISCOUNTS = MapOf(each=Hash(fields={"amount_off": Whole(least=1, required=True)}), hidden=True)
CURRENCY_MINIMUMS = MapOf(each=Hash(fields={"minimum_amount": Whole(least=1)}), hidden=True)
RESTRICTIONS: Fields = {
    "currency_options": CURRENCY_MINIMUMS,
    "first_time_transaction": Flag(),
    "minimum_amount": Whole(least=1),
    "minimum_amount_currency": Currency(),
}
NAMED = Text(unset=False)
CUSTOMER_CREATE: Fields = {
    **CUSTOMER,
    "payment_method": Ref(kind="payment_method", hidden=True),
    "tax_id_data": Many(
        each=Hash(fields={"type": OneOf(values=TAX_IDS, required=True), "value": Text(required=True)}), hidden=True
    ),
    "test_clock": Ref(kind="test_helpers.test_clock"),
}
CUSTOMER_UPDATE: Fields = {
    **CUSTOMER,
    "default_source": Text(longest=500),
    "tax": Hash(
        fields={"ip_address": Text(), "validate_location": OneOf(values=("auto", "deferred", "immediately"))},
        hidden=True,
    ),
}
PRODUCT_FIELDS: Fields = {
    "active": Flag(),
    "description": Text(longest=40_000),
    "images": Many(each=Text(), most=8),
    "marketing_features": FEATURES,
    "metadata": Metadata(),
    "package_dimensions": PACKAGE,
    "shippable": Flag(),
    "statement_descriptor": PRODUCT_DATA["statement_descriptor"],
    "tax_code": Text(),
    "tax_details": TAX_DETAILS,
    "unit_label": Text(longest=12),
    "url": Text(),
}
PRODUCT_CREATE: Fields = {
    **PRODUCT_FIELDS,
    "name": Text(required=True),
    "id": NAMED,
    "type": OneOf(values=("good", "service")),
    "default_price_data": Hash(fields=DEFAULT_PRICE, fill=False, hidden=True),
}
PRODUCT_UPDATE: Fields = {**PRODUCT_FIELDS, "name": NAMED, "default_price": Ref(kind="price")}
PRICE_FIELDS: Fields = {
    "active": Flag(),
    "currency_options": CURRENCY_PRICES,
    "lookup_key": Text(longest=200),
    "metadata": Metadata(),
    "nickname": Text(),
    "tax_behavior": TAX_BEHAVIOR,
    "transfer_lookup_key": Flag(hidden=True),
}
PRICE_CREATE: Fields = {
    **PRICE_FIELDS,
    "billing_scheme": OneOf(values=("per_unit", "tiered")),
    "currency": Currency(required=True),
    "custom_unit_amount": CUSTOM_AMOUNT,
    "product": Ref(kind="product", unset=False),
    "product_data": Hash(fields=PRODUCT_DATA, fill=False, hidden=True),
    "recurring": Hash(fields=RECURRING, fill=False, hidden=True),
    "tiers": TIERS,
    "tiers_mode": OneOf(values=("graduated", "volume")),
    "transform_quantity": Hash(
        fields={"divide_by": Whole(least=1, required=True), "round": OneOf(values=("up", "down"), required=True)}
    ),
    "unit_amount": CENTS,
    "unit_amount_decimal": EXACT_CENTS,
}
PRICE_UPDATE: Fields = PRICE_FIELDS
COUPON_CREATE: Fields = {
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
COUPON_UPDATE: Fields = {"currency_options": CURRENCY_DISCOUNTS, "metadata": Metadata(), "name": Text(longest=40)}
PROMOTION_CODE_CREATE: Fields = {
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
PROMOTION_CODE_UPDATE: Fields = {
    "active": Flag(),
    "metadata": Metadata(),
    "restrictions": Hash(fields={"currency_options": CURRENCY_MINIMUMS}, merge=True),
}
WEBHOOK_ENDPOINT_CREATE: Fields = {
    "api_version": OneOf(values=VERSIONS),
    "connect": Flag(hidden=True),
    "description": Text(),
    "enabled_events": Many(each=OneOf(values=EVENTS), required=True),
    "metadata": Metadata(),
    "url": Text(required=True),
}
WEBHOOK_ENDPOINT_UPDATE: Fields = {
    "description": Text(),
    "disabled": Flag(hidden=True),
    "enabled_events": Many(each=OneOf(values=EVENTS)),
    "metadata": Metadata(),
    "url": NAMED,
}
