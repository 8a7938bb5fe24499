"""Hooks hear of each access that is granted or revoked, once: by whatever grants it, in whatever order it was told."""

import random

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, State
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import ACCESS
from stripe_mongo_sync.sync.notices.deliver import deliver
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.personal.export import export
from tests.integration.sync.entitlements.test_access import BASIC, PRO, Shop, ordered, past_due
from tests.support import samples
from tests.support.events import event
from tests.support.hooks import listening
from tests.support.lives import Lives
from tests.support.mongo import our_database
from tests.support.person import traces
from tests.support.world import World

HEARD = "access.*"


def made(world: World) -> Shop:
    """A customer with nothing yet."""
    customer = sync.create_customer("user@here.com")
    world.deliver()
    world.reconcile()

    return Shop(world, customer, int(clock.now().timestamp()))


def told(heard: list[sync.Notice]) -> list[str]:
    deliver()
    return [notice.name.removeprefix("access.") for notice in heard]


@pytest.mark.parametrize("seed", range(3))
def test_a_subscription_grants_and_its_end_revokes_each_once(world: World, seed: int) -> None:
    with listening(HEARD) as heard:
        shop = made(world)
        shop.subscription({"status": "incomplete"}, {"status": "active"})
        letters = [*shop.letters, *shop.letters]
        shop.deliver(random.Random(seed))
        world.deliver(letters)
        assert told(heard) == ["granted"]
        assert (heard[0].kind, heard[0].document.username) == ("customer", "user@here.com")
        assert heard[0].document.entitled == [f"product:{BASIC}", "price:price_Basic0001"]

        ended = {**shop._blank("sub_Access0001", BASIC), "status": "canceled"}
        world.stripe.insert("subscription", ended)
        world.deliver([event("customer.subscription.deleted", ended, shop.now + 60)] * 2)
        world.reconcile()

        assert told(heard) == ["granted", "revoked"]
        assert heard[1].document.entitled == []


def test_a_second_subscription_to_the_same_keeps_the_access(world: World) -> None:
    with listening(HEARD) as heard:
        shop = made(world)
        shop.subscription({"status": "active"})
        shop.subscription({"status": "active"}, id="sub_Access0002")
        shop.deliver(random.Random(0))
        ended = {**shop._blank("sub_Access0001", BASIC), "status": "canceled"}
        world.stripe.insert("subscription", ended)
        world.deliver([event("customer.subscription.deleted", ended, shop.now + 60)])

        assert told(heard) == ["granted"]


def test_a_swap_grants_one_and_revokes_the_other(world: World) -> None:
    with listening(HEARD) as heard:
        shop = made(world)
        shop.subscription({"status": "active"})
        shop.deliver(random.Random(0))
        swapped = {**shop._blank("sub_Access0001", PRO), "status": "active"}
        world.stripe.insert("subscription", swapped)
        world.deliver([event("customer.subscription.updated", swapped, shop.now + 60)])

        assert sorted(told(heard)) == ["granted", "granted", "revoked"]
        assert sync.get("customer", "user@here.com").entitled == [f"product:{PRO}", "price:price_Pro000001"]


@pytest.mark.parametrize("what", ["paid", "refunded", "disputed, lost"])
def test_an_order_grants_when_it_is_paid_and_revokes_when_the_money_is_gone(world: World, what: str) -> None:
    with listening(HEARD) as heard:
        world.reconcile()
        ordered(world, what)
        for letter in world.webhooks():
            world.deliver([letter])
        world.converge()

        assert told(heard) == (["granted"] if what == "paid" else ["granted", "revoked"])


def test_time_alone_revokes_and_reconcile_notices(world: World) -> None:
    with listening(HEARD) as heard:
        shop = made(world)
        past_due(shop, 2)
        shop.deliver(random.Random(0))
        world.reconcile()
        assert told(heard) == ["granted"]

        world.advance(days=5, minutes=1)
        world.reconcile()
        world.reconcile()

        assert told(heard) == ["granted", "revoked"]
        assert sync.get("customer", "user@here.com").access_until is None


