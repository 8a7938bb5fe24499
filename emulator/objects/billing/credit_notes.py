"""Credit notes, which reduce the amount of a finalized invoice."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank, same
from stripe_mongo_sync.emulator.engine.steps import step
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import intent_of
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import (
    Fields,
    Hash,
    Many,
    Metadata,
    Number,
    OneOf,
    Ref,
    Text,
    Time,
    Whole,
)
from stripe_mongo_sync.emulator.protocol.wire import Json


def _check(params: Json) -> None:
    if (params.get("amount") is None) == (not params.get("lines")):
        raise Problem(400, "You must pass exactly one of `amount`, `lines` or `shipping_cost`.")
    for index, line in enumerate(params.get("lines") or []):
        if line["type"] == "custom_line_item" and line.get("unit_amount") is None:
            raise errors.missing(f"lines[{index}][unit_amount]")
        if line["type"] == "invoice_line_item" and line.get("invoice_line_item") is None:
            raise errors.missing(f"lines[{index}][invoice_line_item]")


def _amount(invoice: Json, line: Json) -> int:
    if line.get("amount") is not None:
        return int(line["amount"])
    if line["type"] == "custom_line_item":
        return int(line["unit_amount"] * (line.get("quantity") or 1))
    billed = next((each for each in invoice["lines"]["data"] if each["id"] == line["invoice_line_item"]), None)
    if billed is None:
        raise errors.no_such("invoice line item", line["invoice_line_item"], "lines[invoice_line_item]", 400)
    return int(billed["amount"])


def _total(invoice: Json, params: Json) -> int:
    return params.get("amount") or sum(_amount(invoice, line) for line in params["lines"])


def _check_state(ctx: Effects, params: Json, note: Json | None) -> None:
    if note is not None:
        return
    invoice = ctx.need("invoice", params["invoice"])
    if invoice["status"] not in ("open", "paid"):
        raise errors.invalid("You can only create a credit note for an open or paid invoice.", "invoice")
    total = _total(invoice, params)
    left = invoice["amount_remaining"] if invoice["status"] == "open" else invoice["amount_paid"]
    left -= 0 if invoice["status"] == "open" else invoice["post_payment_credit_notes_amount"]
    if total > left:
        message = f"The credit note amount ({total}) is greater than the amount that is left of the invoice ({left})."
        raise errors.invalid(message, "amount")
    if invoice["status"] == "paid" and params.get("out_of_band_amount") != total:
        message = (
            "The emulator supports only credits out of band for a paid invoice: pass the total as `out_of_band_amount`."
        )
        raise errors.invalid(message, "out_of_band_amount")


def _finish(ctx: Effects, params: Json, note: Json) -> None:
    if "invoice" not in params:
        return  # an update
    invoice = copy.deepcopy(ctx.need("invoice", params["invoice"]))
    paid, total = invoice["status"] == "paid", _total(invoice, params)
    before = [each for each in ctx.realm.all("credit_note") if each["invoice"] == invoice["id"]]
    given = params.get("lines") or [{"type": "custom_line_item", "unit_amount": total, "quantity": 1}]
    data = [_line(ctx, invoice, line) for line in given]
    url = f"/v1/credit_notes/{note['id']}/lines"
    note["lines"] = {"object": "list", "data": data, "has_more": False, "url": url}
    note |= {name: invoice[name] for name in ("currency", "customer")}
    note |= dict.fromkeys(("amount", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total)
    note |= {"number": f"{invoice['number']}-CN-{len(before):02d}", "effective_at": note["effective_at"] or ctx.second}
    note["pdf"] = f"https://pay.stripe.com/credit_notes/{note['id']}/pdf"
    note["type"] = "post_payment" if paid else "pre_payment"
    note[f"{note['type']}_amount"] = total
    _take_off(ctx, invoice, note)


def _line(ctx: Effects, invoice: Json, line: Json) -> Json:
    exact = None if line.get("unit_amount") is None else str(line["unit_amount"])
    return {
        "id": "cnli_" + ctx.draw(24, "base62"),
        "object": "credit_note_line_item",
        "amount": _amount(invoice, line),
        "description": line.get("description"),
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": invoice["livemode"],
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": line.get("quantity"),
        "tax_rates": [],
        "taxes": [],
        "type": line["type"],
        "unit_amount": line.get("unit_amount"),
        "unit_amount_decimal": exact,
        **({"invoice_line_item": line["invoice_line_item"]} if line["type"] == "invoice_line_item" else {}),
    }


def _take_off(ctx: Effects, invoice: Json, note: Json, sign: int = 1) -> None:
    """Subtract a credit note from its invoice; with a negative sign, add it again."""
    old, amount = copy.deepcopy(invoice), sign * note["amount"]
    invoice[f"{note['type']}_credit_notes_amount"] += amount
    if note["type"] == "pre_payment":
        invoice |= {name: invoice[name] - amount for name in ("amount_due", "amount_remaining")}
        intent = intent_of(ctx, invoice)
        if intent is not None and invoice["amount_due"]:
            ctx.keep("payment_intent", intent | {"amount": invoice["amount_due"]})
    invoices.change(ctx, invoice, old)
    if invoice["status"] == "open" and not invoice["amount_due"]:
        invoices.pay(ctx, invoice, {"paid_out_of_band": True})


def _restore(ctx: Effects, note: Json) -> None:
    invoice = copy.deepcopy(ctx.need("invoice", note["invoice"]))
    if note["type"] != "pre_payment" or invoice["status"] != "open":
        raise Problem(400, "You can only void a credit note of an invoice that is open.")
    _take_off(ctx, invoice, note, sign=-1)


LINE: Fields = {
    "amount": Whole(least=1),
    "description": Text(),
    "invoice_line_item": Text(),
    "quantity": Whole(least=1),
    "type": OneOf(values=("custom_line_item", "invoice_line_item"), required=True),
    "unit_amount": Whole(least=1),
    "unit_amount_decimal": Number(exact=True),
}
SAID: Fields = {"memo": Text(), "metadata": Metadata()}
CREDIT_NOTE = Resource(
    kind="credit_note",
    path="credit_notes",
    prefix="cn_",
    label="credit note",
    create={
        **SAID,
        "amount": Whole(least=1, hidden=True),
        "effective_at": Time(),
        "invoice": Ref(kind="invoice", required=True),
        "lines": Many(each=Hash(fields=LINE, fill=False), hidden=True),
        "out_of_band_amount": Whole(least=0),
        "reason": OneOf(values=("duplicate", "fraudulent", "order_change", "product_unsatisfactory")),
    },
    update=SAID,
    defaults=blank(
        "currency customer customer_account customer_balance_transaction effective_at invoice lines memo number "
        "out_of_band_amount pdf reason shipping_cost voided_at"
    )
    | dict.fromkeys(
        (
            *("amount", "amount_shipping", "discount_amount", "post_payment_amount", "pre_payment_amount"),
            *("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"),
        ),
        0,
    )
    | {name: [] for name in ("discount_amounts", "pretax_credit_amounts", "refunds", "total_taxes")}
    | {"metadata": {}, "status": "issued", "type": "pre_payment"},
    filters={name: same(name) for name in ("customer", "customer_account", "invoice")},
    expands={"customer": "customer", "invoice": "invoice"},
    events=("created", "updated"),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    lists={"lines": lambda ctx, note: list(note["lines"]["data"])},
    actions={"void": step("void", ("issued",), "void", "credit_note.voided", "voided_at", effect=_restore)},
)
