"""The reason of a review says in plain words what is known, what is not, and what settles it."""

import re

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import PaymentIntent, State, created_kinds
from stripe_mongo_sync.models.base.lifecycle import StagedDocument
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.sync.operator import operations
from tests.support import samples
from tests.support.world import World

NAME = "user@here.com"
DASHBOARD = "https://dashboard.stripe.com/test"


def reason(document: StagedDocument) -> str:
    return document.fetch_latest().review_reason or ""


def commands(document: StagedDocument) -> set[str]:
    """The acts that a reason names, each of which must be about its document."""
    named = re.findall(r"`operations ([\w-]+) (\w+)", reason(document))
    assert {id for _, id in named} == {str(document.id)}
    return {act for act, _ in named}


def test_an_object_that_may_be_its_own_is_named_with_its_page(world: World) -> None:
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME)
    world.webhooks()
    (remote,) = world.stripe.repair()
    world.deliver()

    assert f"{remote['id']} has the same fields" in reason(customer)
    assert f"{DASHBOARD}/customers/{remote['id']}" in reason(customer)
    assert f"`operations link {customer.id} {remote['id']}`" in reason(customer)
    assert commands(customer) == {"link", "roll-back"}
    operations.link(str(customer.id), remote["id"])
    assert reason(customer) == ""


def test_a_payment_of_which_stripe_shows_nothing_is_named_with_its_amount(world: World) -> None:
    world.reconcile()
    document, _ = sync.create(PaymentIntent, samples.body("payment_intent") | {"amount": 123456, "currency": "eur"})
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.act(document, "confirm", {"payment_method": "pm_card_visa"})
    world.advance(minutes=20)
    world.reconcile()

    assert "Stripe shows no result of this confirm of 1,234.56 EUR, and it is too old to retry" in reason(document)
    assert f"{DASHBOARD}/payments/{document.stripe_id}" in reason(document)
    assert commands(document) == {"retry", "roll-back"}


def test_a_creation_that_moves_money_says_how_to_search_for_it(world: World) -> None:
    world.reconcile()
    model = created_kinds()["refund"]
    paid, _ = sync.create(
        PaymentIntent,
        {
            "amount": 500,
            "currency": "jpy",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://a.example",
        },
    )
    world.stripe.fault("cut_before", method="POST", times=2)
    refund, _ = sync.create(model, {"payment_intent": str(paid.id), "amount": 500})
    world.advance(minutes=40)
    world.reconcile()

    assert "Stripe shows no result of this create of 500 JPY" in reason(refund)
    assert "search the Dashboard for its object" in reason(refund)
    assert commands(refund) == {"link", "roll-back"}


def test_an_object_that_stripe_lost_says_what_each_answer_means(world: World) -> None:
    document = samples.create("price")
    world.deliver()
    world.advance(minutes=30)
    world.converge()
    assert document.fetch_latest().requeue(DueReason.OPERATOR) is not None
    world.stripe.fault("missing", method="GET", path=document.path, times=4)
    world.reconcile()

    assert f"{DASHBOARD}/prices/{document.stripe_id}" in reason(document)
    assert commands(document) == {"retry", "roll-back"}


def test_an_orphan_that_cannot_be_undone_says_why_and_how_to_keep_it(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer(NAME)
    world.converge()
    world.stripe.repair(request={"id": None, "idempotency_key": customer.creation_key})
    (remote,) = world.stripe.objects("customer")
    world.stripe.insert("subscription", customer=remote["id"])
    world.converge()

    assert f"{remote['id']} should be undone, but /v1/subscriptions shows an object of it" in reason(customer)
    assert f"{DASHBOARD}/customers/{remote['id']}" in reason(customer)
    assert commands(customer) == {"retry", "roll-back"}


def test_a_clone_says_where_to_look(world: World) -> None:
    world.reconcile()
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer(NAME)
    State.renew_installation()
    world.start()
    world.advance(hours=1)
    world.reconcile()

    assert "this database is a clone" in reason(customer)
    assert commands(customer) == {"roll-back"}
    operations.roll_back(str(customer.id))
    assert reason(customer) == ""
