"""What subscribers have: a door that is open while they pay, more seats, and usage that is counted once."""

from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.sides import on_both_sides
from stripe_mongo_sync.demo.story.expectation import DORA, FAY, Expectation, Steps, chapter

METER_EVENTS = "/v1/billing/meter_events"


@chapter("A door that is open while it is paid for")
def door(shop: Shop) -> Steps:
    yield Expectation("she has bought nothing, so she may not come in", lambda: shop.may_enter(DORA), False)
    page = shop.service.post(
        "/checkout-sessions",
        {
            "customer": DORA,
            "mode": "subscription",
            "line_items": [{"price": shop.monthly(), "quantity": 1}],
            "success_url": "https://shop.example/thanks",
        },
    )
    shop.stripe.pay_session(page.body["stripe_id"])
    yield Expectation(
        "she subscribes on Stripe's page, and the webhook opens the door", lambda: shop.may_enter(DORA), True
    )
    (subscription,) = shop.service.get(f"/customers/{DORA}/subscriptions").body["data"]
    ended = shop.service.post(f"/subscriptions/{subscription['id']}/cancel", {})
    yield Expectation(
        "the subscription ends, and the door closes", lambda: (ended.status, shop.may_enter(DORA)), (200, False)
    )


@chapter("More seats, at the price that was shown before")
def seats(shop: Shop) -> Steps:
    (subscription,) = shop.service.get(f"/customers/{FAY}/subscriptions?expand=stripe").body["data"]
    id, (item,) = subscription["stripe_id"], subscription["stripe"]["items"]["data"]
    more = {
        "items": [{"id": item["id"], "quantity": 3}],
        "proration_behavior": "always_invoice",
        "proration_date": int(shop.stripe.clock.now()),
    }
    shown = shop.service.post("/invoices/create_preview", {"subscription": id, "subscription_details": more})
    yield Expectation(
        "a preview says what two more seats cost now, and changes nothing",
        lambda: (shown.status, shown.body["amount_due"] > 0, shop.seats(id)),
        (200, True, (1, 1)),
    )
    changed = shop.service.call("PATCH", f"/subscriptions/{id}", more)
    yield Expectation(
        "one call changes the quantity on both sides", lambda: (changed.status, shop.seats(id)), (200, (3, 3))
    )
    invoice = shop.there("subscription", id)["latest_invoice"]
    yield Expectation(
        "she paid what was shown",
        lambda: shop.both("invoice", invoice, "status", "amount_paid"),
        on_both_sides("paid", shown.body["amount_due"]),
    )


@chapter("Usage is counted once")
def usage(shop: Shop) -> Steps:
    by_sum = {"display_name": "Hours of light", "event_name": "light", "default_aggregation": {"formula": "sum"}}
    meter = shop.stripe.dashboard.create("billing.meter", **by_sum)["id"]
    yield Expectation(
        "a meter is made in the Dashboard", lambda: shop.both("billing.meter", meter, "status"), on_both_sides("active")
    )
    hours = {"username": FAY, "meter": "light", "value": 7}
    record, again = (shop.service.post("/meter-events", hours, key="november") for _ in range(2))
    yield Expectation(
        "what she used is recorded, once for its key",
        lambda: (record.status, record.body["state"], again.body["id"]),
        (202, "pending", record.body["id"]),
    )
    shop.stripe.fault("cut_after", f"POST {METER_EVENTS}")
    yield shop.reconcile()
    yield Expectation(
        "reconcile sends it, Stripe counts it, and the reply is lost", lambda: counted(shop), ("pending", [False], 1)
    )


def counted(shop: Shop) -> tuple[object, list[bool], int]:
    """Return the state of the usage, of each request of it whether Stripe knew it for a repetition, and how many
    identifiers they had."""
    (record,) = shop.service.get("/meter-events").body["data"]
    sent = [each for each in shop.stripe.requests if each.path == METER_EVENTS]
    return record["state"], [each.replayed for each in sent], len({each.params["identifier"] for each in sent})


@chapter("What Stripe pays out")
def payout(shop: Shop) -> Steps:
    paid = shop.stripe.pay_out("eur")
    yield Expectation(
        "Stripe pays out what the shop has earned",
        lambda: shop.both("payout", paid["id"], "amount"),
        on_both_sides(paid["amount"]),
    )
    report = shop.service.get(f"/payouts/{paid['id']}/report").body
    yield Expectation(
        "the report finds each payment and refund of it here, and all adds up",
        lambda: (report["adds_up"], sum(each["net"] for each in report["totals"].values())),
        (True, paid["amount"]),
    )
