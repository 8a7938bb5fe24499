"""Customers and what is sold to them: one call and both sides have it, or neither does."""

from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.sides import GIVEN_UP, NOBODY, SYNCED, Sides
from stripe_mongo_sync.demo.story.claim import ADA, BOB, Claim, Told, chapter


@chapter("A new customer")
def created(shop: Shop) -> Told:
    ada = shop.create(ADA)
    yield Claim("one call creates her here and at Stripe, linked", lambda: (ada.status, shop.sides(ADA)), (201, SYNCED))
    yield Claim("Stripe's webhook confirms her", lambda: (shop.confirmed(ADA), shop.sides(ADA)), (True, SYNCED))


@chapter("What the shop sells")
def sold(shop: Shop) -> Told:
    lamp = shop.service.post("/products", {"name": "Lamp"})
    price = shop.service.post("/prices", {"product": lamp.body["id"], "currency": "eur", "unit_amount": 990})
    yield Claim(
        "a product and its price, the same way",
        lambda: (lamp.body["status"], price.body["status"], shop.ids("product"), shop.ids("price")),
        ("active", "active", [lamp.body["stripe_id"]], [price.body["stripe_id"]]),
    )


@chapter("A username that is taken")
def taken(shop: Shop) -> Told:
    again = shop.create(ADA.upper())
    yield Claim(
        "the second call is told so, and Stripe still has her once",
        lambda: (again.status, shop.sides(ADA)),
        (409, SYNCED),
    )


@chapter("Stripe refuses")
def refused(shop: Shop) -> Told:
    shop.stripe.fault("decline", "POST /v1/customers")
    bob = shop.create(BOB)
    yield Claim("the caller is told that the card was declined", lambda: bob.status, 402)
    id = bob.body["document"]["id"]
    yield Claim(
        "nothing is left on either side",
        lambda: (shop.sides(BOB), shop.sides(BOB, id)),
        (NOBODY, GIVEN_UP),
    )
    bob = shop.create(BOB)
    yield Claim("so he can try again", lambda: (bob.status, shop.sides(BOB)), (201, SYNCED))


@chapter("Somebody works in Stripe's Dashboard")
def dashboard(shop: Shop) -> Told:
    bob = shop.known(BOB)
    shop.stripe.dashboard.update("customer", bob["stripe_id"], name="Bob the Builder")
    yield Claim("an edit there is seen here", lambda: shop.names(BOB), ("Bob the Builder", "Bob the Builder"))
    shop.stripe.dashboard.delete("customer", bob["stripe_id"])
    deleted = Sides("deleted", at_stripe=0, linked=False)
    yield Claim(
        "a deletion there is one here, and frees the username",
        lambda: (shop.sides(BOB, bob["id"]), shop.sides(BOB)),
        (deleted, NOBODY),
    )
