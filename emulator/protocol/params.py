"""Parameters that several calls share, with the names and limits of stripe-python 16.1 (`stripe.params`)."""

from __future__ import annotations

from stripe_mongo_sync.emulator.protocol.fields import (
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Whole,
)

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
INTERVAL = OneOf(values=("month", "year", "week", "day"), required=True)
CENTS = Whole(least=0)  # the most that Stripe takes is the currency's: see errors.within
EXACT_CENTS = Number(above=-1e-12, exact=True)
TAX_BEHAVIOR = OneOf(values=("inclusive", "exclusive", "unspecified"))
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
NAMED = Text(unset=False)
