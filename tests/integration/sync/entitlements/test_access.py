"""May they come in? Fifty situations, each from a history of events that arrive in a drawn order, through the inbox."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
import stripe
from bson import ObjectId
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Invoice, Order, Price, State, Subscription, kinds
from stripe_mongo_sync.models.order import PaymentStatus
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import MIGRATIONS
from stripe_mongo_sync.sync.entitlements.entitlement import ORDERS, SUBSCRIPTIONS, Rule
from stripe_mongo_sync.sync.entitlements.question import SUMMARY, _who, stages
from tests.support import samples
from tests.support.events import event
from tests.support.heard import Listener
from tests.support.mongo import our_database
from tests.support.world import World

DAY = 86400
BASIC, PRO = "prod_Basic0001", "prod_Pro000001"
Told = dict[str, Any]


@dataclass
class Shop:
    """A customer, two products with a price each, and what Stripe has told of it."""

    world: World
    customer: Customer
    now: int
    letters: list[bytes] = field(default_factory=list)

    def tell(self, type: str, remote: Told, at: int) -> None:
        """Stripe tells this; what it shows last is what a GET shows."""
        self.letters.append(event(type, remote, at))

    def subscription(self, *history: Told, id: str = "sub_Access0001", product: str = BASIC) -> None:
        """A subscription that was so, one after the other, a minute apart, until now."""
        began = self.now - 60 * len(history)
        whole: Told = {}
        for number, each in enumerate(history):
            whole = {**self._blank(id, product), **whole, **each}
            type = "created" if number == 0 else "updated"
            self.tell(f"customer.subscription.{type}", whole, began + 60 * number)
        self.world.stripe.insert("subscription", whole)

    def _blank(self, id: str, product: str) -> Told:
        item = {"id": f"si_{id}", "object": "subscription_item", "quantity": 1, "price": self.price(product)}
        item |= {"current_period_start": self.now - 3 * DAY, "current_period_end": self.now + 27 * DAY}
        return {
            "id": id,
            "object": "subscription",
            "created": self.now - 3 * DAY,
            "customer": self.customer.stripe_id,
            "status": "active",
            "cancel_at": None,
            "cancel_at_period_end": False,
            "pause_collection": None,
            "items": {"object": "list", "data": [item], "has_more": False},
        }

    @staticmethod
    def price(product: str) -> Told:
        return {"id": f"price_{product[5:]}", "object": "price", "product": product, "currency": "eur"}

    def invoice(self, status: str, *, at: int, id: str = "in_Access00001", of: str = "sub_Access0001") -> None:
        """An invoice of a subscription, made at that second."""
        parent = {"type": "subscription_details", "subscription_details": {"subscription": of}}
        shown = {"id": id, "object": "invoice", "created": at, "customer": self.customer.stripe_id, "status": status}
        shown |= {"parent": parent, "currency": "eur", "lines": {"object": "list", "data": [], "has_more": False}}
        self.tell("invoice.created", {**shown, "status": "open"}, at)
        self.tell("invoice.updated", shown, self.now - 30)
        self.world.stripe.insert("invoice", shown)

    def features(self, *keys: str, at: int = 0, has_more: bool = False) -> None:
        """Stripe's summary of the customer's entitlements."""
        listed = [
            {
                "id": f"ent_{key}",
                "object": "entitlements.active_entitlement",
                "feature": f"feat_{key}",
                "lookup_key": key,
            }
            for key in keys
        ]
        entitlements = {"object": "list", "data": listed, "has_more": has_more}
        remote = {"object": SUMMARY, "customer": self.customer.stripe_id, "entitlements": entitlements}
        self.tell(f"{SUMMARY}.updated", remote, self.now - 100 + at)

    def deliver(self, chance: random.Random) -> None:
        chance.shuffle(self.letters)
        self.world.deliver(self.letters)
        self.letters.clear()
        self.world.converge()


def days(number: float) -> int:
    return int(number * DAY)


def ends(shop: Shop, number: float) -> Told:
    return {"cancel_at_period_end": True, "cancel_at": shop.now + days(number)}


def past_due(shop: Shop, number: float) -> None:
    """A renewal that is unpaid for so many days."""
    shop.subscription({"status": "active"}, {"status": "past_due"})
    shop.invoice("open", at=shop.now - days(number))


def of_two(shop: Shop, one: Told, other: Told) -> None:
    shop.subscription({"status": "active"}, one)
    shop.subscription({"status": "active"}, other, id="sub_Access0002")


Arrange = Callable[[Shop], Any]
YES, NO, UNSURE = (True, True), (False, True), (False, False)
SITUATIONS: dict[str, tuple[Arrange, tuple[bool, bool], float | None]] = {  # entitled and certain; until, in days
    "nothing was bought": (lambda shop: None, NO, None),
    "a subscription is active": (lambda shop: shop.subscription({"status": "active"}), YES, None),
    "a trial": (lambda shop: shop.subscription({"status": "trialing", "trial_end": shop.now + DAY}), YES, None),
    "a trial that became a subscription": (
        lambda shop: shop.subscription({"status": "trialing"}, {"status": "active"}),
        YES,
        None,
    ),
    "a trial that ended without a card": (
        lambda shop: shop.subscription({"status": "trialing"}, {"status": "paused"}),
        NO,
        None,
    ),
    "a trial that will end for good": (
        lambda shop: shop.subscription({"status": "trialing"}, ends(shop, 5)),
        YES,
        5,
    ),
    "the first invoice is unpaid": (lambda shop: shop.subscription({"status": "incomplete"}), NO, None),
    "the first invoice was paid late": (
        lambda shop: shop.subscription({"status": "incomplete"}, {"status": "active"}),
        YES,
        None,
    ),
    "the first invoice was never paid": (
        lambda shop: shop.subscription({"status": "incomplete"}, {"status": "incomplete_expired"}),
        NO,
        None,
    ),
    "past due for an hour": (lambda shop: past_due(shop, 1 / 24), YES, 7 - 1 / 24),
    "past due for six days": (lambda shop: past_due(shop, 6), YES, 1),
    "past due for seven days": (lambda shop: past_due(shop, 7), NO, None),
    "past due for a month, over two periods": (lambda shop: past_due(shop, 33), NO, None),
    "past due, and no invoice is known": (
        lambda shop: shop.subscription({"status": "active"}, {"status": "past_due"}),
        YES,
        4,
    ),
    "past due, then paid": (
        lambda shop: [
            shop.subscription({"status": "active"}, {"status": "past_due"}, {"status": "active"}),
            shop.invoice("paid", at=shop.now - days(9)),
        ],
        YES,
        None,
    ),
    "past due, and an older invoice was paid": (
        lambda shop: [
            past_due(shop, 2),
            shop.invoice("paid", at=shop.now - days(32), id="in_Access00002"),
        ],
        YES,
        5,
    ),
    "past due, and an invoice of another subscription is old": (
        lambda shop: [
            past_due(shop, 2),
            shop.invoice("open", at=shop.now - days(32), id="in_Access00002", of="sub_Other00001"),
        ],
        YES,
        5,
    ),
    "past due, and canceled for tomorrow": (
        lambda shop: [
            shop.subscription({"status": "active"}, {"status": "past_due", **ends(shop, 1)}),
            shop.invoice("open", at=shop.now - days(2)),
        ],
        YES,
        1,
    ),
    "unpaid": (
        lambda shop: shop.subscription({"status": "active"}, {"status": "past_due"}, {"status": "unpaid"}),
        NO,
        None,
    ),
    "canceled at the end of the period": (
        lambda shop: shop.subscription({"status": "active"}, ends(shop, 10)),
        YES,
        10,
    ),
    "canceled for a second that is over, and Stripe has not told it yet": (
        lambda shop: shop.subscription({"status": "active"}, ends(shop, -0.01)),
        NO,
        None,
    ),
    "canceled at the end of the period by an older version of the API": (
        lambda shop: shop.subscription({"status": "active"}, {"cancel_at_period_end": True}),
        YES,
        27,
    ),
    "canceled, and taken back": (
        lambda shop: shop.subscription(
            {"status": "active"}, ends(shop, 10), {"cancel_at_period_end": False, "cancel_at": None}
        ),
        YES,
        None,
    ),
    "canceled at once": (
        lambda shop: shop.subscription({"status": "active"}, {"status": "canceled"}),
        NO,
        None,
    ),
    "the collection is paused": (
        lambda shop: shop.subscription({"status": "active"}, {"pause_collection": {"behavior": "void"}}),
        YES,
        None,
    ),
    "the collection is paused, and then resumed": (
        lambda shop: shop.subscription(
            {"status": "active"}, {"pause_collection": {"behavior": "void"}}, {"pause_collection": None}
        ),
        YES,
        None,
    ),
    "a paused trial for which a card came": (
        lambda shop: shop.subscription({"status": "trialing"}, {"status": "paused"}, {"status": "active"}),
        YES,
        None,
    ),
    "a trial whose first invoice is unpaid": (
        lambda shop: [
            shop.subscription({"status": "trialing"}, {"status": "past_due"}),
            shop.invoice("open", at=shop.now - days(1)),
        ],
        YES,
        6,
    ),
    "unpaid, and then paid": (
        lambda shop: shop.subscription({"status": "past_due"}, {"status": "unpaid"}, {"status": "active"}),
        YES,
        None,
    ),
    "past due, and then canceled by Stripe": (
        lambda shop: [
            shop.subscription({"status": "active"}, {"status": "past_due"}, {"status": "canceled"}),
            shop.invoice("open", at=shop.now - days(2)),
        ],
        NO,
        None,
    ),
    "past due, and an older invoice was voided": (
        lambda shop: [past_due(shop, 2), shop.invoice("void", at=shop.now - days(32), id="in_Access00002")],
        YES,
        5,
    ),
    "past due for too long, and another product is paid": (
        lambda shop: [past_due(shop, 8), shop.subscription({"status": "active"}, id="sub_Access0002", product=PRO)],
        NO,
        None,
    ),
    "a status that Stripe adds one day": (lambda shop: shop.subscription({"status": "brand_new"}), NO, None),
    "another product": (lambda shop: shop.subscription({"status": "active"}, product=PRO), NO, None),
    "the product was swapped for this one": (
        lambda shop: shop.subscription(
            {"items": shop._blank("sub_Access0001", PRO)["items"]}, {"items": shop._blank("x", BASIC)["items"]}
        ),
        YES,
        None,
    ),
    "the product was swapped for another": (
        lambda shop: shop.subscription(
            {"items": shop._blank("sub_Access0001", BASIC)["items"]}, {"items": shop._blank("x", PRO)["items"]}
        ),
        NO,
        None,
    ),
    "two subscriptions, one of which was canceled": (
        lambda shop: of_two(shop, {"status": "canceled"}, {"status": "active"}),
        YES,
        None,
    ),
    "two subscriptions, both canceled": (
        lambda shop: of_two(shop, {"status": "canceled"}, {"status": "canceled"}),
        NO,
        None,
    ),
    "two subscriptions that end": (lambda shop: of_two(shop, ends(shop, 3), ends(shop, 8)), YES, 8),
    "two subscriptions, one of which ends": (lambda shop: of_two(shop, ends(shop, 3), {"status": "active"}), YES, None),
    "a feature is no product": (lambda shop: shop.features(BASIC), NO, None),
    "the renewal failed, and the new one is active": (
        lambda shop: of_two(shop, {"status": "unpaid"}, {"status": "trialing"}),
        YES,
        None,
    ),
}


@pytest.fixture
def shop(world: World) -> Shop:
    """A customer with nothing yet; the account has a past that has been read."""
    customer = sync.create_customer("user@here.com")
    for product in (BASIC, PRO):
        world.stripe.insert("product", id=product, name=product)
        price = {**Shop.price(product), "unit_amount": 900}
        world.stripe.insert("price", price)
        world.deliver([event("price.created", {**price, "created": 1_700_000_000}, 1_700_000_000)])
    world.deliver()
    return Shop(world, customer, int(clock.now().timestamp()))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_subscription_in_whatever_order_it_was_told(shop: Shop, name: str, seed: int) -> None:
    arrange, (entitled, certain), until = SITUATIONS[name]
    arrange(shop)
    shop.deliver(random.Random(seed))

    told = sync.access("user@here.com", product=BASIC)

    assert (told["entitled"], told["certain"]) == (entitled, certain), told
    assert bool(told["by"]) == entitled
    if until is None:
        assert told["until"] is None
    else:
        assert told["until"] == datetime.fromtimestamp(shop.now, UTC) + timedelta(seconds=days(until))
    assert sync.access(shop.customer.id, price=Shop.price(BASIC)["id"])["entitled"] == entitled
    assert told == sync.access(str(shop.customer.stripe_id), product=BASIC)


# --- orders: from Stripe's own events of a payment, in a drawn order ---

ORDERED = {
    "unpaid": False,
    "paid": True,
    "refunded in part": True,
    "refunded": False,
    "disputed": True,
    "disputed, won": True,
    "disputed, lost": False,
    "canceled": False,
}


def ordered(world: World, what: str) -> Order:
    """An order that this became of; Stripe's events of it are kept back."""
    body = samples.body("order")
    order = sync.create_order(**body)
    if what != "unpaid" and what != "canceled":
        world.stripe.pay_session(str(order.checkout_session))
    session = world.stripe.objects("checkout.session")[-1]
    amounts = {"refunded in part": 100, "refunded": order.amount_total}
    world.advance(seconds=5)
    if what in amounts:
        world.stripe.dashboard.create("refund", payment_intent=session["payment_intent"], amount=amounts[what])
    if what.startswith("disputed"):
        dispute = world.stripe.dispute(session["payment_intent"])
        world.advance(seconds=5)
        if decided := what.partition(", ")[2]:
            world.stripe.decide(dispute["id"], decided)
    if what == "canceled":
        sync.act(order, "cancel")
    return order


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("what", ORDERED)
def test_an_order_in_whatever_order_it_was_told(world: World, what: str, seed: int) -> None:
    order = ordered(world, what)
    letters = world.webhooks()
    random.Random(seed).shuffle(letters)
    world.deliver(letters)
    world.converge()
    price = sync.get("price", order.items[0].price)

    told = sync.access(order.username, product=price.product)

    assert (told["entitled"], told["certain"], told["until"]) == (ORDERED[what], True, None), told
    assert told == sync.access(order.username, price=price) == sync.access(order.username, product=str(price.product))
    if told["entitled"]:
        status = order.fetch_latest().payment_status
        assert told["by"] == [{"kind": "order", "id": str(order.id), "stripe_status": status, "until": None}]


