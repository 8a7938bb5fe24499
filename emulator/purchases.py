"""What a buyer does at a checkout session: pays, saves a card, or subscribes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from emulator import cards, lines, payments, setups
from emulator.invoice_payments import intent_of
from emulator.resource import blank
from emulator.wire import Json

if TYPE_CHECKING:
    from emulator.act import Act

CARD_ONLY = {"automatic_payment_methods": {"allow_redirects": "never", "enabled": True}}


def complete(act: Act, session: Json, card: str, email: str) -> Json:
    """The buyer pays; a decline raises, and leaves the session open for another card."""
    if session["mode"] == "setup":
        intent = copy.deepcopy(act.need("setup_intent", session["setup_intent"]))
        if setups.confirm(act, intent, {"payment_method": card})["status"] == "requires_action":
            setups.authenticated(act, intent, agrees=True)
    elif session["mode"] == "payment" and session["amount_total"]:
        intent = _intent(act, session)
        if payments.confirm(act, intent, {"payment_method": card})["status"] == "requires_action":
            payments.authenticated(act, intent, agrees=True)
        paid = act.need("payment_intent", intent["id"])["status"] == "succeeded"
        session["payment_status"] = "paid" if paid else "unpaid"  # unpaid: held, to be captured later
    elif session["mode"] == "subscription":
        _subscribe(act, session, card, email)
    known = session["customer_email"] or (act.realm.find("customer", session["customer"] or "") or {}).get("email")
    nobody: Json = blank("address business_name individual_name name phone tax_ids")
    session["customer_details"] = nobody | {"email": known or email, "tax_exempt": "none"}
    session |= {"status": "complete", "url": None}
    act.wake(session, None)
    act.keep("checkout.session", session)
    act.announce("checkout.session.completed", session)
    return session


def _subscribe(act: Act, session: Json, card: str, email: str) -> None:
    """The subscription begins with its payment (since API 2025-03-31.basil), or not at all."""
    wanted = _planned(act, session, "subscription_data")
    method = cards.peek(act, card)
    if cards.card_of(method).refused:
        raise cards.refusal(cards.card_of(method).refused)
    if session["customer"] is None:
        session["customer"] = act.create("customer", {"email": session["customer_email"] or email})["id"]
    method = cards.hand_over(act, act.named("payment_method", card), session["customer"])
    payer, items = {"customer": session["customer"]}, []
    for item in lines.of(act, session):
        price, quantity = {"price": item["price"]["id"], "own": True}, {"quantity": item["quantity"]}
        if item["price"]["recurring"] is not None:
            items.append(price | quantity)
        else:  # once, with the first invoice
            act.create("invoiceitem", {**payer, **quantity, "pricing": price})
    made = act.create("subscription", {**wanted, **payer, "items": items, "default_payment_method": method["id"]})
    if made["status"] == "incomplete":  # the buyer is there to say yes
        intent = intent_of(act, act.need("invoice", made["latest_invoice"]))
        assert intent is not None, "what is incomplete waits for a payment"
        payments.authenticated(act, intent, agrees=True)
    session |= {"subscription": made["id"], "invoice": made["latest_invoice"], "payment_status": "paid"}
    if made["trial_end"] is not None or not session["amount_total"]:
        session["payment_status"] = "no_payment_required"


def _planned(act: Act, session: Json, name: str) -> Json:
    """What the session's maker said about the object to come."""
    given = act.realm.table("plans").get(session["id"], {}).get(name) or {}
    return {key: value for key, value in given.items() if value is not None}


def _intent(act: Act, session: Json) -> Json:
    """The session's payment intent, made when the buyer first tries to pay."""
    if session["payment_intent"] is None:
        wanted = _planned(act, session, "payment_intent_data")
        facts = {"amount": session["amount_total"], **{name: session[name] for name in ("currency", "customer")}}
        session["payment_intent"] = act.create("payment_intent", {**wanted, **facts, **CARD_ONLY})["id"]
        act.keep("checkout.session", session)
    return copy.deepcopy(act.need("payment_intent", session["payment_intent"]))
