"""Purchases at a checkout session: the buyer pays, saves a card, or subscribes."""

from __future__ import annotations

import copy

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Route, blank
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import intent_of
from stripe_mongo_sync.emulator.objects.catalog import lines
from stripe_mongo_sync.emulator.objects.checkout import totals
from stripe_mongo_sync.emulator.objects.payments import cards, payments, setups
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Fields, Ref, Whole
from stripe_mongo_sync.emulator.protocol.wire import Json

CARD_ONLY = {"automatic_payment_methods": {"allow_redirects": "never", "enabled": True}}


def complete(ctx: Effects, session: Json, card: str, email: str, code: str | None = None) -> Json:
    """Pay a session as the buyer, who may enter a promotion code. Raises a decline, which leaves the session open."""
    if code is not None:
        _redeem(ctx, session, code)
    if session["mode"] == "setup":
        intent = copy.deepcopy(ctx.need("setup_intent", session["setup_intent"]))
        if setups.confirm(ctx, intent, {"payment_method": card})["status"] == "requires_action":
            setups.authenticated(ctx, intent, agrees=True)
    elif session["mode"] == "payment" and session["amount_total"]:
        if session["customer_creation"] == "always" and session["customer"] is None:
            session["customer"] = ctx.create("customer", {"email": session["customer_email"] or email})["id"]
        intent = _intent(ctx, session)
        paid_with = {"payment_method": card, "mandate_data": {"customer_acceptance": {"type": "online"}}}
        if payments.confirm(ctx, intent, paid_with)["status"] == "requires_action":
            payments.authenticated(ctx, intent, agrees=True)
        paid = ctx.need("payment_intent", intent["id"])["status"] == "succeeded"
        session["payment_status"] = "paid" if paid else "unpaid"  # unpaid: to be captured, or a debit is processing
    elif session["mode"] == "subscription":
        _subscribe(ctx, session, card, email)
    known = session["customer_email"] or (ctx.realm.find("customer", session["customer"] or "") or {}).get("email")
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"] = {**session["automatic_tax"], "status": "complete"}
    nobody: Json = blank("address business_name individual_name name phone tax_ids")
    session["customer_details"] = nobody | {"email": known or email, "tax_exempt": "none"}
    session |= {"status": "complete", "url": None}
    ctx.schedule(session, None)
    ctx.keep("checkout.session", session)
    ctx.announce("checkout.session.completed", session)
    return session


def _redeem(ctx: Effects, session: Json, code: str) -> None:
    """Take off what a promotion code is for. Raises Problem unless the session asks for one, and it is active."""
    found = [each for each in ctx.realm.all("promotion_code") if each["active"] and each["code"] == code]
    if not session["allow_promotion_codes"] or not found:
        raise errors.invalid("This promotion code is not valid.", "code")
    totals.total(ctx, session, {"promotion_code": found[0]["id"]})
    ctx.keep("checkout.session", session)


def _on_payment(ctx: Effects, intent: Json, paid: bool) -> None:
    """Announce the outcome of a bank debit after its session was completed."""
    for found in ctx.realm.all("checkout.session"):
        if (found["payment_intent"], found["status"], found["payment_status"]) == (intent["id"], "complete", "unpaid"):
            status = "paid" if paid else "unpaid"
            type = f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}"
            ctx.keep("checkout.session", {**found, "payment_status": status})
            ctx.announce(type, ctx.need("checkout.session", found["id"]))


payments.LISTENERS.append(_on_payment)


def _page(ctx: Effects, params: Json, id: str) -> Json:
    """GET /v1/payment_pages/<session>, which only Stripe's pages and command line use."""
    return ctx.need("checkout.session", id)


def _confirmed(ctx: Effects, params: Json, id: str) -> Json:
    """POST /v1/payment_pages/<session>/confirm: what the page sends when the buyer pays."""
    session = copy.deepcopy(ctx.need("checkout.session", id))
    if session["status"] != "open":
        raise Problem(400, f"This Checkout Session has a status of {session['status']}.")
    if params.get("expected_amount") not in (None, session["amount_total"]):
        raise errors.invalid("The amount has changed.", "expected_amount", "checkout_amount_mismatch")
    method = ctx.need("payment_method", params["payment_method"])
    return complete(ctx, session, method["id"], method["billing_details"]["email"] or "buyer@example.com")


PAID: Fields = {"expected_amount": Whole(), "payment_method": Ref(kind="payment_method", required=True)}
ROUTES = (
    Route("GET", "payment_pages/{}", "checkout.session", _page),
    Route("POST", "payment_pages/{}/confirm", "checkout.session", _confirmed, PAID),
)


def _subscribe(ctx: Effects, session: Json, card: str, email: str) -> None:
    """Create the subscription with its payment (as since API 2025-03-31.basil), or raise the decline."""
    wanted = _planned(ctx, session, "subscription_data")
    method = cards.peek(ctx, card)
    if cards.card_of(method).refused:
        raise cards.refusal(cards.card_of(method).refused)
    if session["customer"] is None:
        session["customer"] = ctx.create("customer", {"email": session["customer_email"] or email})["id"]
    method = cards.attach(ctx, ctx.named("payment_method", card), session["customer"])
    payer, items = {"customer": session["customer"]}, []
    for item in lines.of(ctx, session):
        price, quantity = {"price": item["price"]["id"], "own": True}, {"quantity": item["quantity"]}
        if item["price"]["recurring"] is not None:
            items.append(price | quantity)
        else:  # a one-time price is on the first invoice
            ctx.create("invoiceitem", {**payer, **quantity, "pricing": price})
    made = ctx.create("subscription", {**wanted, **payer, "items": items, "default_payment_method": method["id"]})
    if made["status"] == "incomplete":  # the buyer confirms 3-D Secure
        intent = intent_of(ctx, ctx.need("invoice", made["latest_invoice"]))
        if intent is None:
            raise LookupError("an incomplete subscription has a payment intent")
        payments.authenticated(ctx, intent, agrees=True)
    session |= {"subscription": made["id"], "invoice": made["latest_invoice"], "payment_status": "paid"}
    if made["trial_end"] is not None or not session["amount_total"]:
        session["payment_status"] = "no_payment_required"


def _planned(ctx: Effects, session: Json, name: str) -> Json:
    """Return the caller's parameters for the object that the session will create."""
    given = ctx.realm.table("plans").get(session["id"], {}).get(name) or {}
    return {key: value for key, value in given.items() if value is not None}


def _intent(ctx: Effects, session: Json) -> Json:
    """Return the session's payment intent, and create it when the buyer first tries to pay."""
    if session["payment_intent"] is None:
        wanted = _planned(ctx, session, "payment_intent_data")
        facts = {"amount": session["amount_total"], **{name: session[name] for name in ("currency", "customer")}}
        types = session["payment_method_types"]
        how = CARD_ONLY if types == ["card"] else {"allowed_payment_method_types": types}
        session["payment_intent"] = ctx.create("payment_intent", {**wanted, **facts, **how})["id"]
        ctx.keep("checkout.session", session)
    intent = ctx.need("payment_intent", session["payment_intent"])
    if intent["amount"] != session["amount_total"]:  # a code was entered since
        ctx.update("payment_intent", intent["id"], {"amount": session["amount_total"]})
    return copy.deepcopy(ctx.need("payment_intent", session["payment_intent"]))