# --- features, and what is not sure ---


@pytest.mark.parametrize("seed", range(3))
def test_a_feature_is_stripes_own_summary_whatever_came_last(shop: Shop, seed: int) -> None:
    for number, keys in enumerate((("sso",), ("sso", "audit"), ("audit",))):
        shop.features(*keys, at=number)
    shop.deliver(random.Random(seed))

    assert sync.access("user@here.com", feature="audit")["entitled"]
    assert sync.access("user@here.com", feature="feat_audit")["entitled"]
    assert not sync.access("user@here.com", feature="sso")["entitled"]
    everything = sync.access("user@here.com")
    assert [each["id"] for each in everything["features"]] == ["audit", "feat_audit"]
    assert everything["by"][0]["kind"] == SUMMARY
    (summary,) = sync.find(SUMMARY, customer=shop.customer)
    assert shop.world.http.get(f"/entitlements-active-entitlement-summaries/{summary.id}").status_code == 200


def test_more_features_than_an_event_shows_are_no_certain_no(shop: Shop) -> None:
    shop.features("sso", has_more=True)
    shop.deliver(random.Random(0))

    told = [sync.access("user@here.com", feature=feature) for feature in ("sso", "audit")]

    assert [(each["entitled"], each["certain"]) for each in told] == [(True, True), (False, False)]
    assert sync.access("user@here.com", product=BASIC)["certain"]


