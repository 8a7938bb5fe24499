"""`create_customer_if_missing`: the customer and what they buy are created in one call, or neither."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, StagedDocument, created_kinds, kinds
from stripe_mongo_sync.models.base.input import IF_MISSING, accepted
from stripe_mongo_sync.sync.engine import buyer
from stripe_mongo_sync.sync.process.deadline import within_lease
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

NAME = "new@here.com"
NAMING = [kind for kind, model in created_kinds().items() if IF_MISSING in accepted(model, "create")]
SOLD = ("order", "checkout.session", "subscription", "invoiceitem", "payment_intent", "setup_intent")


def body(kind: str, **fields: Any) -> dict[str, Any]:
    """What creates a document of a kind for a customer who does not exist."""
    found = {**samples.body(kind), **fields}
    if kind == "subscription":
        found["collection_method"], found["days_until_due"] = "send_invoice", 7  # they have no card yet
    found.pop("customer_email", None)
    found.pop("payment_method", None)
    return {**found, "username" if kind == "order" else "customer": NAME, IF_MISSING: True}


def there() -> list[Customer]:
    """The customers of that name, whatever became of them."""
    return list(Customer.objects(username=NAME))


def settle(world: World) -> None:
    world.deliver()
    world.converge()
    assert_in_sync(world)
    assert Customer.objects(made_for__ne=None, is_current=True).count() == 0


def test_every_creation_that_names_a_customer_takes_it() -> None:
    named = {kind for kind, model in created_kinds().items() if "customer" in model.resource.takes("create")}

    assert set(NAMING) == named | {"order"}


@pytest.mark.parametrize("kind", SOLD)
def test_the_customer_is_created_in_the_same_call(world: World, kind: str) -> None:
    given = body(kind)

    made = sync.create(kind, given, idempotency_key="once")
    again = sync.create(kind, given, idempotency_key="once")

    (customer,) = there()
    assert (made.id, made.customer, customer.made_for) == (again.id, customer.stripe_id, None)
    assert len([each for each in world.stripe.objects("customer") if each["email"] == NAME]) == 1
    settle(world)


def test_it_is_a_field_of_the_api_and_an_existing_customer_is_used(world: World) -> None:
    first = world.http.post("/orders", json=body("order"))
    second = world.http.post("/orders", json=body("order"))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json["username"] == second.json["username"] == NAME
    assert len(there()) == 1
    settle(world)


@pytest.mark.parametrize("kind", SOLD)
def test_what_stripe_refuses_leaves_no_customer(world: World, kind: str) -> None:
    path = "/v1/checkout/sessions" if kind == "order" else created_kinds()[kind].resource.path
    given = body(kind)
    world.deliver()
    world.stripe.fault("decline", method="POST", path=path)

    with pytest.raises(sync.Refused) as refused:
        sync.create(kind, given, idempotency_key="once")
    with pytest.raises(sync.Refused) as again:
        sync.create(kind, given, idempotency_key="once")

    assert refused.value.document.id == again.value.document.id
    (customer,) = there()
    assert customer.status == "deleted"
    settle(world)
    sync.create("customer", username=NAME)  # the name is free


def test_a_declined_card_keeps_the_customer_whose_order_can_still_be_paid(world: World) -> None:
    given = body("order", payment="payment_intent", payment_method="pm_card_visa_chargeDeclined")
    given = {name: value for name, value in given.items() if name != "success_url"}
    given["payment_method"] = "pm_card_visa_chargeDeclined"

    problem(world.http.post("/orders", json=given), 402, "declined")

    (customer,) = there()
    assert (customer.status, customer.made_for) == ("active", None)
    settle(world)


def test_another_use_lets_the_customer_stay(world: World) -> None:
    customer = provisional(world)

    sync.create("invoiceitem", customer=NAME, amount=700, currency="eur")
    world.advance(hours=1)
    world.reconcile()

    assert (customer.fetch_latest().status, customer.fetch_latest().made_for) == ("active", None)
    settle(world)


@pytest.mark.parametrize("where", ["here", "at Stripe"])
def test_a_customer_whom_nothing_uses_is_deleted_in_a_quarter_of_an_hour(world: World, where: str) -> None:
    customer = provisional(world)
    if where == "at Stripe":
        world.stripe.dashboard.create("payment_intent", customer=customer.stripe_id, amount=700, currency="eur")
    world.reconcile()
    assert customer.fetch_latest().status == "active"

    world.advance(minutes=16)
    world.reconcile()

    assert customer.fetch_latest().status == ("active" if where == "at Stripe" else "deleted")
    settle(world)


def provisional(world: World) -> Customer:
    """A customer whose maker died before it created what they were for."""
    made = within_lease(buyer._made)(NAME, f"order:{'0' * 24}")
    world.deliver()
    return made


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"items": [{"price": "price_0"}]}, "items.0.price"),
        ({"username": "cus_123"}, "username"),
        ({"username": None}, IF_MISSING),
        ({"colour": "red"}, "colour"),
        ({IF_MISSING: "yes"}, IF_MISSING),
    ],
)
def test_what_is_invalid_creates_nobody(world: World, fields: dict[str, Any], named: str) -> None:
    given = {**body("order"), **fields}

    told = problem(world.http.post("/orders", json=given), 422, "invalid")

    assert list(told["errors"]) == [named]
    assert there() == []


def test_without_the_word_a_missing_customer_is_refused(world: World) -> None:
    told = problem(world.http.post("/orders", json={**body("order"), IF_MISSING: False}), 422, "invalid")

    assert told["errors"] == {"username": "there is no such customer here"}


def test_two_calls_at_once_make_one_customer(world: World) -> None:
    given = body("order")

    def call(key: str) -> StagedDocument | None:
        while True:
            try:
                return sync.create("order", given, idempotency_key=key)
            except sync.Unavailable:  # the other call is about to create them: repeat it, with its key
                continue

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(call, ["one", "two"]))

    assert len({order.id for order in made if order}) == 2
    assert len(there()) == 1
    settle(world)


def test_a_customer_whose_outcome_is_unknown_is_waited_for(world: World) -> None:
    given = body("order")
    world.deliver()
    world.stripe.fault("cut_before", method="POST", path="/v1/customers", times=3)

    with pytest.raises(sync.Unavailable) as unknown:
        sync.create("order", given)
    assert (kinds()["order"].objects.count(), len(there())) == (0, 1)
    world.reconcile()
    world.advance(minutes=2)
    world.reconcile()
    made = sync.create("order", given, idempotency_key=unknown.value.idempotency_key)

    assert made.username == NAME
    settle(world)


def test_while_mongodb_may_still_store_what_they_buy_the_customer_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = body("order")

    def lost(*_: Any, **__: Any) -> None:
        raise AutoReconnect("no primary")

    with monkeypatch.context() as away:
        away.setattr(kinds()["order"], "stage", lost)
        with pytest.raises(sync.Unavailable) as unknown:
            sync.create("order", given)
    (customer,) = there()
    assert (customer.status, customer.made_for is None) == ("active", False)

    made = sync.create("order", given, idempotency_key=unknown.value.idempotency_key)

    assert made.customer == customer.stripe_id
    settle(world)