def test_a_feature_grants_and_revokes(world: World) -> None:
    with listening(HEARD) as heard:
        shop = made(world)
        shop.features("sso")
        shop.deliver(random.Random(0))
        shop.features(at=50)
        shop.deliver(random.Random(0))

        assert told(heard) == ["granted", "revoked"]


def test_what_a_customer_had_before_a_hook_listened_is_no_news(world: World) -> None:
    shop = made(world)
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    assert sync.get("customer", "user@here.com").entitled is None, "while no hook listens, nothing is stored"

    with listening(HEARD) as heard:
        world.reconcile()
        assert told(heard) == []
        assert sync.get("customer", "user@here.com").entitled is not None
        shop.subscription({"status": "active"}, id="sub_Access0002", product=PRO)
        shop.deliver(random.Random(0))

        assert told(heard) == ["granted"]


def test_a_customer_who_is_deleted_loses_it(world: World) -> None:
    with listening(HEARD) as heard:
        world.reconcile()
        order = ordered(world, "paid")
        world.deliver()
        world.converge()
        assert told(heard) == ["granted"]
        sync.delete("customer", order.username)
        world.deliver()
        world.converge()

        assert told(heard) == ["granted", "revoked"]


@pytest.mark.parametrize("way", ["granted", "revoked"])
def test_no_death_loses_one_or_tells_it_twice(lives: Lives, way: str) -> None:
    world = lives.world
    with listening(HEARD) as heard:
        world.reconcile()
        order = ordered(world, "paid")
        letters = world.webhooks()
        if way == "revoked":
            world.deliver(letters)
            world.converge()
            deliver()
            world.advance(seconds=5)
            session = world.stripe.objects("checkout.session")[-1]
            world.stripe.dashboard.create("refund", payment_intent=session["payment_intent"], amount=order.amount_total)
            letters = world.webhooks()
        before = len(heard)
        for death in lives.deaths(lambda: world.deliver(letters), least=5):
            del heard[before:]
            world.deliver(letters)  # Stripe sends again what was not answered
            world.reconcile()
            deliver()
            assert [notice.name for notice in heard[before:]] == [f"access.{way}"], death


def test_the_first_run_that_listens_is_killed_and_goes_on(world: World) -> None:
    shop = made(world)
    shop.subscription({"status": "active"})
    shop.deliver(random.Random(0))
    with listening(HEARD) as heard:
        assert State.read(ACCESS) is None
        customer = sync.get("customer", "user@here.com")
        world.deliver([event("customer.subscription.updated", shop._blank("sub_Access0001", BASIC), shop.now + 5)])
        assert customer.fetch_latest().entitled is not None
        world.reconcile()
        assert State.read(ACCESS) is not None
        assert told(heard) == []


def test_nothing_is_asked_while_no_hook_listens(world: World) -> None:
    samples.create("subscription")
    world.deliver()
    world.reconcile()

    assert Customer.objects(entitled__ne=None).count() == 0
    assert State.read(ACCESS) is None


@pytest.mark.parametrize("listens", [True, False], ids=["while hooks listen", "while none does"])
def test_an_export_shows_what_hooks_were_told_and_an_erasure_leaves_nothing_of_it(world: World, listens: bool) -> None:
    def fail(notice: sync.Notice) -> None:
        raise ValueError(f"{notice.document.username} has {notice.document.entitled}")

    with listening(HEARD, then=fail) as heard:
        shop = made(world)
        past_due(shop, 2)
        shop.features("gold-members")
        shop.deliver(random.Random(0))
        told(heard)
        kept = export("user@here.com")["kept"]
        (held,) = kept["customers"]
        assert {f"product:{BASIC}", "price:price_Basic0001", "feature:gold-members"} <= {*held["entitled"]}
        assert held["access_until"] > held["created_at"]
        assert {row["name"] for row in kept["hook_deliveries"]} == {"access.granted"}
        if listens:
            erase("user@here.com")
            world.deliver()
            world.converge()
            assert "revoked" in told(heard)
    erase(str(shop.customer.id))
    world.deliver()
    world.converge()

    left = our_database().customers.find_one({"_id": shop.customer.id})
    assert left is not None
    assert (left["entitled"], left["access_until"]) == ([], None)
    assert traces(our_database(), "user@here.com", "gold-members") == {}