def test_everything_is_listed_with_the_end_of_each(shop: Shop) -> None:
    shop.subscription(ends(shop, 3), id="sub_Access0001")
    shop.subscription(ends(shop, 8), id="sub_Access0002")
    shop.subscription({"status": "active"}, id="sub_Access0003", product=PRO)
    shop.subscription({"status": "canceled"}, id="sub_Access0004", product="prod_Gone00001")
    shop.deliver(random.Random(0))

    told = sync.access("user@here.com")

    last = datetime.fromtimestamp(shop.now + days(8), UTC)
    assert told["products"] == [{"id": BASIC, "until": last}, {"id": PRO, "until": None}]
    assert [each["id"] for each in told["prices"]] == [Shop.price(BASIC)["id"], Shop.price(PRO)["id"]]
    assert (told["entitled"], told["until"], len(told["by"]), told["certain"]) == (True, None, 3, True)
    shown = shop.world.http.get("/customers/user@here.com/access").json
    assert shown["products"][0]["until"] == last.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("verb", ["create", "cancel", "review"])
def test_what_is_pending_or_in_review_makes_it_uncertain(world: World, verb: str) -> None:
    body = samples.body("subscription")
    if verb != "create":
        subscription = sync.create("subscription", body)
    price = sync.get("price", body["items"][0]["price"])
    world.deliver()
    world.stripe.fault("cut_before", times=9)
    if verb == "create":
        subscription = sync.create("subscription", body)
    elif verb == "cancel":
        sync.act(subscription, "cancel")
    else:
        subscription.fetch_latest().send_to_review("an operator must decide")

    told = sync.access(subscription_customer(subscription), product=price.product)

    assert (told["entitled"], told["certain"]) == (verb != "create", False)
    assert sync.access(subscription_customer(subscription), feature="sso")["certain"] is False


