"""A person who left traces everywhere, and a search for any of them in all that MongoDB keeps."""

import json
from typing import Any

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Refund, SyncedDocument, kinds, present_kinds
from stripe_mongo_sync.models.rows.tally import having
from tests.support import samples
from tests.support.events import event
from tests.support.world import World

NAME = "Zenobia Quux"
USERNAME = "zenobia@quux.example"
ADDRESS = {"line1": "7 Quuxgate", "city": "Quuxton", "postal_code": "QX7 7QX", "country": "GB"}
PHONE = "+44 7700 900777"
TRACES = ("zenobia", "quux", "qx7", "900777", '"4242', "emulated0000", "203.0.113.77", "_secret_")


def buys(world: World) -> Customer:
    """Let them be a customer who paid once."""
    customer = sync.create_customer(USERNAME, name=NAME, phone=PHONE)
    pay = {"amount": 2000, "currency": "eur", "receipt_email": USERNAME, "description": f"for {NAME}"}
    once = {"automatic_payment_methods": samples.NO_REDIRECTS, "payment_method": "pm_card_visa", "confirm": True}
    sync.create(kinds()["payment_intent"], {"customer": USERNAME, **pay, **once})
    world.deliver()
    return customer.fetch_latest()


def live(world: World) -> Customer:
    """Let them be a customer who has something of every kind: paid, refused, refunded, disputed, and still to come."""
    create = sync.create
    about = {"name": NAME, "phone": PHONE, "address": ADDRESS, "shipping": {"name": NAME, "address": ADDRESS}}
    customer = sync.create_customer(USERNAME, description=f"{NAME} likes lamps", **about)
    billing = {"name": NAME, "email": USERNAME, "phone": PHONE, "address": ADDRESS}
    card = create(
        kinds()["payment_method"], {"type": "card", "card": {"token": "tok_visa"}, "billing_details": billing}
    )
    sync.set_payment_method(USERNAME, str(card[0].id))
    me, told = {"customer": USERNAME}, f"for {NAME}"
    create(kinds()["setup_intent"], {**me, "description": told, "automatic_payment_methods": samples.NO_REDIRECTS})
    pay = {"amount": 2000, "currency": "eur", "receipt_email": USERNAME, "description": told}
    once = {"automatic_payment_methods": samples.NO_REDIRECTS, "payment_method": "pm_card_visa", "confirm": True}
    paid, _ = create(kinds()["payment_intent"], {**me, **pay, **once})
    try:
        declined = {**once, "payment_method": "pm_card_visa_chargeDeclined"}
        create(kinds()["payment_intent"], {**me, **pay, **declined})
    except sync.Refused:
        pass
    create(kinds()["refund"], {"payment_intent": str(paid.id), "amount": 500})
    items = samples.items("lamp")
    order = sync.create_order(USERNAME, items, "checkout", success_url=f"https://shop.example/{USERNAME}")
    world.stripe.pay_session(order.checkout_session or "", "pm_card_visa", USERNAME)
    sync.create_order(USERNAME, items, "payment_intent", receipt_email=USERNAME)
    plan = {**samples.body("price", "plan"), "recurring": {"interval": "month"}}
    price = create(kinds()["price"], plan)[0]
    create(kinds()["subscription"], {**me, "items": [{"price": str(price.id)}], "description": told})
    create(kinds()["invoiceitem"], {**me, "amount": 700, "currency": "eur", "description": told})
    create(kinds()["invoice"], {**me, "description": told, "pending_invoice_items_behavior": "include"})
    offer = create(kinds()["quote"], {**me, "line_items": items, "description": told, "footer": f"to {USERNAME}"})[0]
    sync.act(offer, "finalize")
    create(kinds()["billing.meter"], samples.body("billing.meter", "lamps"))
    sync.record_usage(USERNAME, "used_by_lamps", 3, idempotency_key=f"lamps of {NAME}")
    world.deliver()
    for raw in from_stripe(world, customer.stripe_id or ""):
        world.deliver([raw])
    return customer.fetch_latest()


def from_stripe(world: World, customer: str) -> list[bytes]:
    """What only Stripe tells of: a dispute, a tax id, a discount, an invoice to come."""
    at = int(world.stripe.clock.now())
    charge = Refund.objects.first().stripe["charge"]
    evidence = {"customer_name": NAME, "customer_purchase_ip": "203.0.113.77", "receipt": "file_1QuittungA7"}
    proof = world.stripe.insert("file", id="file_1QuittungA7", filename=f"{NAME}.pdf", created=at)
    about = {"charge": charge, "amount": 2000, "evidence": evidence, "metadata": {"of": NAME}, "status": "won"}
    txn = {"id": "txn_1Quarrel0A7", "object": "balance_transaction", "source": "dp_1Quarrel0A7", "description": NAME}
    txn |= {"created": at, "amount": -2000, "currency": "eur", "fee": 0, "net": -2000, "type": "adjustment"}
    about["balance_transactions"] = [txn]
    dispute = world.stripe.insert("dispute", id="dp_1Quarrel0A7", is_charge_refundable=True, **about)
    tax = world.stripe.insert("tax_id", id="txi_1Quarrel0A7", customer=customer, value="GB900777")
    discount = {"id": "di_1Quarrel0A7", "object": "discount", "customer": customer, "coupon": {"name": NAME}}
    upcoming = {"object": "invoice", "customer": customer, "customer_email": USERNAME, "total": 500}
    return [
        event("file.created", proof, at),
        event("charge.dispute.created", dispute, at),
        event("balance_transaction.created", txn, at),
        event("customer.tax_id.created", tax, at),
        event("customer.discount.created", discount, at),
        event("invoice.upcoming", upcoming, at),
    ]


def traces(database: Any, *more: str) -> dict[str, list[str]]:
    """Return, for each collection, the traces that are in any byte of its rows."""
    found: dict[str, list[str]] = {}
    for name in database.list_collection_names():
        rows = [_text(row) for row in database[name].find()]
        if there := sorted({trace for trace in (*TRACES, *more) for row in rows if trace.lower() in row}):
            found[name] = there
    return found


def _text(row: dict[str, Any]) -> str:
    shown = {name: value.decode() if isinstance(value, bytes) else value for name, value in row.items()}
    return json.dumps(shown, default=str, ensure_ascii=False).lower()


def of_person(customer: Customer) -> list[SyncedDocument]:
    """The documents that name the customer, by the field that each kind has for it."""
    return [
        document
        for model in having(present_kinds().values(), {})
        for document in model.objects
        if (document.stripe or {}).get("customer") == customer.stripe_id
    ]
