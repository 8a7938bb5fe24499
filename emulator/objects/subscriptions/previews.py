"""`create_preview`: the invoice of a change, a new subscription or the next renewal. Nothing of it stays."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Route, blank
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.subscriptions import changes, renewals, subscription_items
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Flag, Hash, Many, Moment, OneOf, Ref, Time
from stripe_mongo_sync.emulator.protocol.stripe_types import completed
from stripe_mongo_sync.emulator.protocol.wire import Json

CHANGES = ("billing_cycle_anchor", "cancel_at", "cancel_at_period_end", "items", "trial_end")
HOW = ("proration_behavior", "proration_date")
LATER = blank("effective_at ending_balance hosted_invoice_url invoice_pdf number")  # what a draft does not have yet


def _preview(ctx: Effects, params: Json) -> Json:
    """POST /v1/invoices/create_preview."""
    details = {name: value for name, value in (params.get("subscription_details") or {}).items() if value is not None}
    _check(params, details)
    dry = ctx.dry_run()
    id = params.get("subscription") or _of_schedule(dry, params)
    if id is None and details.get("items"):
        return _shown(ctx, dry, _begun(dry, params, details))
    id = id or _next_of(dry, params)
    for item in params.get("invoice_items") or []:
        given = {name: value for name, value in item.items() if value is not None}
        dry.create("invoiceitem", {"customer": dry.need("subscription", id)["customer"], **given})
    return _shown(ctx, dry, _changed(dry, id, details) or _renewed(dry, id))


def _check(params: Json, details: Json) -> None:
    if not any(params.get(name) for name in ("customer", "customer_details", "schedule", "subscription")):
        raise errors.missing("customer")
    if params.get("schedule") is not None and (params.get("subscription") is not None or details):
        raise errors.both("schedule", "subscription" if params.get("subscription") else "subscription_details")
    if details.get("proration_date") is not None and details.get("proration_behavior") == "none":
        message = "You cannot set `proration_date` if `proration_behavior` is `none`."
        raise errors.invalid(message, "subscription_details[proration_date]")


def _nothing(of: str) -> Problem:
    return Problem(404, f"No upcoming invoices for {of}", code="invoice_upcoming_none")


def _of_schedule(ctx: Effects, params: Json) -> str | None:
    if params.get("schedule") is None:
        return None
    found: str | None = ctx.need("subscription_schedule", params["schedule"])["subscription"]
    if found is None:
        raise _nothing(f"schedule: {params['schedule']}")
    return found


def _next_of(ctx: Effects, params: Json) -> str:
    """Return the customer's subscription that is billed next."""
    customer = params.get("customer")
    own = [each for each in ctx.realm.all("subscription") if each["customer"] == customer]
    going = [each for each in own if each["status"] in renewals.LIVE and each["cancel_at"] is None]
    if not going:
        raise _nothing(f"customer: {customer}")
    return str(min(going, key=lambda each: renewals.period(each)[1])["id"])


def _begun(ctx: Effects, params: Json, details: Json) -> Json:
    customer = params.get("customer") or ctx.create("customer", {})["id"]
    wanted: Json = {"customer": customer, "payment_behavior": "default_incomplete"}
    wanted |= {name: value for name, value in details.items() if name in ("items", "trial_end")}
    made = ctx.create("subscription", wanted)
    return ctx.need("invoice", made["latest_invoice"])


def _changed(ctx: Effects, id: str, details: Json) -> Json | None:
    """Make the change, and return the invoice that it makes immediately, or None."""
    before = ctx.need("subscription", id)
    if before["status"] in renewals.OVER:
        raise _nothing(f"subscription: {id}")
    if details.get("cancel_now"):
        how = details.get("proration_behavior") or "create_prorations"
        changes.end(ctx, copy.deepcopy(before), prorate=how != "none", invoice_now=True)
    elif details.keys() & {*CHANGES}:
        given = {name: details[name] for name in (*CHANGES, *HOW) if name in details}
        ctx.update("subscription", id, {**given, "payment_behavior": "default_incomplete"})
    latest = ctx.need("subscription", id)["latest_invoice"]
    if latest != before["latest_invoice"]:
        return ctx.need("invoice", latest)
    if details.get("cancel_now"):
        raise _nothing(f"subscription: {id}")
    return None


def _renewed(ctx: Effects, id: str) -> Json:
    """Return the invoice of the next period."""
    subscription = copy.deepcopy(ctx.need("subscription", id))
    end = renewals.period(subscription)[1]
    ctx.second = max(end, ctx.second)
    subscription = renewals.turned(ctx, subscription)
    over = subscription["cancel_at"] is not None and subscription["cancel_at"] <= end
    if over or subscription["status"] not in renewals.LIVE:
        raise _nothing(f"subscription: {id}")
    return renewals.begin(ctx, subscription, end)


def _shown(ctx: Effects, dry: Effects, invoice: Json) -> Json:
    """Return an invoice as a draft that nobody can find; what is due of it, the customer's balance decides."""
    invoice = invoices.finalize(dry, copy.deepcopy(invoice), {}) if invoice["status"] == "draft" else invoice
    stamps = dict.fromkeys(invoice["status_transitions"])
    shown = {**copy.deepcopy(invoice), **LATER, "status": "draft", "status_transitions": stamps, "attempted": False}
    due = {"amount_paid": 0, "amount_remaining": invoice["amount_due"]}
    return {**shown, **due, "attempt_count": 0, "created": ctx.second, "id": "upcoming_" + invoice["id"]}


DETAILS: Fields = {
    "cancel_at_period_end": Flag(),
    "cancel_now": Flag(),
    "items": Many(each=Hash(fields=subscription_items.CHANGED, fill=False), most=20),
    "proration_behavior": OneOf(values=("always_invoice", "create_prorations", "none")),
    "proration_date": Time(),
    "trial_end": Moment(),
}
KNOWN: Fields = {
    "customer": Ref(kind="customer"),
    "subscription": Ref(kind="subscription"),
    "subscription_details": Hash(fields=DETAILS, fill=False),
}
ROUTES = (
    Route("POST", "invoices/create_preview", "invoice", _preview, completed("invoice", ("create_preview",), KNOWN)),
)
