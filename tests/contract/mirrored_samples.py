"""Samples of the types that the service only mirrors: every call that the emulator has for them."""

from io import BytesIO
from typing import Any

import stripe

from stripe_mongo_sync.emulator import Emulator

ADDRESS = {"line1": "1 Main Street", "city": "San Francisco", "state": "CA", "postal_code": "94111", "country": "US"}


def tell(emulator: Emulator, client: stripe.StripeClient) -> None:
    """Create an object of each type, change it, and take it through all of its statuses."""

    def ask(method: str, path: str, version: str = "", **params: Any) -> Any:
        how = {"headers": {"Stripe-Version": version}} if version else {}
        return client.raw_request(method, f"/v1/{path}", **params, **how).data

    _money(ask)
    _issuing(ask)
    _offers(ask)
    _people(ask)
    meter = {"display_name": "Requests", "event_name": "requests", "default_aggregation": {"formula": "sum"}}
    id = ask("post", "billing/meters", **meter)["id"]
    ask("post", f"billing/meters/{id}", display_name="API requests")
    used = {"stripe_customer_id": ask("post", "customers")["id"], "value": "25"}
    ask("post", "billing/meter_events", event_name="requests", payload=used)
    for action in ("deactivate", "reactivate"):
        ask("post", f"billing/meters/{id}/{action}")
    client.v1.files.create({"purpose": "dispute_evidence", "file": BytesIO(b"%PDF-1.7")})
    payout = emulator.pay_out("usd")["id"]
    ask("get", "balance_transactions", payout=payout)
    ask("get", f"balance_transactions/{ask('get', f'payouts/{payout}')['balance_transaction']}")
    emulator.clock.advance(600)  # reports succeed, and redactions end
    ask("get", "balance")


def _money(ask: Any) -> None:
    paid = {"payment_method": "pm_card_bypassPending", "confirm": True, "return_url": "https://example.com"}
    ask("post", "payment_intents", amount=9000, currency="usd", **paid)
    ask("post", f"payouts/{ask('post', 'payouts', amount=1100, currency='usd')['id']}/cancel")
    ask("post", "payouts", amount=1200, currency="usd", description="wages")
    ask("post", f"topups/{ask('post', 'topups', amount=2000, currency='usd')['id']}/cancel")
    account = ask("post", "accounts", type="standard", country="US", email="shop@example.com")
    transfer = ask("post", "transfers", amount=1000, currency="usd", destination=account["id"])
    ask("post", f"transfers/{transfer['id']}/reversals", amount=100)
    ask("delete", f"accounts/{ask('post', 'accounts')['id']}")
    debit = {"type": "sepa_debit", "sepa_debit": {"iban": "AT321904300235473204"}}
    method = ask("post", "payment_methods", **debit, billing_details={"name": "B", "email": "b@example.com"})
    accepted = {"customer_acceptance": {"accepted_at": 1_590_590_577, "type": "offline"}}
    how = {"payment_method": method["id"], "allowed_payment_method_types": ["sepa_debit"], "mandate_data": accepted}
    ask("post", "payment_intents", amount=1000, currency="eur", confirm=True, **how)


def _issuing(ask: Any) -> None:
    person = {"first_name": "A", "last_name": "B", "dob": {"day": 1, "month": 2, "year": 1990}}
    holder = {"name": "A B", "type": "individual", "individual": person, "billing": {"address": ADDRESS}}
    holder_id = ask("post", "issuing/cardholders", **holder)["id"]
    card = ask("post", "issuing/cards", currency="usd", type="virtual", cardholder=holder_id, status="active")["id"]
    receipt = [{"description": "Ride", "quantity": 1, "unit_cost": 100}]
    bought = {"card": card, "amount": 100, "merchant_data": {"name": "Rides"}, "purchase_details": {"receipt": receipt}}
    ask("post", "test_helpers/issuing/transactions/create_force_capture", **bought)
    ask("post", f"issuing/cards/{card}/test/authorizations", held_amount=100, authorization_method="online")


