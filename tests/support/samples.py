"""A good body of every kind, made from nothing: what generated tests create, change and delete."""

from typing import Any

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import SyncedDocument, kinds
from stripe_mongo_sync.sync.runs.reconcile import run_once

NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}
CHANGES: dict[str, dict[str, Any]] = {
    "customer": {"name": "Another Name", "phone": None},
    "billing.meter": {"display_name": "Another Meter"},
    "billing.credit_grant": {"expires_at": 4_102_444_800},
    "product": {"name": "Another Product"},
    "price": {"nickname": "another"},
    "coupon": {"name": "Another Coupon"},
    "promotion_code": {"active": False},
    "tax_rate": {"display_name": "Another Tax"},
    "shipping_rate": {"active": False},
    "setup_intent": {"description": "another"},
    "payment_intent": {"description": "another"},
    "payment_link": {"active": False},
    "subscription": {"description": "another"},
    "subscription_schedule": {"end_behavior": "cancel"},
    "invoice": {"description": "another"},
    "credit_note": {"memo": "another"},
    "customer_balance_transaction": {"description": "another"},
    "quote": {"description": "another"},
    "invoiceitem": {"description": "another"},
    "dispute": {"evidence": {"uncategorized_text": "It was delivered."}, "submit": False},
}


def another(field: str, value: Any) -> dict[str, Any]:
    """Another value of a field that is changed so, or of the first that is in it."""
    match value:
        case dict():
            return {field: another(*next(iter(value.items())))}
        case bool():
            return {field: not value}
        case int():
            return {field: value + 86_400}
    return {field: "release" if field == "end_behavior" else f"{value}, again"}


ACTS: dict[str, dict[str, tuple[str, ...]]] = {  # each action of a kind, and what must have been done before it
    "customer": {"payment_method": ()},
    "quote": {"finalize": (), "accept": ("finalize",), "cancel": ()},
    "billing.meter": {"deactivate": (), "reactivate": ("deactivate",)},
    "billing.credit_grant": {"expire": (), "void": ()},
    "payment_method": {"attach": (), "detach": ("attach",)},
    "setup_intent": {"confirm": (), "cancel": ()},
    "payment_intent": {"confirm": (), "capture": ("confirm",), "cancel": ()},
    "checkout.session": {"expire": ()},
    "subscription": {"pause": (), "resume": ("pause",), "cancel": ()},
    "subscription_schedule": {"release": (), "cancel": ()},
    "invoice": dict.fromkeys(("send", "pay", "void", "mark_uncollectible"), ("finalize",)) | {"finalize": ()},
    "credit_note": {"void": ()},
    "order": {"cancel": (), "refund": ()},
    "dispute": {"close": ()},
}


def given(kind: str, action: str) -> dict[str, Any]:
    """Return what an action takes; what it refers to is created first."""
    match kind, action:
        case "customer", "payment_method":
            return {"payment_method": str(create("payment_method").id)}
        case "payment_method", "attach":
            return {"customer": str(create("customer").id)}
        case _, "confirm":
            return {"payment_method": "pm_card_visa"}
        case "subscription", "pause":
            return {"behavior": "void"}
        case "order", "refund":
            newest = kinds()["order"].objects.order_by("-created_at").first()
            return {"lines": [{"price": newest.items[0].price, "quantity": 1}]}
    return {}


def ready(kind: str, action: str) -> SyncedDocument:
    """Create a sample on which that action may be done."""
    if (kind, action) == ("order", "refund"):
        return sync.create(kinds()[kind], paid_order())[0]
    document = create(kind)
    for before in ACTS[kind][action]:
        document = sync.act(document, before, given(kind, before))
    return document


