"""Hosted pages: payment links, and sessions of the billing portal."""

from __future__ import annotations

from dataclasses import replace

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import ACTIVE, Resource, blank
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Flag, Hash, Many, Metadata, OneOf, Ref, Text
from stripe_mongo_sync.emulator.protocol.values import LOCALES_OF_PORTALS
from stripe_mongo_sync.emulator.protocol.wire import Json


def _mode(ctx: Effects, given: list[Json]) -> str:
    """Return "subscription" if a price is recurring, else "payment"."""
    prices = [line.get("price_data") or ctx.need("price", line["price"]) for line in given]
    return "subscription" if any(price.get("recurring") for price in prices) else "payment"


def _check(params: Json) -> None:
    if not params["line_items"]:
        raise errors.empty("line_items")
    lines.check(params["line_items"], "payment")


def _check_state(ctx: Effects, params: Json, link: Json | None) -> None:
    if link is not None:
        lines.whole(ctx, link, params.get("line_items") or [])
        return
    given = params["line_items"]
    lines.check_state(ctx, given, _mode(ctx, given), params.get("currency"))


def _finish(ctx: Effects, params: Json, link: Json) -> None:
    if lines.of(ctx, link):  # an update
        if params.get("line_items"):
            _revise(ctx, params["line_items"], link)
        return
    made = lines.items(ctx, params["line_items"])
    lines.keep(ctx, link["id"], made)
    mode = "" if link["livemode"] else "test_"
    link |= {"currency": made[0]["currency"], "url": f"https://buy.stripe.com/{mode}{ctx.draw(18, 'base62')}"}
    if any(item["price"]["recurring"] for item in made):
        link |= {"customer_creation": "always", "payment_method_collection": "always"}


def _revise(ctx: Effects, given: list[Json], link: Json) -> None:
    """Change the line items that an update names; the others stay."""
    named = {line["id"]: line for line in given}
    every = [named.get(item["id"], {"id": item["id"]}) for item in lines.of(ctx, link)]
    lines.keep(ctx, link["id"], lines.items(ctx, lines.whole(ctx, link, every)))


SHOWN: Fields = {
    "allow_promotion_codes": Flag(),
    "billing_address_collection": OneOf(values=("auto", "required")),
    "inactive_message": Text(longest=500),
    "metadata": Metadata(),
}
LINE = Hash(fields={**lines.LINE, "quantity": replace(lines.LINE["quantity"], required=True)}, fill=False)
CHANGED_LINE: Fields = {"id": Text(required=True), **{n: lines.LINE[n] for n in ("adjustable_quantity", "quantity")}}
PAYMENT_LINK = Resource(
    kind="payment_link",
    path="payment_links",
    prefix="plink_",
    label="payment link",
    created_field="",
    create={
        **SHOWN,
        "currency": Currency(),
        "customer_creation": OneOf(values=("always", "if_required")),
        "line_items": Many(each=LINE, most=20, required=True, hidden=True),
        "submit_type": OneOf(values=("auto", "book", "donate", "pay", "subscribe")),
    },
    update={
        **SHOWN,
        "active": Flag(),
        "line_items": Many(each=Hash(fields=CHANGED_LINE, fill=False), most=20, hidden=True),
    },
    defaults=blank(
        "application application_fee_amount application_fee_percent consent_collection currency inactive_message "
        "invoice_creation on_behalf_of payment_intent_data payment_method_types restrictions "
        "shipping_address_collection subscription_data transfer_data"
    )
    | {
        "active": True,
        "after_completion": {"hosted_confirmation": {"custom_message": None}, "type": "hosted_confirmation"},
        "allow_promotion_codes": False,
        "automatic_tax": {"enabled": False, "liability": None},
        "billing_address_collection": "auto",
        "custom_fields": [],
        "custom_text": blank("after_submit shipping_address submit terms_of_service_acceptance"),
        "customer_creation": "if_required",
        "metadata": {},
        "payment_method_collection": "if_required",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "submit_type": "auto",
        "tax_id_collection": {"enabled": False, "required": "never"},
        "url": "",
    },
    filters=ACTIVE,
    created_filter=False,
    includes={"line_items": lines.expanded_items},
    events=("created", "updated"),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    lists={"line_items": lines.of},
)


# billing_portal.session


def _check_portal(params: Json) -> None:
    if params.get("customer") is None:
        raise errors.missing("customer")


def _finish_portal(ctx: Effects, params: Json, visit: Json) -> None:
    mode = "" if visit["livemode"] else "test_"
    visit["url"] = f"https://billing.stripe.com/p/session/{mode}{ctx.draw(40, 'base62')}"


PORTAL_SESSION = Resource(
    kind="billing_portal.session",
    path="billing_portal/sessions",
    prefix="bps_",
    readable=False,
    create={
        "customer": Ref(kind="customer"),
        "locale": OneOf(values=LOCALES_OF_PORTALS),
        "return_url": Text(),
    },
    defaults=blank("customer customer_account flow locale on_behalf_of return_url")
    | {"configuration": "bpc_1EmulatedPortal00000001", "url": ""},
    events=("created",),
    check=_check_portal,
    finish=_finish_portal,
)
