"""What goes wrong between the shop and Stripe, and how both sides find together again."""

from datetime import timedelta

from stripe_mongo_sync.demo.shop import Shop, no_answer
from stripe_mongo_sync.demo.sides import GIVEN_UP, IN_DOUBT, LATE_TWIN, NOBODY, SYNCED, UNKNOWN
from stripe_mongo_sync.demo.story.claim import ADA, CLEO, DORA, EVE, Claim, Told, chapter


@chapter("Stripe creates the customer, but its reply is lost")
def lost_reply(shop: Shop) -> Told:
    shop.stripe.webhooks.disrupt(drop=1, types="customer.created")
    shop.stripe.fault("cut_after", "POST /v1/customers", times=2)  # the service repeats a lost call once by itself
    cleo = shop.create(CLEO, key="order-1")
    yield Claim(
        "the service does not guess: it answers 'pending'",
        lambda: (cleo.status, shop.sides(CLEO)),
        (202, IN_DOUBT),
    )
    shop.stripe.resend(shop.event("customer.created")["id"])
    yield Claim("the webhook arrives, and the two are linked", lambda: shop.sides(CLEO), SYNCED)
    again = shop.create(CLEO, key="order-1")
    yield Claim(
        "the caller asks again with the same key: the same customer, no second one",
        lambda: (again.status, again.body.get("id"), shop.sides(CLEO)),
        (201, cleo.body["id"], SYNCED),
    )


@chapter("kill -9 between Stripe's commit and our link")
def killed(shop: Shop) -> Told:
    shop.stripe.lose_event("customer.created")  # no webhook, and nothing in Stripe's list of events either
    shop.stripe.fault("hold_after", "POST /v1/customers")
    answer = shop.begun(lambda: shop.create(DORA))
    yield Claim("Stripe has created her, and the service waits for the reply", lambda: shop.sides(DORA), IN_DOUBT)
    yield f"kill -9: all {shop.kill_workers()} workers die at once, and gunicorn starts others"
    yield Claim(
        "the caller hears nothing, and both sides disagree",
        lambda: (no_answer(answer), shop.sides(DORA)),
        (True, IN_DOUBT),
    )
    yield "the dead worker holds a lease: the demo moves this lease into the past rather than wait two minutes"
    shop.make_due(shop.known(DORA)["id"])
    yield shop.reconcile()
    yield Claim("reconcile finds what was begun, and links it", lambda: shop.sides(DORA), SYNCED)


@chapter("A webhook that never arrives")
def missed(shop: Shop) -> Told:
    shop.stripe.webhooks.disrupt(drop=1, types="customer.updated")
    ada = shop.at_stripe(ADA)[0]
    shop.stripe.dashboard.update("customer", ada["id"], name="Ada Lovelace")
    yield Claim(
        "Stripe has a new name, the shop was never told",
        lambda: (shop.names(ADA), shop.event("customer.updated")["pending_webhooks"]),
        ((None, "Ada Lovelace"), 1),
    )
    yield shop.reconcile()
    yield Claim("reconcile catches up", lambda: shop.names(ADA), ("Ada Lovelace", "Ada Lovelace"))


@chapter("Given up, and then Stripe creates it after all")
def late_twin(shop: Shop) -> Told:
    shop.stripe.fault("500_repair", "POST /v1/customers")
    eve = shop.create(EVE)
    id = eve.body["id"]
    yield Claim(
        "Stripe says 500, which may mean anything: pending", lambda: (eve.status, shop.sides(EVE)), (202, UNKNOWN)
    )
    yield "the demo makes this attempt 20 minutes older rather than wait so long"
    shop.make_old(id, timedelta(minutes=20))
    yield shop.reconcile()
    yield Claim(
        "Stripe does not have her: rolled back", lambda: (shop.sides(EVE), shop.sides(EVE, id)), (NOBODY, GIVEN_UP)
    )
    key = shop.stored(id)["key"]
    shop.stripe.post("repair", key=key, request={"id": None, "idempotency_key": key})
    yield Claim(
        "Stripe's engineers repair their failure, and there she is: its webhook says whose she is",
        lambda: (shop.sides(EVE, id), shop.stored(id)["orphans"]),
        (LATE_TWIN, [each["id"] for each in shop.at_stripe(EVE)]),
    )
    yield shop.reconcile()
    yield Claim("reconcile deletes her at Stripe: nobody wanted her any more", lambda: shop.sides(EVE, id), GIVEN_UP)


@chapter("In the end, everything is compared")
def compared(shop: Shop) -> Told:
    shop.make_all_due()  # what a webhook linked is looked at once more when its lease is over
    yield shop.reconcile("--full")
    yield Claim("nothing is pending, different, missing or too much", lambda: shop.balance().in_sync)
    yield Claim("Stripe itself told us of each", lambda: all(map(shop.confirmed, (ADA, CLEO, DORA))))
