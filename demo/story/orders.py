"""Orders: one call makes the order and its payment; the order's status follows the payment and its refunds."""

from stripe_mongo_sync.demo.shop import Shop, no_answer
from stripe_mongo_sync.demo.sides import Sale, on_both_sides, refunded
from stripe_mongo_sync.demo.story.expectation import ADA, Expectation, Steps, chapter

TOTAL = 1980  # two lamps
VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"
PAID = Sale("paid", received=TOTAL)


@chapter("An order, paid on Stripe's page")
def by_checkout(shop: Shop) -> Steps:
    order = shop.order(ADA, payment="checkout", success_url="https://shop.example/thanks").body
    session = order["checkout_session"]
    yield Expectation(
        "one call makes the order and Stripe's page, with the same total",
        lambda: (shop.sale(order["id"]), shop.both("checkout.session", session, "amount_total", "url")),
        (Sale("awaiting_payment"), on_both_sides(TOTAL, order["url"])),
    )
    shop.stripe.pay_session(session)
    yield Expectation(
        "the buyer pays there, and the webhook makes the order paid", lambda: shop.sale(order["id"]), PAID
    )


@chapter("An order whose card is declined")
def by_intent(shop: Shop) -> Steps:
    reply = shop.order(ADA, payment="payment_intent", payment_method=DECLINED)
    order = reply.body["document"]
    yield Expectation(
        "the answer is 402 with the order: nothing was paid, and the order can still be paid",
        lambda: (reply.status, shop.sale(order["id"])),
        (402, Sale("failed")),
    )
    again = shop.service.post(f"/payment-intents/{order['payment_intent']}/confirm", {"payment_method": VISA})
    yield Expectation(
        "another card pays for the same order", lambda: (again.status, shop.sale(order["id"])), (200, PAID)
    )


@chapter("Refunds")
def given_back(shop: Shop) -> Steps:
    order = shop.order(ADA, payment="payment_intent", payment_method=VISA).body
    yield Expectation("the card is charged immediately", lambda: shop.sale(order["id"]), PAID)
    payment = {"payment_intent": order["payment_intent"]}
    part = shop.service.post("/refunds", {**payment, "amount": 500})
    yield Expectation(
        "a part is refunded at Stripe, and the order says so",
        lambda: (part.status, shop.sale(order["id"])),
        (201, refunded("partially_refunded", 500, of=TOTAL)),
    )
    rest = shop.service.post("/refunds", payment)
    yield Expectation(
        "then the rest is refunded",
        lambda: (rest.status, rest.body["amount"], shop.sale(order["id"])),
        (201, TOTAL - 500, refunded("refunded", TOTAL, of=TOTAL)),
    )


@chapter("kill -9 between an order and its payment")
def paid_once(shop: Shop) -> Steps:
    before = shop.charges()
    shop.stripe.lose_event("payment_intent.*", times=2)  # created and succeeded: neither delivered nor listed
    shop.stripe.fault("hold_after", "POST /v1/payment_intents")
    answer = shop.start_call(lambda: shop.order(ADA, payment="payment_intent", payment_method=VISA))
    yield Expectation(
        "Stripe has charged the card, and the service waits for the reply", lambda: shop.charges() - before, 1
    )
    order = shop.newest_order()
    yield f"kill -9: all {shop.kill_workers()} workers die at once"
    yield Expectation(
        "the caller gets no answer, and the shop has an order that is not paid",
        lambda: (no_answer(answer), shop.sale(order)),
        (True, Sale("pending")),
    )
    yield "instead of waiting, the demo moves the dead worker's leases into the past"
    shop.make_all_due()
    yield shop.reconcile()
    yield Expectation(
        "reconcile sends the same key again: the order is paid, and the card was charged once",
        lambda: (shop.sale(order), shop.charges() - before),
        (PAID, 1),
    )
