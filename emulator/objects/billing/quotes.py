"""Quotes: offers. An accepted quote becomes a subscription or an invoice."""

from __future__ import annotations

from stripe import params as stripe_params

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, blank, same
from stripe_mongo_sync.emulator.engine.steps import DAY, change, expect, later, step
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Hash, Many, Metadata, Ref, Text, Time
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

FREE = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}


def _check_state(ctx: Effects, params: Json, quote: Json | None) -> None:
    if quote is not None and quote["status"] != "draft":
        raise Problem(400, f"You cannot update this quote because it has a status of {quote['status']}.")
    lines.check(params.get("line_items") or [], "payment")
    lines.check_state(ctx, params.get("line_items") or [], "")


def _finish(ctx: Effects, params: Json, quote: Json) -> None:
    quote["expires_at"] = quote["expires_at"] or ctx.second + 30 * DAY
    if params.get("line_items") is None:
        return
    made = lines.items(ctx, params["line_items"])
    lines.keep(ctx, quote["id"], made)
    total = sum(item["amount_total"] for item in made)
    recurring = [item for item in made if item["price"]["recurring"]]
    quote |= {"amount_subtotal": total, "amount_total": total, "currency": made[0]["currency"] if made else None}
    quote["computed"] = {"recurring": None, "upfront": _sum(made)}
    if recurring:
        rhythm = recurring[0]["price"]["recurring"]
        every = {name: rhythm[name] for name in ("interval", "interval_count")}
        quote["computed"]["recurring"] = _sum(recurring) | every


def _sum(made: list[Json]) -> Json:
    total = sum(item["amount_total"] for item in made)
    return {"amount_subtotal": total, "amount_total": total, "total_details": FREE}


def _finalize(ctx: Effects, quote: Json, params: Json) -> Json:
    expect(quote, "finalize", "draft")
    if quote["customer"] is None or not lines.of(ctx, quote):
        raise Problem(400, "A quote needs a customer and line items before it can be finalized.")
    quote |= {
        "expires_at": params.get("expires_at") or quote["expires_at"],
        "number": f"QT-{ctx.draw(8, 'upper')}-0001-1",
    }
    ctx.schedule(quote, quote["expires_at"])
    return _become(ctx, quote, "open", "finalized")


def _accept(ctx: Effects, quote: Json, params: Json) -> Json:
    """Accept a quote: recurring prices become a subscription, one-time prices an invoice."""
    expect(quote, "accept", "open")
    items = lines.of(ctx, quote)
    wanted = [{"price": item["price"]["id"], "quantity": item["quantity"], "own": True} for item in items]
    payer = {"customer": quote["customer"]}
    again = [line for line, item in zip(wanted, items, strict=True) if item["price"]["recurring"]]
    for line in wanted:
        if line not in again:
            ctx.create("invoiceitem", {**payer, "pricing": {"price": line["price"]}, "quantity": line["quantity"]})
    if again:
        made = ctx.create("subscription", {**payer, "items": again})
        quote |= {"subscription": made["id"], "invoice": made["latest_invoice"]}
    else:
        quote["invoice"] = ctx.create("invoice", {**payer, "pending_invoice_items_behavior": "include"})["id"]
    ctx.schedule(quote, None)
    return _become(ctx, quote, "accepted", "accepted")


def _become(ctx: Effects, quote: Json, status: str, verb: str) -> Json:
    when = {**quote["status_transitions"], f"{verb}_at": ctx.second}
    return change(ctx, quote, f"quote.{verb}", status=status, status_transitions=when)


def _canceled(ctx: Effects, quote: Json) -> None:
    quote["status_transitions"] = {**quote["status_transitions"], "canceled_at": ctx.second}


LINE: Fields = {
    "price": Ref(kind="price"),
    "price_data": Hash(fields={**lines.PRICE_DATA, "product": Ref(kind="product", required=True)}, fill=False),
    "quantity": lines.LINE["quantity"],
}
SHOWN: Fields = {
    "customer": Ref(kind="customer"),
    "description": Text(longest=500),
    "expires_at": Time(),
    "footer": Text(longest=500),
    "header": Text(longest=50),
    "line_items": Many(each=Hash(fields=LINE, fill=False), hidden=True),
    "metadata": Metadata(),
}
QUOTE = Resource(
    kind="quote",
    path="quotes",
    prefix="qt_",
    create=SHOWN,
    update=SHOWN,
    defaults=blank(
        "application application_fee_amount application_fee_percent currency customer customer_account description "
        "expires_at footer from_quote header invoice number on_behalf_of subscription subscription_schedule test_clock "
        "transfer_data"
    )
    | {
        "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": blank("liability provider status") | {"enabled": False},
        "collection_method": "charge_automatically",
        "computed": {"recurring": None, "upfront": _sum([])},
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"days_until_due": None, "issuer": {"type": "self"}},
        "metadata": {},
        "status": "draft",
        "status_transitions": blank("accepted_at canceled_at finalized_at"),
        "subscription_data": blank("description effective_date trial_period_days")
        | {"billing_mode": {"type": "classic"}, "metadata": {}},
        "total_details": FREE,
    },
    filters={
        **{name: same(name) for name in ("customer", "customer_account", "test_clock")},
        "status": same("status", choice(stripe_params.QuoteListParams, "status")),
    },
    created_filter=False,
    expands={name: name for name in ("customer", "invoice", "subscription")},
    includes={"line_items": lines.expanded_items},
    events=("created",),
    check_state=_check_state,
    finish=_finish,
    on_due=later("open", "canceled", "quote.canceled", effect=_canceled),
    lists={"line_items": lines.of},
    actions={
        "accept": Action(_accept),
        "cancel": step("cancel", ("draft", "open"), "canceled", "quote.canceled", effect=_canceled),
        "finalize": Action(_finalize, {"expires_at": Time()}),
    },
)
