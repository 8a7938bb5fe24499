"""What can go wrong between the shop and Stripe, and how both sides agree again."""

from datetime import timedelta

from stripe_mongo_sync.demo.shop import Shop, no_answer
from stripe_mongo_sync.demo.sides import IN_DOUBT, LATE_ORPHAN, NOBODY, ROLLED_BACK, SYNCED, UNKNOWN
from stripe_mongo_sync.demo.story.expectation import ADA, CLEO, DORA, EVE, Expectation, Steps, chapter
from stripe_mongo_sync.demo.story.subscribers import counted


@chapter("Stripe creates the customer, but its reply is lost")
def lost_reply(shop: Shop) -> Steps:
    shop.stripe.webhooks.disrupt(drop=1, types="customer.created")
    shop.stripe.fault("cut_after", "POST /v1/customers", times=2)  # the service itself sends a lost call once more
    cleo = shop.create(CLEO, key="order-1")
    yield Expectation(
        "the service does not guess: it answers with a pending customer",
        lambda: (cleo.status, shop.sides(CLEO)),
        (202, IN_DOUBT),
    )
    shop.stripe.resend(shop.event("customer.created")["id"])
    yield Expectation("the webhook arrives, and the two are linked", lambda: shop.sides(CLEO), SYNCED)
    again = shop.create(CLEO, key="order-1")
    yield Expectation(
        "the caller repeats the call with its key and gets the same customer; there is no second one",
        lambda: (again.status, again.body.get("id"), shop.sides(CLEO)),
        (201, cleo.body["id"], SYNCED),
    )


@chapter("kill -9 between Stripe's commit and our link")
def killed(shop: Shop) -> Steps:
    shop.stripe.lose_event("customer.created")  # neither delivered nor listed
    shop.stripe.fault("hold_after", "POST /v1/customers")
    answer = shop.start_call(lambda: shop.create(DORA))
    yield Expectation("Stripe has created her, and the service waits for the reply", lambda: shop.sides(DORA), IN_DOUBT)
    yield f"kill -9: all {shop.kill_workers()} workers die at once, and gunicorn starts others"
    yield Expectation(
        "the caller gets no answer, and the two sides differ",
        lambda: (no_answer(answer), shop.sides(DORA)),
        (True, IN_DOUBT),
    )
    yield "the dead worker holds a lease of two minutes: instead of waiting, the demo moves it into the past"
    shop.make_due(shop.known(DORA)["id"])
    yield shop.reconcile()
    yield Expectation("reconcile finds the pending customer, and links her", lambda: shop.sides(DORA), SYNCED)


@chapter("A webhook that never arrives")
def missed(shop: Shop) -> Steps:
    shop.stripe.webhooks.disrupt(drop=1, types="customer.updated")
    ada = shop.at_stripe(ADA)[0]
    shop.stripe.dashboard.update("customer", ada["id"], name="Ada Lovelace")
    yield Expectation(
        "her name has changed at Stripe, and the shop does not know it",
        lambda: (shop.names(ADA), shop.event("customer.updated")["pending_webhooks"]),
        ((None, "Ada Lovelace"), 1),
    )
    yield shop.reconcile()
    yield Expectation("reconcile applies the missed event", lambda: shop.names(ADA), ("Ada Lovelace", "Ada Lovelace"))


@chapter("Rolled back, and then Stripe creates the customer after all")
def late_orphan(shop: Shop) -> Steps:
    shop.stripe.fault("500_repair", "POST /v1/customers")
    eve = shop.create(EVE)
    id = eve.body["id"]
    yield Expectation(
        "Stripe answers 500, so the outcome is unknown: pending", lambda: (eve.status, shop.sides(EVE)), (202, UNKNOWN)
    )
    yield "instead of waiting, the demo makes this attempt 20 minutes older"
    shop.make_old(id, timedelta(minutes=20))
    yield shop.reconcile()
    yield Expectation(
        "Stripe does not have her: rolled back", lambda: (shop.sides(EVE), shop.sides(EVE, id)), (NOBODY, ROLLED_BACK)
    )
    key = shop.stored(id)["creation_key"]
    shop.stripe.post("repair", key=key, request={"id": None, "idempotency_key": key})
    yield Expectation(
        "Stripe repairs its failure and creates her: the key in the webhook shows whose object it is",
        lambda: (shop.sides(EVE, id), shop.stored(id)["orphans"]),
        (LATE_ORPHAN, [each["id"] for each in shop.at_stripe(EVE)]),
    )
    yield shop.reconcile()
    yield Expectation("reconcile deletes this orphan at Stripe", lambda: shop.sides(EVE, id), ROLLED_BACK)


@chapter("At the end, everything is compared")
def compared(shop: Shop) -> Steps:
    shop.make_all_due()  # a document that a webhook linked is checked again when its lease ends
    yield shop.reconcile("--full")
    yield Expectation("nothing is pending, different, missing or an orphan", lambda: shop.consistency().in_sync)
    yield Expectation(
        "the usage was sent once more, and Stripe knew it for a repetition",
        lambda: counted(shop),
        ("sent", [False, True], 1),
    )
    yield Expectation(
        "Stripe's own event has confirmed each of them", lambda: all(map(shop.confirmed, (ADA, CLEO, DORA)))
    )
