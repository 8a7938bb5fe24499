"""Orders: one call makes the order and its payment; the order follows the payment and the refunds, whatever happens."""

from stripe_mongo_sync.demo.shop import Shop, no_answer
from stripe_mongo_sync.demo.sides import Sale, refunded, twice
from stripe_mongo_sync.demo.story.claim import ADA, Claim, Told, chapter

TOTAL = 1980  # two lamps
VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"
PAID = Sale("paid", received=TOTAL)


@chapter("An order, paid on Stripe's page")
def by_checkout(shop: Shop) -> Told:
    order = shop.order(ADA, payment="checkout", success_url="https://shop.example/thanks").body
    session = order["checkout_session"]
    yield Claim(
        "one call makes the order and Stripe's page, of the same total",
        lambda: (shop.sale(order["id"]), shop.both("checkout.session", session, "amount_total", "url")),
        (Sale("awaiting_payment"), twice(TOTAL, order["url"])),
    )
    shop.stripe.pay_session(session)
    yield Claim("the buyer pays there, and Stripe's webhook tells the shop", lambda: shop.sale(order["id"]), PAID)


@chapter("An order whose card is declined")
def by_intent(shop: Shop) -> Told:
    told = shop.order(ADA, payment="payment_intent", payment_method=DECLINED)
    order = told.body["document"]
    yield Claim(
        "402, with the order: nothing was paid, and nothing is lost",
        lambda: (told.status, shop.sale(order["id"])),
        (402, Sale("failed")),
    )
    again = shop.service.post(f"/payment-intents/{order['payment_intent']}/confirm", {"payment_method": VISA})
    yield Claim("another card pays for the same order", lambda: (again.status, shop.sale(order["id"])), (200, PAID))


@chapter("Money that goes back")
def given_back(shop: Shop) -> Told:
    order = shop.order(ADA, payment="payment_intent", payment_method=VISA).body
    yield Claim("an order is charged at once", lambda: shop.sale(order["id"]), PAID)
    payment = {"payment_intent": order["payment_intent"]}
    part = shop.service.post("/refunds", {**payment, "amount": 500})
    yield Claim(
        "a part goes back: Stripe has paid it out, and the order follows",
        lambda: (part.status, shop.sale(order["id"])),
        (201, refunded("partially_refunded", 500, of=TOTAL)),
    )
    rest = shop.service.post("/refunds", payment)
    yield Claim(
        "and then the rest",
        lambda: (rest.status, rest.body["amount"], shop.sale(order["id"])),
        (201, TOTAL - 500, refunded("refunded", TOTAL, of=TOTAL)),
    )


@chapter("kill -9 between an order and its payment")
def paid_once(shop: Shop) -> Told:
    before = shop.charges()
    shop.stripe.lose_event("payment_intent.*", times=2)  # made and paid: no webhook, nothing in the list
    shop.stripe.fault("hold_after", "POST /v1/payment_intents")
    answer = shop.begun(lambda: shop.order(ADA, payment="payment_intent", payment_method=VISA))
    yield Claim("Stripe has charged the card, and the service waits for the reply", lambda: shop.charges() - before, 1)
    order = shop.newest_order()
    yield f"kill -9: all {shop.kill_workers()} workers die at once"
    yield Claim(
        "the caller hears nothing, and the shop has an order that nobody paid",
        lambda: (no_answer(answer), shop.sale(order)),
        (True, Sale("pending")),
    )
    yield "the demo moves the dead worker's leases into the past"
    shop.make_all_due()
    yield shop.reconcile()
    yield Claim(
        "reconcile sends the same key again: the order is paid, and the card was charged once",
        lambda: (shop.sale(order), shop.charges() - before),
        (PAID, 1),
    )
