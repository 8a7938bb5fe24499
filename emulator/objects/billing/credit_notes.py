"""Credit notes, which reduce the amount of a finalized invoice."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank, same
from stripe_mongo_sync.emulator.engine.steps import step
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import intent_of
from stripe_mongo_sync.emulator.objects.payments import balances
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
    before, after = _split(invoice, total := _total(invoice, params))
    left = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    if total < 1:
        raise errors.invalid("The credit note amount must be greater than 0.", "amount")
    if after > left:
        message = f"The credit note amount ({total}) is greater than the amount left of the invoice ({before + left})."
        raise errors.invalid(message, "amount")
    if (given := sum(params.get(name) or 0 for name in WAYS) + _linked(ctx, invoice, params)) != after:
        message = (
            "The sum of credit amount, refund amount and out of band amount must equal the post payment amount of the "
            f"credit note ({after}), but is {given}."
        )
        raise errors.invalid(message, "refund_amount" if params.get("refund_amount") else "amount")
    if params.get("refund_amount"):
        paid = _charge(ctx, invoice)
        if paid is None or params["refund_amount"] > paid["amount"] - paid["amount_refunded"]:
            message = "The refund amount is greater than the unrefunded amount on the charge of the invoice."
            raise errors.invalid(message, "refund_amount")


def _split(invoice: Json, total: int) -> tuple[int, int]:
    """Return which part reduces what is still to be paid, and which part was paid already."""
    before = min(total, invoice["amount_remaining"]) if invoice["status"] == "open" else 0
    return before, total - before


def _charge(ctx: Effects, invoice: Json) -> Json | None:
    intent = intent_of(ctx, invoice)
    id = intent["latest_charge"] if intent is not None else None
    return ctx.realm.find("charge", id) if id is not None else None


def _linked(ctx: Effects, invoice: Json, params: Json) -> int:
    """Return the sum of the existing refunds that a new credit note is linked to."""
    paid, total = _charge(ctx, invoice), 0
    for index, each in enumerate(params.get("refunds") or []):
        name = f"refunds[{index}][refund]"
        if each.get("refund") is None:
            raise errors.missing(name)
        refund = ctx.realm.find("refund", each["refund"])
        if refund is None:
            raise errors.no_such("refund", each["refund"], name, 400)
        if paid is None or refund["charge"] != paid["id"]:
            raise errors.invalid("This refund is not of a payment of the invoice.", name)
        notes = (each for note in ctx.realm.all("credit_note") for each in note["refunds"])
        used = sum(one["amount_refunded"] for one in notes if one["refund"] == refund["id"])
        left = refund["amount"] - used
        amount = each.get("amount_refunded") or refund["amount"]
        if amount > left:
            raise errors.invalid(f"Only {left} of this refund can be linked to a credit note.", name)
        total += amount
    return total


def _finish(ctx: Effects, params: Json, note: Json) -> None:
    if "invoice" not in params:
        return  # an update
    invoice = copy.deepcopy(ctx.need("invoice", params["invoice"]))
    total = _total(invoice, params)
    pre, post = _split(invoice, total)
    before = [each for each in ctx.realm.all("credit_note") if each["invoice"] == invoice["id"]]
    given = params.get("lines") or [{"type": "custom_line_item", "unit_amount": total, "quantity": 1}]
    data = [_line(ctx, invoice, line) for line in given]
    url = f"/v1/credit_notes/{note['id']}/lines"
    note["lines"] = {"object": "list", "data": data, "has_more": False, "url": url}
    note |= {name: invoice[name] for name in ("currency", "customer")}
    note |= dict.fromkeys(("amount", "subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total)
    note |= {"number": f"{invoice['number']}-CN-{len(before):02d}", "effective_at": note["effective_at"] or ctx.second}
    note["pdf"] = f"https://pay.stripe.com/credit_notes/{note['id']}/pdf"
    note["type"] = "mixed" if pre and post else "post_payment" if post else "pre_payment"
    note |= {"pre_payment_amount": pre, "post_payment_amount": post}
    note["refunds"] = [
        _refunded(each["refund"], each.get("amount_refunded") or ctx.need("refund", each["refund"])["amount"])
        for each in params.get("refunds") or []
    ]
    if params.get("refund_amount"):
        amount, paid = params["refund_amount"], _charge(ctx, invoice)
        refund = ctx.create("refund", {"charge": paid["id"] if paid is not None else None, "amount": amount})
        note["refunds"].append(_refunded(refund["id"], amount))
    if params.get("credit_amount"):
        whose, currency = invoice["customer"], invoice["currency"]
        about = {"credit_note": note["id"], "invoice": invoice["id"]}
        moved = balances.move(ctx, whose, -params["credit_amount"], currency, "credit_note", **about)
        note["customer_balance_transaction"] = moved["id"]
    _take_off(ctx, invoice, note)


def _refunded(refund: str, amount: int) -> Json:
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund, "type": "refund"}


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
    old, amount = copy.deepcopy(invoice), sign * note["pre_payment_amount"]
    invoice["pre_payment_credit_notes_amount"] += amount
    invoice["post_payment_credit_notes_amount"] += sign * note["post_payment_amount"]
    if amount:
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
REFUNDED: Fields = {"amount_refunded": Whole(least=1), "refund": Text()}
WAYS = ("credit_amount", "out_of_band_amount", "refund_amount")
SAID: Fields = {"memo": Text(), "metadata": Metadata()}
CREDIT_NOTE = Resource(
    kind="credit_note",
    path="credit_notes",
    prefix="cn_",
    label="credit note",
    create={
        **SAID,
        "amount": Whole(least=1, hidden=True),
        "credit_amount": Whole(least=0, hidden=True),
        "effective_at": Time(),
        "invoice": Ref(kind="invoice", required=True),
        "lines": Many(each=Hash(fields=LINE, fill=False), hidden=True),
        "out_of_band_amount": Whole(least=0),
        "reason": OneOf(values=("duplicate", "fraudulent", "order_change", "product_unsatisfactory")),
        "refund_amount": Whole(least=0, hidden=True),
        "refunds": Many(each=Hash(fields=REFUNDED, fill=False), hidden=True),
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
