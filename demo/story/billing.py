"""Billing: the card that a customer pays with, the subscription that it renews or not, and the portal."""

from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.sides import twice
from stripe_mongo_sync.demo.story.claim import ADA, FAY, Claim, Told, chapter

DEFAULT = "invoice_settings.default_payment_method"


@chapter("A new card, in one call")
def card(shop: Shop) -> Told:
    ada, visa = shop.known(ADA)["stripe_id"], shop.card("tok_visa")
    told = shop.pay_with(ADA, visa)
    yield Claim(
        "it is hers, and from now on the one that she pays with",
        lambda: (told.status, shop.both("payment_method", visa, "customer"), shop.both("customer", ada, DEFAULT)),
        (200, twice(ada), twice(visa)),
    )
    told = shop.pay_with(ADA, shop.card("tok_chargeDeclined"))
    yield Claim(
        "her bank declines the next one: 402, and she keeps the one she had",
        lambda: (told.status, shop.both("customer", ada, DEFAULT)),
        (402, twice(visa)),
    )


@chapter("A subscription whose renewal fails")
def renewal(shop: Shop) -> Told:
    yield "the demo turns Stripe's clock back by a month, rather than wait for one"
    with shop.a_month_ago():
        fay = shop.create(FAY).body["stripe_id"]
        shop.pay_with(FAY, shop.card("tok_visa"))
        before = shop.charges()
        begun = shop.service.post("/subscriptions", {"customer": fay, "items": [{"price": shop.monthly()}]})
        id = begun.body["stripe_id"]
        yield Claim(
            "she subscribes, and pays for the first month",
            lambda: (begun.status, shop.both("subscription", id, "status"), shop.charges() - before),
            (201, twice("active"), 1),
        )
        poor = shop.card("tok_chargeCustomerFail")
        shop.pay_with(FAY, poor)
        yield Claim("later she has another card", lambda: shop.both("customer", fay, DEFAULT), twice(poor))
    yield "the month has passed, and Stripe renews"
    invoice = shop.there("subscription", id)["latest_invoice"]
    yield Claim(
        "that card has nothing on it: the invoice is open after one attempt, the subscription past due",
        lambda: (shop.both("invoice", invoice, "status", "attempt_count"), shop.both("subscription", id, "status")),
        (twice("open", 1), twice("past_due")),
    )
    good = shop.card("tok_mastercard")
    shop.pay_with(FAY, good)
    paid = shop.service.post(f"/invoices/{invoice}/pay", {})
    yield Claim(
        "she gives a good card, and the invoice is paid with it",
        lambda: (
            paid.status,
            shop.both("invoice", invoice, "status", "attempt_count"),
            shop.both("customer", fay, DEFAULT),
        ),
        (200, twice("paid", 2), twice(good)),
    )
    yield Claim("so the subscription goes on", lambda: shop.both("subscription", id, "status"), twice("active"))


@chapter("Stripe's billing portal")
def portal(shop: Shop) -> Told:
    fay, back = shop.known(FAY)["stripe_id"], "https://shop.example/account"
    told = shop.service.post(f"/customers/{FAY}/portal", {"return_url": back})
    sent = next(each for each in reversed(shop.stripe.requests) if each.path == "/v1/billing_portal/sessions")
    yield Claim(
        "one call opens it for her at Stripe, and the answer says where",
        lambda: (told.status, told.body["url"].split("/p/")[0], sent.params),
        (201, "https://billing.stripe.com", {"customer": fay, "return_url": back}),
    )
