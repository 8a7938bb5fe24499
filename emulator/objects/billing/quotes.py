"""Quotes: offers. An accepted quote becomes a subscription, a subscription schedule or an invoice.

Sources: Stripe's OpenAPI file; docs.stripe.com/quotes/create and docs.stripe.com/quotes/clone.
"""

from __future__ import annotations

import copy

from stripe import params as stripe_params

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Resource, Route, blank, same
from stripe_mongo_sync.emulator.engine.steps import DAY, change, expect
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import (
    Fields,
    Flag,
    Hash,
    Many,
    Metadata,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

FREE = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
LIVE = ("draft", "open")  # until it expires
CLONED = ("collection_method", "customer", "description", "footer", "header", "invoice_settings", "subscription_data")


def _check(params: Json) -> None:
    if params.get("from_quote") is not None:
        others = [name for name, value in params.items() if value is not None]
        others = [name for name in others if name not in ("from_quote", "expires_at", "expand")]
        if others:
            raise errors.invalid(f"You cannot set `{min(others)}` if `from_quote` is set.", min(others))
    sent = params.get("collection_method") == "send_invoice"
    if (params.get("invoice_settings") or {}).get("days_until_due") is not None and not sent:
        message = "`days_until_due` can only be set if `collection_method` is `send_invoice`."
        raise errors.invalid(message, "invoice_settings[days_until_due]")


def _check_state(ctx: Effects, params: Json, quote: Json | None) -> None:
    if quote is not None:
        expect(quote, "update", "draft")
        if quote["customer"] is not None and params.get("customer") not in (None, quote["customer"]):
            raise errors.invalid("The customer of a quote cannot be changed.", "customer")
    elif params.get("from_quote") is not None:
        expect(ctx.need("quote", params["from_quote"]["quote"]), "clone", "open", "accepted", "canceled")
    _check_future(ctx, params)
    given = lines.whole(ctx, quote, params.get("line_items") or [])
    lines.check(given, "payment")
    lines.check_state(ctx, given, "")


def _check_future(ctx: Effects, params: Json) -> None:
    if params.get("expires_at") is not None and params["expires_at"] <= ctx.second:
        raise errors.invalid("`expires_at` must be in the future.", "expires_at")


def _finish(ctx: Effects, params: Json, quote: Json) -> None:
    if params.get("from_quote") is not None:
        _clone(ctx, ctx.need("quote", params["from_quote"]["quote"]), quote)
    quote["expires_at"] = quote["expires_at"] or ctx.second + 30 * DAY
    ctx.schedule(quote, quote["expires_at"])
    if params.get("line_items") is not None:
        lines.keep(ctx, quote["id"], lines.items(ctx, lines.whole(ctx, quote, params["line_items"])))
    _compute(ctx, quote)


def _clone(ctx: Effects, origin: Json, quote: Json) -> None:
    quote |= {name: copy.deepcopy(origin[name]) for name in CLONED}
    again = [{"price": item["price"]["id"], "quantity": item["quantity"]} for item in lines.of(ctx, origin)]
    lines.keep(ctx, quote["id"], lines.items(ctx, again))


def _compute(ctx: Effects, quote: Json) -> None:
    made = lines.of(ctx, quote)
    delayed = quote["subscription_data"]["trial_period_days"]
    upfront = _sum([item for item in made if not (delayed and item["price"]["recurring"])])
    quote |= {"currency": made[0]["currency"] if made else None, "computed": {"recurring": None, "upfront": upfront}}
    quote |= {name: upfront[name] for name in ("amount_subtotal", "amount_total", "total_details")}
    if recurring := _recurring(made):
        rhythm = recurring[0]["price"]["recurring"]
        every = {name: rhythm[name] for name in ("interval", "interval_count")}
        quote["computed"]["recurring"] = _sum(recurring) | every


def _recurring(made: list[Json]) -> list[Json]:
    return [item for item in made if item["price"]["recurring"]]


def _sum(made: list[Json]) -> Json:
    named = {f"amount_{name}": sum(item[f"amount_{name}"] for item in made) for name in ("discount", "tax")}
    totals = {f"amount_{name}": sum(item[f"amount_{name}"] for item in made) for name in ("subtotal", "total")}
    return {**totals, "total_details": {**FREE, **named}}


def _finalize(ctx: Effects, quote: Json, params: Json) -> Json:
    expect(quote, "finalize", "draft")
    if quote["customer"] is None or not lines.of(ctx, quote):
        raise Problem(400, "A quote needs a customer and line items before it can be finalized.")
    _check_future(ctx, params)
    quote |= {
        "expires_at": params.get("expires_at") or quote["expires_at"],
        "number": f"QT-{ctx.draw(8, 'upper')}-0001-1",
    }
    ctx.schedule(quote, quote["expires_at"])
    revised = quote["from_quote"]
    if revised is not None and revised["is_revision"]:  # it takes the place of the one before
        before = copy.deepcopy(ctx.need("quote", revised["quote"]))
        if before["status"] == "open":
            _become(ctx, before, "canceled", "canceled")
    return _become(ctx, quote, "open", "finalized")


def _accept(ctx: Effects, quote: Json, params: Json) -> Json:
    """Accept a quote: recurring prices become a subscription, or a schedule of one; one-time prices an invoice."""
    expect(quote, "accept", "open")
    payer = {"customer": quote["customer"]}
    days = quote["invoice_settings"]["days_until_due"]
    sent = {"collection_method": quote["collection_method"], **({"days_until_due": days} if days is not None else {})}
    items = lines.of(ctx, quote)
    for item in items:
        if not item["price"]["recurring"]:
            one = {"pricing": {"price": item["price"]["id"]}, "quantity": item["quantity"]}
            ctx.create("invoiceitem", {**payer, **one})
    again = [{"price": item["price"]["id"], "quantity": item["quantity"], "own": True} for item in _recurring(items)]
    if again:
        quote |= _begin(ctx, quote, again, {**payer, **sent})
    else:
        wanted = {**payer, **sent, "pending_invoice_items_behavior": "include"}
        quote["invoice"] = ctx.create("invoice", wanted)["id"]
    return _become(ctx, quote, "accepted", "accepted")


def _begin(ctx: Effects, quote: Json, items: list[Json], wanted: Json) -> Json:
    data = quote["subscription_data"]
    if data["effective_date"] is not None and data["effective_date"] > ctx.second:
        phase = {"items": [{name: each[name] for name in ("price", "quantity")} for each in items]}
        given = {"customer": wanted["customer"], "start_date": data["effective_date"], "phases": [phase]}
        return {"subscription_schedule": ctx.create("subscription_schedule", given)["id"]}
    about = {name: data[name] for name in ("description", "trial_period_days") if data[name] is not None}
    paid = wanted["collection_method"] == "send_invoice" or data["trial_period_days"]
    first = {"parent": None, "default_payment_method": None, "customer": wanted["customer"]}
    poor = not paid and invoices.payer(ctx, first) is None
    behavior = {"payment_behavior": "default_incomplete"} if poor else {}
    made = ctx.create("subscription", {**wanted, "items": items, **about, **behavior})
    return {"subscription": made["id"], "invoice": made["latest_invoice"]}


def _cancel(ctx: Effects, quote: Json, params: Json) -> Json:
    expect(quote, "cancel", *LIVE)
    return _become(ctx, quote, "canceled", "canceled")


def _on_due(ctx: Effects, quote: Json) -> None:
    if quote["status"] in LIVE:
        _become(ctx, quote, "canceled", "canceled")


def _become(ctx: Effects, quote: Json, status: str, verb: str) -> Json:
    if status not in LIVE:
        ctx.schedule(quote, None)
    when = {**quote["status_transitions"], f"{verb}_at": ctx.second}
    return change(ctx, quote, f"quote.{verb}", status=status, status_transitions=when)


def _pdf(ctx: Effects, params: Json, id: str) -> Json:
    """GET /v1/quotes/<id>/pdf, at files.stripe.com."""
    quote = ctx.need("quote", id)
    if quote["status_transitions"]["finalized_at"] is None:
        raise Problem(400, "You cannot download the PDF of a quote that was not finalized.")
    shown = f"%PDF-1.7\n% {quote['number']}: {quote['amount_total']} {quote['currency']}\n"
    return {"object": "pdf", "content": f"{shown}{'%âãÏÓ' * 20_000}\n%%EOF\n"}


LINE: Fields = {
    "price": Ref(kind="price"),
    "price_data": Hash(fields={**lines.PRICE_DATA, "product": Ref(kind="product", required=True)}, fill=False),
    "quantity": lines.LINE["quantity"],
}
SHOWN: Fields = {
    "collection_method": OneOf(values=("charge_automatically", "send_invoice")),
    "customer": Ref(kind="customer"),
    "description": Text(longest=500),
    "expires_at": Time(),
    "footer": Text(longest=500),
    "header": Text(longest=50),
    "invoice_settings": Hash(fields={"days_until_due": Whole(least=0)}, merge=True),
    "line_items": Many(each=Hash(fields=LINE, fill=False), hidden=True),
    "metadata": Metadata(),
    "subscription_data": Hash(
        fields={
            "description": Text(longest=500),
            "effective_date": Time(),
            "metadata": Metadata(),
            "trial_period_days": Whole(least=1),
        },
        merge=True,
    ),
}
CLONE = Hash(fields={"is_revision": Flag(), "quote": Ref(kind="quote", required=True)}, fill=False)
QUOTE = Resource(
    kind="quote",
    path="quotes",
    prefix="qt_",
    create={**SHOWN, "from_quote": CLONE},
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
    expands={name: name for name in ("customer", "invoice", "subscription", "subscription_schedule")},
    includes={"line_items": lines.expanded_items},
    events=("created",),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    on_due=_on_due,
    lists={"line_items": lines.of},
    actions={
        "accept": Action(_accept),
        "cancel": Action(_cancel),
        "finalize": Action(_finalize, {"expires_at": Time()}),
    },
)
ROUTES = (Route("GET", "quotes/{}/pdf", "quote", _pdf, media="application/pdf"),)
