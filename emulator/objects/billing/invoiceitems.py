"""Invoice items, which are billed with the customer's next invoice or with a given one."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Filter, Resource, blank, same
from stripe_mongo_sync.emulator.objects.billing import invoices
from stripe_mongo_sync.emulator.objects.billing.invoice_shape import pricing_of
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Currency, Fields, Flag, Hash, Metadata, Number, Ref, Text, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json


def _check(params: Json) -> None:
    if params.get("customer") is None:
        raise errors.missing("customer")
    ways = ("amount", "pricing", "price_data", "unit_amount_decimal")
    given = [name for name in ways if params.get(name) is not None]
    if len(given) > 1:
        raise errors.both(*given)
    if not given:
        raise errors.missing("amount")
    if params.get("amount") is not None and params.get("quantity") is not None:
        raise errors.both("amount", "quantity")
    if "pricing" in given and params["pricing"].get("price") is None:
        raise errors.missing("pricing[price]")
    errors.within(params.get("amount"), params.get("currency") or "usd", "amount")


def _draft(ctx: Effects, id: str | None, param: str = "invoice") -> None:
    invoice = ctx.realm.find("invoice", id) if id is not None else None
    if invoice is not None and invoice["status"] != "draft":
        message = "The invoice item cannot be changed: its invoice is no longer a draft."
        raise errors.invalid(message, param, "invoice_not_editable")


def _check_state(ctx: Effects, params: Json, item: Json | None) -> None:
    _draft(ctx, params.get("invoice") if item is None else item["invoice"])
    if item is not None:
        errors.within(params.get("amount"), item["currency"], "amount")
    invoice = ctx.realm.find("invoice", params.get("invoice") or "")
    if invoice is not None and invoice["customer"] != params["customer"]:
        raise errors.invalid("The invoice belongs to another customer.", "invoice")
    if item is None and params.get("pricing") is not None:
        line = {**params["pricing"], "quantity": 1}
        lines.check_state(ctx, [line], "payment", params.get("currency"), "pricing")


def _finish(ctx: Effects, params: Json, item: Json) -> None:
    if item["period"] is None:
        item["period"] = {"start": ctx.second, "end": ctx.second}
        item["quantity"] = params.get("quantity") or 1
        line = {"price": (params.get("pricing") or {}).get("price"), "price_data": params.get("price_data")}
        if any(line.values()):
            price = lines.price_of(ctx, line)
            item |= {"amount": lines.amount(price, item["quantity"]), "currency": price["currency"]}
            item["pricing"] = pricing_of(price)
            product = ctx.realm.find("product", price["product"]) or {"name": None}
            item["description"] = item["description"] or product["name"]
        elif params.get("unit_amount_decimal") is not None:
            alone = {"unit_amount_decimal": params["unit_amount_decimal"]}
            item["amount"] = lines.amount(blank("custom_unit_amount transform_quantity") | alone, item["quantity"])
        item["currency"] = item["currency"] or "usd"
    item |= {"net_amount": item["amount"], "quantity_decimal": str(item["quantity"])}
    ctx.keep("invoiceitem", item)
    _again(ctx, item)


def _again(ctx: Effects, item: Json) -> None:
    """Recompute the item's invoice, if it has one."""
    if item["invoice"] is None:
        return
    invoice = copy.deepcopy(ctx.need("invoice", item["invoice"]))
    old = copy.deepcopy(invoice)
    invoices.update_lines(ctx, invoice)
    invoices.change(ctx, invoice, old)


SHOWN: Fields = {
    "amount": Whole(unset=False),
    "description": Text(longest=5000),
    "metadata": Metadata(),
}
INVOICEITEM = Resource(
    kind="invoiceitem",
    path="invoiceitems",
    prefix="ii_",
    created_field="date",
    create={
        **SHOWN,
        "currency": Currency(),
        "customer": Ref(kind="customer"),
        "invoice": Ref(kind="invoice"),
        "price_data": Hash(
            fields={name: field for name, field in lines.SOLD.items() if name != "recurring"}, hidden=True
        ),
        "pricing": Hash(fields={"price": Ref(kind="price")}, hidden=True),
        "quantity": Whole(least=0, most=999_999),
        "unit_amount_decimal": Number(above=-1e-12, exact=True, hidden=True),
    },
    update=SHOWN,
    defaults=blank("customer customer_account description invoice parent period pricing test_clock")
    | {
        "amount": 0,
        "currency": "",
        "discountable": True,
        "discounts": [],
        "metadata": {},
        "net_amount": 0,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
    },
    filters={
        **{name: same(name) for name in ("customer", "customer_account", "invoice")},
        "pending": Filter(Flag(), lambda item, pending: (item["invoice"] is None) == pending),
    },
    expands={"customer": "customer", "invoice": "invoice"},
    delete="gone",
    events=("created", "deleted"),
    check=_check,
    check_state=_check_state,
    finish=_finish,
    check_delete=lambda ctx, item: _draft(ctx, item["invoice"], "invoiceitem"),
    on_delete=_again,
)
