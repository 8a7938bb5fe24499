"""Customers and products: after one call both sides have them, or neither does."""

from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.sides import NOBODY, ROLLED_BACK, SYNCED, BothSides
from stripe_mongo_sync.demo.story.expectation import ADA, BOB, Expectation, Steps, chapter


@chapter("A new customer")
def created(shop: Shop) -> Steps:
    ada = shop.create(ADA)
    yield Expectation(
        "one call creates her here and at Stripe, linked", lambda: (ada.status, shop.sides(ADA)), (201, SYNCED)
    )
    yield Expectation("Stripe's webhook confirms her", lambda: (shop.confirmed(ADA), shop.sides(ADA)), (True, SYNCED))


@chapter("What the shop sells")
def sold(shop: Shop) -> Steps:
    lamp = shop.service.post("/products", {"name": "Lamp"})
    price = shop.service.post("/prices", {"product": lamp.body["id"], "currency": "eur", "unit_amount": 990})
    yield Expectation(
        "a product and its price are created in the same way",
        lambda: (lamp.body["status"], price.body["status"], shop.ids("product"), shop.ids("price")),
        ("active", "active", [lamp.body["stripe_id"]], [price.body["stripe_id"]]),
    )


@chapter("A username that is taken")
def taken(shop: Shop) -> Steps:
    again = shop.create(ADA.upper())
    yield Expectation(
        "the second call gets 409, and Stripe still has one customer",
        lambda: (again.status, shop.sides(ADA)),
        (409, SYNCED),
    )


@chapter("Stripe refuses")
def refused(shop: Shop) -> Steps:
    shop.stripe.fault("decline", "POST /v1/customers")
    bob = shop.create(BOB)
    yield Expectation("the caller learns that the card was declined", lambda: bob.status, 402)
    id = bob.body["document"]["id"]
    yield Expectation(
        "nothing is left on either side",
        lambda: (shop.sides(BOB), shop.sides(BOB, id)),
        (NOBODY, ROLLED_BACK),
    )
    bob = shop.create(BOB)
    yield Expectation("so he can try again", lambda: (bob.status, shop.sides(BOB)), (201, SYNCED))


@chapter("A change in Stripe's Dashboard")
def dashboard(shop: Shop) -> Steps:
    bob = shop.known(BOB)
    shop.stripe.dashboard.update("customer", bob["stripe_id"], name="Bob the Builder")
    yield Expectation(
        "an edit at Stripe arrives in MongoDB", lambda: shop.names(BOB), ("Bob the Builder", "Bob the Builder")
    )
    shop.stripe.dashboard.delete("customer", bob["stripe_id"])
    deleted = BothSides("deleted", at_stripe=0, linked=False)
    yield Expectation(
        "a deletion at Stripe deletes the document, and frees the username",
        lambda: (shop.sides(BOB, bob["id"]), shop.sides(BOB)),
        (deleted, NOBODY),
    )
