"""Billing: cards, subscriptions and invoices, with one call for what a shop would do in many."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Invoice, InvoiceItem, PaymentMethod, Subscription, SyncedDocument
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


def card(token: str = "tok_visa") -> SyncedDocument:
    """A card that a browser made of what the buyer typed."""
    return sync.create(PaymentMethod, {"type": "card", "card": {"token": token}})[0]


def default_of(customer: Customer) -> str | None:
    return customer.invoice_settings.default_payment_method if customer.invoice_settings else None


def settle(world: World) -> None:
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_the_card_of_a_username_is_updated_in_one_call(world: World) -> None:
    sync.create_customer("user@here.com")
    first, second = card(), card("tok_mastercard")

    for method in (first, second):
        customer = sync.set_payment_method("user@here.com", str(method.id))
        assert default_of(customer) == method.stripe_id

    world.deliver()
    assert [method.fetch_latest().customer for method in (first, second)] == [customer.stripe_id] * 2
    settle(world)


def test_a_card_that_only_a_browser_knows_can_be_given_by_stripes_id(world: World) -> None:
    sync.create_customer("user@here.com")
    remote = world.stripe.dashboard.create("payment_method", type="card", card={"token": "tok_visa"})

    response = world.http.post("/customers/user@here.com/payment_method", json={"payment_method": remote["id"]})

    assert response.status_code == 200
    assert response.json["invoice_settings"]["default_payment_method"] == remote["id"]
    world.deliver()
    assert PaymentMethod.by_stripe_id(remote["id"]) is not None, "Stripe told of it when it was attached"
    settle(world)


def test_a_card_that_the_bank_declines_leaves_the_one_before(world: World) -> None:
    sync.create_customer("user@here.com")
    good = card()
    sync.set_payment_method("user@here.com", str(good.id))
    bad = card("tok_chargeDeclined")

    response = world.http.post("/customers/user@here.com/payment_method", json={"payment_method": str(bad.id)})

    told = problem(response, 402, "declined")
    assert told["document"]["invoice_settings"]["default_payment_method"] == good.stripe_id
    settle(world)


@pytest.mark.fault("88")
def test_a_card_whose_reply_was_lost_is_attached_once_and_becomes_the_default(world: World) -> None:
    world.reconcile()
    sync.create_customer("user@here.com")
    method = card()
    world.stripe.fault("cut_after", method="POST", times=2)
    pending = sync.set_payment_method("user@here.com", str(method.id))
    assert pending.operation is not None

    world.advance(minutes=5)
    world.converge()

    assert default_of(pending.fetch_latest()) == method.stripe_id
    assert_in_sync(world)


def test_a_payment_method_that_is_not_here_or_gone_is_refused_by_name(world: World) -> None:
    sync.create_customer("user@here.com")

    for given in ("6b0600000000000000000000", "", 7):
        answer = world.http.post("/customers/user@here.com/payment_method", json={"payment_method": given})
        assert "payment_method" in problem(answer, 422, "invalid")["errors"]
    for given in ("pm_unknown", "card_unknown", "nothing"):  # whose ids these are, Stripe knows alone
        unknown = world.http.post("/customers/user@here.com/payment_method", json={"payment_method": given})
        assert given in problem(unknown, 422, "refused")["detail"]
    problem(world.http.post("/customers/nobody/payment_method", json={"payment_method": "pm_1"}), 404, "not-found")


def test_the_billing_portal_opens_for_a_customer(world: World) -> None:
    sync.create_customer("user@here.com")

    response = world.http.post("/customers/user@here.com/portal", json={"return_url": "https://shop.example/me"})

    assert response.status_code == 201
    assert response.json["url"].startswith("https://billing.stripe.com/")
    assert response.json["return_url"] == "https://shop.example/me"
    problem(world.http.post("/customers/user@here.com/portal", json={"return_url": "me"}), 422, "invalid")
    problem(world.http.post("/customers/user@here.com/portal", json={"flow": "x"}), 422, "invalid")
    problem(world.http.post("/customers/nobody/portal", json={}), 404, "not-found")
    world.stripe.fault("cut_before", method="POST")
    problem(world.http.post("/customers/user@here.com/portal", json={}), 504, "cannot-look")


def test_a_subscription_is_paused_resumed_and_canceled_now_or_later(world: World) -> None:
    subscription = samples.create("subscription")
    assert subscription.stripe_status == "active"
    item = subscription.items[0]
    assert (item.price.startswith("price_"), item.quantity) == (True, 1)

    paused = sync.act(subscription, "pause", {"behavior": "void"})
    assert paused.pause_collection.behavior == "void"
    assert sync.act(paused, "resume", {}).pause_collection is None
    later = sync.act(subscription.fetch_latest(), "cancel", {"at_period_end": True})
    assert (later.cancel_at_period_end, later.stripe_status) == (True, "active")
    now = sync.act(later, "cancel", {"cancellation_details": {"feedback": "too_expensive"}})
    assert (now.status, now.stripe_status) == ("active", "canceled"), "it ended, and can still be read"
    settle(world)


def test_the_invoices_that_a_subscription_makes_get_documents_at_once(world: World) -> None:
    subscription = samples.create("subscription")

    world.deliver()

    invoice = Invoice.objects.get()
    assert (invoice.subscription, invoice.stripe_status) == (subscription.stripe_id, "paid")


def test_a_renewal_that_fails_is_known_and_paid_by_another_card(world: World) -> None:
    subscription = samples.create("subscription")
    sync.set_payment_method("sample@here.com", str(card("tok_chargeCustomerFail").id))
    world.deliver()

    world.advance(days=32)
    world.advance(hours=2)
    world.deliver()
    world.converge()

    assert subscription.fetch_latest().stripe_status == "past_due"
    invoice = Invoice.objects(stripe_status="open").get()
    assert invoice.attempt_count == 1
    sync.set_payment_method("sample@here.com", str(card().id))
    assert sync.act(invoice, "pay", {}).stripe_status == "paid"
    world.deliver()
    assert subscription.fetch_latest().stripe_status == "active"
    settle(world)


def test_an_invoice_is_made_of_items_finalized_and_paid(world: World) -> None:
    customer = samples.payer("sample")
    body = {"customer": str(customer.id), "amount": 1500, "currency": "eur"}
    item, _ = sync.create(InvoiceItem, body)
    invoice, _ = sync.create(Invoice, {"customer": str(customer.id), "pending_invoice_items_behavior": "include"})
    assert (invoice.stripe_status, invoice.total) == ("draft", 1500)
    world.deliver()
    world.converge()
    assert item.fetch_latest().invoice == invoice.stripe_id, "Stripe has no event that says so"

    open_ = sync.act(invoice.fetch_latest(), "finalize", {"auto_advance": False})
    assert (open_.stripe_status, open_.amount_due) == ("open", 1500)
    paid = sync.act(open_, "pay", {})
    assert (paid.stripe_status, paid.amount_paid) == ("paid", 1500)
    settle(world)


def test_a_draft_that_is_deleted_lets_its_items_go(world: World) -> None:
    invoice = samples.create("invoice")
    world.deliver()
    world.converge()

    sync.delete(invoice.fetch_latest())
    world.deliver()
    world.converge()

    assert InvoiceItem.objects.get().invoice is None
    assert_in_sync(world)


def test_an_invoice_whose_card_is_declined_stays_open_with_its_error(world: World) -> None:
    invoice = samples.create("invoice")
    sync.set_payment_method("sample@here.com", str(card("tok_chargeCustomerFail").id))
    open_ = sync.act(invoice.fetch_latest(), "finalize", {})

    told = problem(world.http.post(f"/invoices/{open_.id}/pay", json={}), 402, "declined")

    assert (told["document"]["status"], told["document"]["error"]["code"]) == ("active", "card_declined")
    world.converge()
    assert open_.fetch_latest().stripe_status == "open"
    settle(world)


def test_a_field_that_stripe_shows_nowhere_is_told_all_the_same(world: World) -> None:
    invoice = samples.create("invoice")
    change = {"collection_method": "send_invoice", "days_until_due": 5}

    changed = world.http.patch(f"/invoices/{invoice.id}", json=change)

    assert (changed.status_code, changed.json["collection_method"]) == (200, "send_invoice")
    (sent,) = [request for request in world.stripe.requests if request.params.get("days_until_due")]
    assert sent.path == f"/v1/invoices/{invoice.stripe_id}"


BAD: list[tuple[str, dict[str, object], str]] = [
    ("/subscriptions", {"customer": "cus_1", "items": [{"price": 7}]}, "items.0.price"),
    ("/subscriptions", {"customer": "nobody", "items": []}, "customer"),
    ("/subscriptions", {"items": {"price": "x"}}, "items"),
    ("/invoices", {"customer": 7}, "customer"),
    ("/invoiceitems", {"amount": 1.5}, "amount"),
    ("/payment-links", {"line_items": [{"quantity": "1"}]}, "line_items.0.quantity"),
    ("/payment-links", {"line_items": [{"price": "x"}]}, "line_items.0.quantity"),
    ("/payment-links", {"line_items": [], "optional_items": {}}, "optional_items"),
    ("/checkout-sessions", {"mode": 1}, "mode"),
    ("/checkout-sessions", {"client_reference_id": "mine"}, "client_reference_id"),
    ("/payment-methods", {"type": "card", "card": {"brand": "visa"}}, "card.brand"),
    ("/payment-methods", {"type": "card", "card": {"number": "4242424242424242"}}, "card.number"),
    ("/payment-methods", {"type": "card", "card": {"cvc": "424"}}, "card.cvc"),
    ("/payment-methods", {"type": "card", "customer": "cus_1"}, "customer"),
    ("/subscriptions", {"discounts": [{"coupon": "nowhere"}]}, "discounts.0.coupon"),
    ("/subscriptions", {"items": [{"price_data": {"currency": "euro"}}]}, "items.0.price_data.currency"),
]


def test_bad_input_is_refused_by_name(world: World) -> None:
    for path, body, field in BAD:
        told = problem(world.http.post(path, json=body), 422, "invalid")

        assert field in told["errors"]
        assert [request for request in world.stripe.requests if request.method == "POST"] == []


LEFT_TO_STRIPE: list[tuple[str, dict[str, object], str]] = [
    ("/invoices", {"description": "of nobody"}, "customer"),
    ("/customers", {"username": "a", "tax_exempt": "maybe"}, "tax_exempt"),
    ("/customers", {"username": "a", "name": "x" * 257}, "name"),
    ("/products", {"name": "x", "images": ["u"] * 9}, "images"),
    ("/checkout-sessions", {"mode": "gift", "success_url": "https://shop.example"}, "mode"),
    ("/payment-intents", {"amount": 5, "currency": "eur", "shipping": {"name": "x", "address": {"city": "y" * 5001}}},
     "shipping.address.city"),
]  # fmt: skip


def test_what_stripe_refuses_is_named_like_what_we_refuse(world: World) -> None:
    for path, body, field in LEFT_TO_STRIPE:
        told = problem(world.http.post(path, json=body), 422, "refused")

        assert told["errors"] == {field: told["detail"]}
        assert told["document"]["status"] == "rolled_back"
    assert_in_sync(world)


def test_what_is_referred_to_must_be_active(world: World) -> None:
    gone = sync.create_customer("gone@here.com")
    sync.delete(gone)
    world.stripe.fault("cut_before", method="POST", times=2)
    pending = sync.create_customer("pending@here.com")

    for customer, why in ((gone, "deleted"), (pending, "pending")):
        told = problem(world.http.post("/invoices", json={"customer": str(customer.id)}), 422, "invalid")
        assert why in told["errors"]["customer"]
    assert Subscription.objects.count() == 0