def _offers(ask: Any) -> None:
    customer = ask("post", "customers", source="tok_visa", email="a@example.com")["id"]
    plan = ask("post", "plans", currency="usd", interval="month", amount=2000, product={"name": "News"})
    ask("post", f"plans/{plan['id']}", nickname="n")
    ask(
        "delete",
        f"plans/{ask('post', 'plans', currency='usd', interval='day', amount=1, product=plan['product'])['id']}",
    )
    lines = {"customer": customer, "line_items": [{"price": plan["id"], "quantity": 10}]}
    quote = ask("post", "quotes", **lines, description="for you")["id"]
    ask("post", f"quotes/{quote}/finalize")
    ask("post", f"quotes/{quote}/accept")
    ask("post", f"quotes/{ask('post', 'quotes', **lines)['id']}/cancel")
    ask("post", "quotes", **lines)
    phases = [{"items": [{"price": plan["id"]}], "duration": {"interval": "month"}}, {"items": [{"price": plan["id"]}]}]
    for action in ("cancel", "release", ""):
        schedule = ask("post", "subscription_schedules", customer=customer, start_date="now", phases=phases)["id"]
        ask(
            "post",
            f"subscription_schedules/{schedule}/{action}".rstrip("/"),
            **({} if action else {"metadata": {"a": "b"}}),
        )
    ask("post", "invoiceitems", customer=customer, amount=2000, currency="usd")
    invoice = ask("post", "invoices", customer=customer, pending_invoice_items_behavior="include")["id"]
    ask("post", f"invoices/{invoice}/finalize")
    off = {"type": "custom_line_item", "unit_amount": 500, "quantity": 2, "description": "Sorry"}
    note = ask("post", "credit_notes", invoice=invoice, lines=[off], memo="m")["id"]
    ask("post", f"credit_notes/{note}/void")
    ask("post", "credit_notes", invoice=invoice, amount=100)


def _people(ask: Any) -> None:
    customer = ask("post", "customers")["id"]
    card = ask("post", f"customers/{customer}/sources", source="tok_visa")["id"]
    ask("post", f"customers/{customer}/sources/{card}", name="A")
    ask("delete", f"customers/{customer}/sources/{card}")
    ask("post", f"customers/{customer}/sources", source="tok_amex")
    ask("post", f"test_helpers/customers/{customer}/fund_cash_balance", amount=1000, currency="eur")
    ask("get", f"customers/{customer}/cash_balance")
    coupon = ask("post", "coupons", percent_off=20)["id"]
    ask("post", f"customers/{customer}", "2022-11-15", coupon=coupon)
    ask("delete", f"customers/{customer}/discount")
    asked = {"type": "document", "options": {"document": {"require_matching_selfie": True}}}
    session = ask("post", "identity/verification_sessions", **asked)["id"]
    ask("post", f"identity/verification_sessions/{session}/cancel")
    ask("post", f"identity/verification_sessions/{ask('post', 'identity/verification_sessions', **asked)['id']}/redact")
    between = {"interval_start": 1_641_045_832, "interval_end": 1_646_143_432}
    ask("post", "reporting/report_runs", report_type="balance.summary.1", parameters=between)
    may = {"subscription_cancel": {"enabled": True}, "invoice_history": {"enabled": True}}
    portal = ask("post", "billing_portal/configurations", features=may, business_profile={"headline": "Hello"})["id"]
    ask("post", f"billing_portal/configurations/{portal}", features={"customer_update": {"enabled": False}})
    line = {"price_data": {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}, "quantity": 2}
    page = ask("post", "checkout/sessions", mode="payment", success_url="https://example.com", line_items=[line])["id"]
    ask("get", f"payment_pages/{page}")
    method = ask("post", "payment_methods", type="card", card={"token": "tok_visa"})["id"]
    ask("post", f"payment_pages/{page}/confirm", payment_method=method, expected_amount=1400)
    ask("post", "payment_methods/pm_card_visa/attach", customer=customer)
    ask("post", "invoiceitems", customer=customer, amount=100, currency="usd")
