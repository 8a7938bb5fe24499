"""Invoices: the row of the type, the lines of a new invoice, and Stripe's automatic collection."""

from __future__ import annotations

from contextlib import suppress

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Action, Filter, Resource, blank, same
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import payments_of, secret_of
from stripe_mongo_sync.emulator.objects.billing.invoice_shape import period_line, set_lines
from stripe_mongo_sync.emulator.objects.payments import cards
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Flag, Metadata, OneOf, Ref, Text, Time, Whole
from stripe_mongo_sync.emulator.protocol.params import INVOICE_SETTINGS
from stripe_mongo_sync.emulator.protocol.wire import Json

DAY = 86_400


def _check(params: Json) -> None:
    if params.get("customer") is None:
        raise errors.missing("customer")
    sent = params.get("collection_method") == "send_invoice"
    dated = params.get("due_date") is not None or params.get("days_until_due") is not None
    if sent and not dated:
        message = "If invoice `collection_method` = `send_invoice`, you must specify `due_date` or `days_until_due`."
        raise errors.invalid(message, "due_date")
    if dated and not sent:
        message = "`due_date` and `days_until_due` can only be set when `collection_method` = `send_invoice`."
        raise errors.invalid(message, "due_date")


def _check_state(ctx: Effects, params: Json, invoice: Json | None) -> None:
    others = params.keys() - {"metadata", "auto_advance"}
    if invoice is not None and invoice["status"] != "draft" and others:
        message = "Finalized invoices can't be updated in this way"
        raise errors.invalid(message, min(others), "invoice_not_editable")
    if params.get("default_payment_method") is not None:
        customer = (invoice or params)["customer"]
        cards.belongs(ctx, params["default_payment_method"], customer, "default_payment_method")


def _finish(ctx: Effects, params: Json, invoice: Json) -> None:
    if params.get("days_until_due") is not None:
        invoice["due_date"] = invoice["created"] + params["days_until_due"] * DAY
    if invoice["issuer"] is None:
        invoice |= {"issuer": {"type": "self"}, "period_start": ctx.second, "period_end": ctx.second}
        _fill(ctx, params, invoice)
    if invoice["status"] == "draft":
        ctx.schedule(invoice, ctx.second + invoices.HOUR if invoice["auto_advance"] else None)


def _fill(ctx: Effects, params: Json, invoice: Json) -> None:
    """Set the lines of a new invoice: a period of its subscription's items, what is pending, or none."""
    if params.get("subscription") is not None:  # by hand: what is pending of it
        details = {"metadata": {}, "subscription": params["subscription"]}
        invoice["parent"] = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    if invoice["parent"] is not None:
        owner = ctx.need("subscription", invoice["parent"]["subscription_details"]["subscription"])
        invoice["currency"] = owner["currency"]
        free = owner["status"] == "trialing"
        set_lines(invoice, [period_line(ctx, invoice, item, free) for item in params.get("lines") or []])
    ctx.keep("invoice", invoice)
    if invoice["parent"] is not None or params.get("pending_invoice_items_behavior") == "include":
        invoices.gather(ctx, invoice)
    pending = [item for item in ctx.realm.all("invoiceitem") if item["invoice"] == invoice["id"]]
    if pending and params.get("currency") is None:
        invoice["currency"] = pending[0]["currency"]
    invoices.update_lines(ctx, invoice)


def _check_delete(ctx: Effects, invoice: Json) -> None:
    if invoice["status"] != "draft" or invoice["parent"] is not None:
        raise Problem(400, "You can only delete draft invoices that are not of a subscription; void it instead.")


def _on_delete(ctx: Effects, invoice: Json) -> None:
    """Make the items of a deleted invoice pending again."""
    ctx.schedule(invoice, None)
    for item in ctx.realm.all("invoiceitem"):
        if item["invoice"] == invoice["id"]:
            ctx.keep("invoiceitem", {**item, "invoice": None})