def subscription_customer(subscription: Any) -> str:
    return str(subscription.customer)


def test_what_is_pending_elsewhere_leaves_it_certain(world: World) -> None:
    order = ordered(world, "paid")
    world.deliver()
    another = samples.body("order", "another")
    world.stripe.fault("cut_before", times=9)
    sync.create_order(**{**another, "username": order.username})

    price = sync.get("price", order.items[0].price)
    assert sync.access(order.username, product=price.product)["certain"]
    assert not sync.access(order.username, price=another["items"][0]["price"])["certain"]


def test_webhooks_that_do_not_arrive_make_it_uncertain_until_they_do(shop: Shop) -> None:
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    shop.world.reconcile()
    assert sync.access("user@here.com", product=BASIC)["certain"]

    shop.world.stripe.dashboard.create("customer", email="else@where.com")
    shop.world.webhooks()  # they are lost
    shop.world.advance(minutes=10)
    shop.world.reconcile()
    assert not sync.access("user@here.com", product=BASIC)["certain"]

    shop.world.reconcile()
    assert sync.access("user@here.com", product=BASIC)["certain"]


def test_the_settings_say_how_long_and_whether_a_pause_counts(shop: Shop) -> None:
    shop.world.settings |= {"ACCESS_GRACE_DAYS": "0", "ACCESS_WHILE_PAUSED": "no"}
    shop.world.start()
    past_due(shop, 1)
    shop.subscription({"pause_collection": {"behavior": "void"}}, id="sub_Access0002", product=PRO)
    shop.deliver(random.Random(0))

    assert sync.access("user@here.com") | {"by": []} == {
        **{"entitled": False, "by": [], "until": None, "certain": True},
        **{"prices": [], "products": [], "features": []},
    }


