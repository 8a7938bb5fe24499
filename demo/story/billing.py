"""Billing: a customer's card, a subscription whose renewal fails, and the portal."""

from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.sides import on_both_sides
from stripe_mongo_sync.demo.story.expectation import ADA, FAY, Expectation, Steps, chapter

DEFAULT = "invoice_settings.default_payment_method"


@chapter("A new card, in one call")
def card(shop: Shop) -> Steps:
    ada, visa = shop.known(ADA)["stripe_id"], shop.card("tok_visa")
    reply = shop.pay_with(ADA, visa)
    yield Expectation(
        "it is attached to her, and is her default card",
        lambda: (reply.status, shop.both("payment_method", visa, "customer"), shop.both("customer", ada, DEFAULT)),
        (200, on_both_sides(ada), on_both_sides(visa)),
    )
    reply = shop.pay_with(ADA, shop.card("tok_chargeDeclined"))
    yield Expectation(
        "her bank declines the next one: the answer is 402, and her default card stays",
        lambda: (reply.status, shop.both("customer", ada, DEFAULT)),
        (402, on_both_sides(visa)),
    )


@chapter("A subscription whose renewal fails")
def renewal(shop: Shop) -> Steps:
    yield "instead of waiting for a month, the demo sets Stripe's clock back by one"
    with shop.a_month_ago():
        fay = shop.create(FAY).body["stripe_id"]
        shop.pay_with(FAY, shop.card("tok_visa"))
        before = shop.charges()
        begun = shop.service.post("/subscriptions", {"customer": fay, "items": [{"price": shop.monthly()}]})
        id = begun.body["stripe_id"]
        yield Expectation(
            "she subscribes, and pays for the first month",
            lambda: (begun.status, shop.both("subscription", id, "status"), shop.charges() - before),
            (201, on_both_sides("active"), 1),
        )
        poor = shop.card("tok_chargeCustomerFail")
        shop.pay_with(FAY, poor)
        yield Expectation(
            "later she has another card", lambda: shop.both("customer", fay, DEFAULT), on_both_sides(poor)
        )
    yield "the month has passed, and Stripe renews"
    invoice = shop.there("subscription", id)["latest_invoice"]
    yield Expectation(
        "the card is declined: the invoice is open after one attempt, and the subscription is past due",
        lambda: (shop.both("invoice", invoice, "status", "attempt_count"), shop.both("subscription", id, "status")),
        (on_both_sides("open", 1), on_both_sides("past_due")),
    )
    good = shop.card("tok_mastercard")
    shop.pay_with(FAY, good)
    paid = shop.service.post(f"/invoices/{invoice}/pay", {})
    yield Expectation(
        "she adds a good card, and the invoice is paid with it",
        lambda: (
            paid.status,
            shop.both("invoice", invoice, "status", "attempt_count"),
            shop.both("customer", fay, DEFAULT),
        ),
        (200, on_both_sides("paid", 2), on_both_sides(good)),
    )
    yield Expectation(
        "the subscription is active again", lambda: shop.both("subscription", id, "status"), on_both_sides("active")
    )


@chapter("Stripe's billing portal")
def portal(shop: Shop) -> Steps:
    fay, back = shop.known(FAY)["stripe_id"], "https://shop.example/account"
    reply = shop.service.post(f"/customers/{FAY}/portal", {"return_url": back})
    sent = next(each for each in reversed(shop.stripe.requests) if each.path == "/v1/billing_portal/sessions")
    yield Expectation(
        "one call opens it at Stripe, and the answer has its address",
        lambda: (reply.status, reply.body["url"].split("/p/")[0], sent.params),
        (201, "https://billing.stripe.com", {"customer": fay, "return_url": back}),
    )