def _on_due(ctx: Effects, invoice: Json) -> None:
    """Finalize a draft, or charge an open invoice, as Stripe does one hour later each."""
    if invoice["status"] == "draft":
        invoices.finalize(ctx, invoice, {})
    elif invoice["status"] == "open":
        with suppress(Problem):  # a decline, which the invoice shows
            invoices.pay(ctx, invoice, {"off_session": True})


INVOICE_FIELDS: Fields = {
    "auto_advance": Flag(),
    "collection_method": OneOf(values=("charge_automatically", "send_invoice")),
    "custom_fields": INVOICE_SETTINGS["custom_fields"],
    "days_until_due": Whole(least=0, hidden=True),
    "default_payment_method": Ref(kind="payment_method"),
    "description": Text(longest=1500),
    "due_date": Time(),
    "footer": Text(),
    "metadata": Metadata(),
    "number": Text(longest=26),
    "statement_descriptor": Text(longest=22),
}
INVOICE = Resource(
    kind="invoice",
    path="invoices",
    prefix="in_",
    create={
        **INVOICE_FIELDS,
        "currency": Currency(),
        "customer": Ref(kind="customer"),
        "pending_invoice_items_behavior": OneOf(values=("exclude", "include"), hidden=True),
    },
    update=INVOICE_FIELDS,
    defaults=blank(
        "account_name account_tax_ids application automatically_finalizes_at custom_fields customer customer_account "
        "customer_address customer_email customer_name customer_phone customer_shipping default_payment_method "
        "default_source description due_date effective_at ending_balance footer from_invoice hosted_invoice_url "
        "invoice_pdf issuer last_finalization_error latest_revision next_payment_attempt number on_behalf_of parent "
        "receipt_number rendering shipping_cost shipping_details statement_descriptor test_clock "
        "webhooks_delivered_at"
    )
    | {
        **dict.fromkeys(("amount_due", "amount_overpaid", "amount_paid", "amount_remaining", "amount_shipping"), 0),
        **dict.fromkeys(("post_payment_credit_notes_amount", "pre_payment_credit_notes_amount", "starting_balance"), 0),
        **dict.fromkeys(("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), 0),
        "account_country": "US",
        "amount_paid_off_stripe": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "currency": "usd",
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "discounts": [],
        "lines": {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": "/v1/invoices"},
        "metadata": {},
        "payment_settings": blank("default_mandate payment_method_options payment_method_types"),
        "period_end": 0,
        "period_start": 0,
        "status": "draft",
        "status_transitions": blank("finalized_at marked_uncollectible_at paid_at voided_at"),
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    },
    filters={
        **{name: same(name) for name in ("customer", "customer_account")},
        "collection_method": same("collection_method", INVOICE_FIELDS["collection_method"]),
        "status": same("status", OneOf(values=("draft", "open", "paid", "uncollectible", "void"))),
        "subscription": Filter(
            Text(),
            lambda invoice, id: bool(
                invoice.get("subscription") == id
                or ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription") == id
            ),
        ),
    },
    expands={
        "customer": "customer",
        "default_payment_method": "payment_method",
        "parent.subscription_details.subscription": "subscription",
    },
    includes={"payments": payments_of, "confirmation_secret": secret_of},
    delete="gone",
    check=_check,
    check_state=_check_state,
    finish=_finish,
    check_delete=_check_delete,
    on_delete=_on_delete,
    on_due=_on_due,
    lists={"lines": lambda ctx, invoice: list(invoice["lines"]["data"])},
    actions={
        "finalize": Action(invoices.finalize, {"auto_advance": Flag()}),
        "mark_uncollectible": Action(invoices.mark_uncollectible),
        "pay": Action(
            invoices.pay,
            {"off_session": Flag(), "paid_out_of_band": Flag(), "payment_method": Ref(kind="payment_method")},
        ),
        "send": Action(invoices.send),
        "void": Action(invoices.void),
    },
)