def test_time_alone_ends_it(shop: Shop) -> None:
    past_due(shop, 2)
    shop.deliver(random.Random(0))
    assert sync.access("user@here.com", product=BASIC)["entitled"]

    shop.world.advance(days=5)

    assert not sync.access("user@here.com", product=BASIC)["entitled"]


# --- who is asked about, and what is refused ---


def test_who_is_unknown_deleted_or_named_twice(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    gone = sync.delete(sync.create_customer("gone@here.com"))
    one = "/customers/user@here.com/access"

    assert world.http.get(one).json["entitled"] is False
    for name in ("nobody", "cus_unknown", str(ObjectId()), str(gone.id), "gone@here.com"):
        assert world.http.get(f"/customers/{name}/access").status_code == 404, name
        with pytest.raises(sync.NotFound):
            sync.access(name)
    for asked in ("product=a&price=b", "product=a&product=b", "plan=a", "product=", f"price={ObjectId()}"):
        assert world.http.get(f"{one}?{asked}").status_code == 422, asked
    assert world.http.get(f"/customers/{customer.id}/access").status_code == 200
    assert sync.access(customer) == sync.access("USER@here.com") == sync.access(customer.id)
    odd = sync.create_customer("user@here.com/access")
    assert world.http.get("/customers/user@here.com/access").json["entitled"] is False
    assert world.http.get(f"/customers/{odd.id}").json["username"] == "user@here.com/access"
    for wrong in ({"product": 7}, {"price": []}):
        with pytest.raises(sync.Invalid):
            sync.access("user@here.com", **wrong)


def test_a_username_wins_over_an_equal_custom_id(shop: Shop) -> None:
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    shop.world.stripe.insert("customer", id="another")
    customer = {"id": "another", "object": "customer", "created": shop.now, "livemode": False}
    shop.world.deliver([event("customer.created", customer, shop.now)])
    shop.world.converge()

    assert sync.access("another", product=BASIC)["entitled"] is False


def test_a_customer_who_is_pending_is_entitled_to_nothing_yet(shop: Shop) -> None:
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    shop.world.stripe.fault("cut_before", times=9)
    sync.create_customer("new@here.com")

    told = sync.access("new@here.com")

    assert (told["entitled"], told["by"], told["certain"]) == (False, [], False)


def test_before_older_rows_are_migrated_nothing_is_claimed(shop: Shop) -> None:
    known = State.read(MIGRATIONS) or {}
    State.write(MIGRATIONS, {**known, "done": [name for name in known["done"] if name != "owners"]})
    try:
        answer = shop.world.http.get("/customers/user@here.com/access")
        assert (answer.status_code, "migrate" in answer.json["detail"]) == (503, True)
    finally:
        State.write(MIGRATIONS, known)


class Asked(Listener):
    """Counts what MongoDB is asked."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command_name)


def test_it_is_one_round_trip_and_asks_stripe_nothing(database: str) -> None:
    asked = Asked()
    world = World(database, listeners=(asked,))
    try:
        order = ordered(world, "paid")
        product = sync.get("price", order.items[0].price).product
        requests = len(world.stripe.requests)
        for query in ({}, {"product": product}, {"feature": "sso"}, {"price": sync.get("price", order.items[0].price)}):
            asked.commands.clear()
            sync.access(order.username, **query)
            assert asked.commands == ["aggregate"]
        assert len(world.stripe.requests) == requests
    finally:
        world.stop()


OTHERS = 3000


@pytest.mark.parametrize("name", ["user@here.com", "cus_id", "id", "custom"])
def test_every_part_of_the_question_enters_an_index(shop: Shop, name: str) -> None:
    """Among thousands of others, no part reads a document that is not the customer's."""
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    others = [{"revision": 1, "status": "active", "is_current": True, "owners": [f"cus_{n}"]} for n in range(OTHERS)]
    for number, row in enumerate(others):
        row |= {"stripe_id": f"x_{number}", "username_key": f"user{number}", "stripe_status": "active"}
        row |= {"payment_status": "paid", "subscription": f"sub_{number}"}
    for model in (Customer, Subscription, Invoice, Order, Price, kinds()[SUMMARY]):
        model.insert_collection().insert_many([dict(row) for row in others])
    who = {"cus_id": shop.customer.stripe_id, "id": str(shop.customer.id)}.get(name, name)

    pipeline = [{"$match": {"revision": {"$exists": True}}}, *stages(_who(who), {"product": str(ObjectId())})]
    command = {"aggregate": "customers", "pipeline": pipeline, "cursor": {}}
    told = our_database().command({"explain": command, "verbosity": "executionStats"})

    parts = [stage for stage in told["stages"] if "$lookup" in stage]
    assert len(parts) == 6
    examined = {stage["$lookup"]["as"]: int(stage["totalDocsExamined"]) for stage in parts}
    assert sum(int(stage["collectionScans"]) for stage in parts if stage["$lookup"]["as"] != "state") == 0
    assert max(examined.values()) <= 10, examined
    assert told["stages"][0]["$cursor"]["executionStats"]["totalDocsExamined"] <= 3


def test_every_status_has_a_rule() -> None:
    statuses = get_args(get_args(stripe.Subscription.__annotations__["status"])[0])

    assert {*statuses} == SUBSCRIPTIONS.keys()
    assert {*PaymentStatus} == ORDERS.keys()
    assert {status for status, rule in ORDERS.items() if rule == Rule.YES} == {"paid", "partially_refunded", "disputed"}
    assert len(SITUATIONS) + len(ORDERED) + 6 >= 50
