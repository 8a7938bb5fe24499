"""Objects of every type in many statuses, for the tests that compare them with schemas."""

from contextlib import suppress

from stripe_mongo_sync.emulator import Emulator, Problem

CARD_ONLY = {"enabled": True, "allow_redirects": "never"}


def pay(emulator: Emulator) -> None:
    """Create cards and payments: paid, declined, refunded and disputed ones."""
    boss = emulator.dashboard
    customer = boss.create("customer", payment_method="pm_card_visa")["id"]
    method = emulator.objects("payment_method")[0]["id"]
    boss.update("payment_method", method, billing_details={"name": "A", "address": {"city": "Bern"}})
    boss.create("payment_method", type="card", card={"token": "tok_amex"})
    wanted = {"amount": 500, "currency": "usd", "automatic_payment_methods": CARD_ONLY}
    now = {**wanted, "customer": customer, "confirm": True, "payment_method": method}
    paid = boss.create("payment_intent", **now, shipping={"name": "A", "address": {"line1": "1"}})
    boss.create("refund", payment_intent=paid["id"], amount=100, reason="duplicate")
    for decides in ("", "winning_evidence", "losing_evidence"):
        boss.create("payment_intent", **now | {"payment_method": "pm_card_createDispute", "customer": None})
        quarrel = emulator.objects("dispute")[-1]["id"]
        if decides:
            boss.update("dispute", quarrel, evidence={"uncategorized_text": decides})
    boss.create("payment_intent", **now | {"payment_method": "pm_card_createDisputeInquiry", "customer": None})
    boss.act("dispute", emulator.objects("dispute")[-1]["id"], "close")
    held = boss.create("payment_intent", **now, capture_method="manual")
    boss.act("payment_intent", held["id"], "capture", amount_to_capture=300)
    boss.create("payment_intent", **now | {"payment_method": "pm_card_threeDSecure2Required"})
    with suppress(Problem):
        boss.create("payment_intent", **now | {"payment_method": "pm_card_chargeDeclinedExpiredCard"})
    boss.act("payment_intent", boss.create("payment_intent", **wanted)["id"], "cancel", cancellation_reason="abandoned")
    later = {"customer": customer, "confirm": True, "automatic_payment_methods": CARD_ONLY}
    for card in ("pm_card_mastercard", "pm_card_authenticationRequired", "pm_card_chargeDeclined"):
        with suppress(Problem):
            boss.create("setup_intent", **later, payment_method=card)
    boss.act("setup_intent", boss.create("setup_intent")["id"], "cancel")


def check_out(emulator: Emulator) -> None:
    """Create sessions that are open, paid, declined and expired."""
    boss = emulator.dashboard
    data = {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}
    line = {"price_data": data, "quantity": 2}
    wanted = {"mode": "payment", "success_url": "https://example.com", "line_items": [line]}
    emulator.pay_session(boss.create("checkout.session", **wanted)["id"])
    emulator.pay_session(boss.create("checkout.session", **wanted)["id"], "pm_card_chargeDeclined")
    boss.act("checkout.session", boss.create("checkout.session", **wanted)["id"], "expire")
    emulator.pay_session(boss.create("checkout.session", mode="setup", success_url="https://example.com")["id"])


def bill(emulator: Emulator) -> None:
    """Create subscriptions in trial, active, incomplete and canceled, and invoices in every status."""
    boss = emulator.dashboard
    card = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    customer = boss.create("customer", email="a@example.com", **card)["id"]
    product = boss.create("product", name="News")["id"]
    price = boss.create("price", currency="usd", unit_amount=900, recurring={"interval": "month"}, product=product)[
        "id"
    ]
    once = boss.create("price", currency="usd", unit_amount=300, product=product)["id"]
    plan = {"customer": customer, "items": [{"price": price, "quantity": 2, "metadata": {"a": "b"}}]}
    active = boss.create("subscription", **plan, description="d")
    boss.update("subscription", active["id"], pause_collection={"behavior": "void"}, cancel_at_period_end=True)
    seats = boss.create("subscription", **plan)
    for behavior in ("always_invoice", "create_prorations"):
        seat = {"id": seats["items"]["data"][0]["id"], "quantity": len(behavior)}
        boss.update("subscription", seats["id"], items=[seat], proration_behavior=behavior)
    boss.create("subscription_schedule", from_subscription=seats["id"])
    boss.create("subscription", **plan, trial_period_days=7)
    boss.create("subscription", **plan, payment_behavior="default_incomplete")
    boss.end("subscription", boss.create("subscription", **plan)["id"], cancellation_details={"comment": "Bye"})
    boss.create("invoiceitem", customer=customer, pricing={"price": once}, quantity=3)
    for action in ("pay", "void", "mark_uncollectible", ""):
        invoice = boss.create("invoice", customer=customer, pending_invoice_items_behavior="include")["id"]
        boss.create("invoiceitem", customer=customer, invoice=invoice, amount=100, currency="usd")
        if action:
            boss.act("invoice", invoice, "finalize")
            boss.act("invoice", invoice, action)


def host(emulator: Emulator) -> None:
    """Create rates, payment links and a portal session."""
    boss = emulator.dashboard
    boss.create("tax_rate", display_name="VAT", inclusive=False, percentage=19.5, country="DE", tax_type="vat")
    eur = {"currency_options": {"eur": {"amount": 400}}}
    days = {"minimum": {"unit": "day", "value": 1}, "maximum": {"unit": "day", "value": 3}}
    boss.create(
        "shipping_rate",
        display_name="Post",
        fixed_amount={"amount": 500, "currency": "usd", **eur},
        delivery_estimate=days,
    )
    data = {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}
    boss.create("payment_link", line_items=[{"price_data": data, "quantity": 1}])
    grant = {"type": "monetary", "monetary": {"currency": "eur", "value": 1500}}
    scope = {"scope": {"price_type": "metered"}}
    whose = boss.create("customer")["id"]
    boss.create("billing.credit_grant", customer=whose, amount=grant, applicability_config=scope)
    boss.create("test_helpers.test_clock", frozen_time=1_800_000_000, name="soon")
    boss.create("billing_portal.session", customer=boss.create("customer")["id"], return_url="https://example.com")