def body(kind: str, name: str = "sample") -> dict[str, Any]:
    """Return what creates a document of that kind; what it refers to is created first."""
    match kind:
        case "customer":
            return {"username": f"{name}@here.com", "name": "A Name", "phone": "+49 30 1234", "address": {"city": "B"}}
        case "product":
            return {"name": f"Product {name}", "description": "it is good"}
        case "price":
            return {"product": str(create("product", name).id), "currency": "eur", "unit_amount": 990}
        case "coupon":
            return {"percent_off": 12.5, "duration": "once", "name": f"Coupon {name}"}
        case "promotion_code":
            return {"promotion": {"type": "coupon", "coupon": str(create("coupon", name).id)}, "code": f"GO-{name}"}
        case "billing.meter":
            return {
                "display_name": f"Meter {name}",
                "event_name": f"used_by_{name}",
                "default_aggregation": {"formula": "sum"},
                "customer_mapping": {"type": "by_id", "event_payload_key": "who"},
                "value_settings": {"event_payload_key": "used"},
            }
        case "quote":
            return {"customer": str(buyer(name).id), "line_items": items(name), "description": f"for {name}"}
        case "tax_rate":
            return {"display_name": "VAT", "percentage": 19, "inclusive": True, "description": f"for {name}"}
        case "billing.credit_grant":
            return {
                "customer": str(buyer(name).id),
                "amount": {"type": "monetary", "monetary": {"currency": "eur", "value": 1500}},
                "applicability_config": {"scope": {"price_type": "metered"}},
                "name": f"for {name}",
            }
        case "shipping_rate":
            return {
                "display_name": f"Mail {name}",
                "type": "fixed_amount",
                "fixed_amount": {"amount": 490, "currency": "eur"},
            }
        case "setup_intent":
            return {"description": f"a card of {name}", "automatic_payment_methods": NO_REDIRECTS}
        case "payment_intent":
            return {
                "amount": 2000,
                "currency": "eur",
                "description": f"of {name}",
                "automatic_payment_methods": NO_REDIRECTS,
                "capture_method": "manual",
            }
        case "refund":
            paid = body("payment_intent", name) | {"payment_method": "pm_card_visa", "confirm": True}
            del paid["capture_method"]
            return {"payment_intent": str(sync.create(kinds()["payment_intent"], paid)[0].id), "amount": 500}
        case "payment_method":
            return {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": name}}
        case "checkout.session":
            return {"mode": "payment", "line_items": items(name), "success_url": f"https://shop.example/{name}"}
        case "payment_link":
            return {"line_items": items(name)}
        case "subscription":
            return {
                "customer": str(payer(name).id),
                "items": [{"price": str(plan(name).id), "quantity": 1}],
                "description": f"of {name}",
            }
        case "subscription_schedule":
            price = str(plan(name).id)
            return {
                "customer": str(payer(name).id),
                "start_date": "now",
                "phases": [
                    {"items": [{"price": price, "quantity": n}], "duration": {"interval": "month"}} for n in (1, 2)
                ],
            }
        case "invoice":
            return {
                "customer": create("invoiceitem", name).customer,
                "description": f"of {name}",
                "pending_invoice_items_behavior": "include",
            }
        case "customer_balance_transaction":
            return {
                "customer": str(buyer(name).id),
                "amount": -500,
                "currency": "eur",
                "description": f"for {name}",
            }
        case "credit_note":
            invoice = sync.act(create("invoice", name), "finalize", {})
            return {"invoice": str(invoice.id), "amount": 100, "memo": f"for {name}"}
        case "invoiceitem":
            return {"customer": str(payer(name).id), "amount": 700, "currency": "eur", "description": f"of {name}"}
        case "order":
            return {
                "username": payer(name).username,
                "items": items(name),
                "payment": "checkout",
                "success_url": f"https://shop.example/{name}",
            }
    raise AssertionError(f"no sample of {kind}: add one")


def paid_order(name: str = "sample") -> dict[str, Any]:
    """Return what creates an order that is paid at once."""
    rest = {name: value for name, value in body("order", name).items() if name != "success_url"}
    return {**rest, "payment": "payment_intent", "payment_method": "pm_card_visa"}


def items(name: str) -> list[dict[str, Any]]:
    """Two of one price."""
    return [{"price": str(create("price", name).id), "quantity": 2}]


def plan(name: str) -> SyncedDocument:
    """A price of each month."""
    return sync.create(kinds()["price"], {**body("price", name), "recurring": {"interval": "month"}})[0]


def buyer(name: str) -> SyncedDocument:
    """The customer of that name."""
    return kinds()["customer"].lookup(f"{name}@here.com") or create("customer", name)


def payer(name: str) -> SyncedDocument:
    """The customer of that name, who has a card."""
    customer = buyer(name)
    if not (customer.invoice_settings and customer.invoice_settings.default_payment_method):
        card = create("payment_method", name)
        customer = sync.act(customer, "payment_method", {"payment_method": str(card.id)})
    return customer


def create(kind: str, name: str = "sample") -> SyncedDocument:
    """Create a sample on both sides; what only Stripe creates, as Stripe does, and copied by a run."""
    if kind == "dispute":
        paid = {**body("payment_intent", name), "payment_method": "pm_card_createDispute", "confirm": True}
        del paid["capture_method"]
        intent = sync.create(kinds()["payment_intent"], paid)[0]
        run_once()
        return kinds()[kind].objects(__raw__={"stripe.payment_intent": intent.stripe_id}).get()
    return sync.create(kinds()[kind], body(kind, name))[0]
