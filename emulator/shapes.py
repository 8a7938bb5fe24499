"""Parameter hashes that several rows share; names and limits are Stripe's (stripe-python 16.1, stripe.params)."""

from __future__ import annotations

from emulator.fields import Currency, Email, Fields, Flag, Hash, Many, MapOf, Metadata, Number, OneOf, Ref, Text, Whole

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
    "name": Text(),
    "next_invoice_sequence": Whole(least=1),
    "phone": Text(),
    "preferred_locales": Many(each=Text()),
    "shipping": Hash(fields=SHIPPING),
    "source": Ref(kind="source", hidden=True),
    "tax": Hash(
        fields={"ip_address": Text(), "validate_location": OneOf(values=("deferred", "immediately"))}, hidden=True
    ),
    "tax_exempt": OneOf(values=("none", "exempt", "reverse")),
    "validate": Flag(hidden=True),
}
INTERVAL = OneOf(values=("month", "year", "week", "day"), required=True)
CENTS = Whole(least=0, most=999_999_999_999)
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
    "unit_label": Text(),
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
