"""Tax rates and shipping rates."""

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
    Number,
    OneOf,
    Text,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.params import CENTS, TAX_BEHAVIOR
from stripe_mongo_sync.emulator.protocol.wire import Json

TAX_TYPES = (
    *(
        "admissions_tax",
        "amusement_tax",
        "attendance_tax",
        "communications_tax",
        "digital_excise_tax",
        "entertainment_tax",
    ),
    *("get_fund", "gross_receipts_tax", "gst", "hospitality_tax", "hst", "igst"),
    *("jct", "lease_tax", "luxury_tax", "mass_transit_parking_tax", "nhil", "parking_tax"),
    *("pst", "qst", "resort_tax", "retail_delivery_fee", "rst", "sales_tax"),
    *("service_tax", "tourism_tax", "utility_users_tax", "vat"),
)
TAX_SHOWN: Fields = {
    "active": Flag(),
    "country": Text(pattern="[A-Z]{2}"),
    "description": Text(),
    "jurisdiction": Text(longest=50),
    "metadata": Metadata(),
    "state": Text(longest=2),
    "tax_type": OneOf(values=TAX_TYPES),
}
TAX_RATE = Resource(
    kind="tax_rate",
    path="tax_rates",
    prefix="txr_",
    label="tax rate",
    create={
        **TAX_SHOWN,
        "display_name": Text(required=True, longest=50),
        "inclusive": Flag(required=True),
        "percentage": Number(required=True, above=-1e-12, most=100),
    },
    update={**TAX_SHOWN, "display_name": Text(unset=False, longest=50)},
    defaults=blank(
        "country description effective_percentage flat_amount jurisdiction jurisdiction_level state tax_type"
    )
    | {
        "active": True,
        "display_name": "",
        "inclusive": False,
        "metadata": {},
        "percentage": 0.0,
        "rate_type": "percentage",
    },
    filters={**ACTIVE, "inclusive": same("inclusive", Flag())},
    events=("created", "updated"),
)


# shipping_rate


def _check(params: Json) -> None:
    if params.get("fixed_amount") is None:
        raise errors.missing("fixed_amount")
    fixed = params["fixed_amount"]
    errors.within(fixed["amount"], fixed["currency"], "fixed_amount[amount]")


def _check_state(ctx: Effects, params: Json, rate: Json | None) -> None:
    if (
        rate is not None
        and "tax_behavior" in params
        and rate["tax_behavior"] not in ("unspecified", params["tax_behavior"])
    ):
        raise errors.invalid("`tax_behavior` cannot be changed once it is set.", "tax_behavior")


TIME = Hash(
    fields={
        "unit": OneOf(values=("business_day", "day", "hour", "month", "week"), required=True),
        "value": Whole(least=1, required=True),
    }
)
OTHERS = {"amount": Whole(least=0, required=True), "tax_behavior": TAX_BEHAVIOR}
# As with prices: taken and checked, but only the first currency is shown.
NEW_OTHERS = MapOf(each=Hash(fields=OTHERS), hidden=True)
SHIPPING_RATE = Resource(
    kind="shipping_rate",
    path="shipping_rates",
    prefix="shr_",
    label="shipping rate",
    create={
        "delivery_estimate": Hash(fields={"maximum": TIME, "minimum": TIME}),
        "display_name": Text(required=True, longest=100),
        "fixed_amount": Hash(
            fields={
                "amount": Whole(least=0, required=True),
                "currency": Currency(required=True),
                "currency_options": NEW_OTHERS,
            },
            fill=False,
        ),
        "metadata": Metadata(),
        "tax_behavior": TAX_BEHAVIOR,
        "tax_code": Text(),
        "type": OneOf(values=("fixed_amount",)),
    },
    update={
        "active": Flag(),
        "fixed_amount": Hash(
            fields={
                "currency_options": MapOf(
                    each=Hash(fields={"amount": CENTS, "tax_behavior": TAX_BEHAVIOR}), hidden=True
                )
            },
            merge=True,
        ),
        "metadata": Metadata(),
        "tax_behavior": TAX_BEHAVIOR,
    },
    defaults=blank("delivery_estimate display_name fixed_amount tax_code")
    | {"active": True, "metadata": {}, "tax_behavior": "unspecified", "type": "fixed_amount"},
    filters={
        **ACTIVE,
        "currency": Filter(Currency(), lambda rate, code: bool((rate["fixed_amount"] or {}).get("currency") == code)),
    },
    events=(),
    check=_check,
    check_state=_check_state,
)
