"""The balance of a customer: a change of it is written once, and what nobody can know is left to an operator."""

from typing import Any

import pytest

from stripe_mongo_sync import find, sync
from stripe_mongo_sync.models import Customer, Status, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.errors import Refused
from stripe_mongo_sync.sync.operator import operations
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

KIND = "customer_balance_transaction"


@pytest.fixture
def buyer(world: World) -> Customer:
    customer = sync.create_customer("user@here.com")
    world.deliver()
    return customer


def credit(whom: str = "user@here.com", **more: Any) -> Any:
    return sync.create(kinds()[KIND], {"customer": whom, "amount": -500, "currency": "eur", **more})[0]


def balance(customer: Customer) -> int | None:
    return customer.fetch_latest().balance


def test_it_is_written_for_the_customer_whom_the_path_names(world: World, buyer: Customer) -> None:
    made = credit(description="sorry")

    (remote,) = world.stripe.objects(KIND)
    (request,) = [each for each in world.stripe.requests if each.path.endswith("/balance_transactions")]
    assert request.path == f"/v1/customers/{buyer.stripe_id}/balance_transactions"
    assert (made.status, made.stripe_id, made.customer) == (Status.ACTIVE, remote["id"], buyer.stripe_id)
    assert (made.amount, made.ending_balance, made.type) == (-500, -500, "adjustment")
    world.deliver()
    assert balance(buyer) == -500
    assert sync.update(made, {"description": "very sorry"}).description == "very sorry"
    assert [each.id for each in find(KIND, customer="user@here.com")] == [made.id]
    assert_in_sync(world)


def test_whose_it_is_must_be_said_and_be_known(world: World) -> None:
    with pytest.raises(Invalid, match="customer"):
        sync.create(kinds()[KIND], {"amount": -5, "currency": "eur"})
    with pytest.raises(Invalid, match="there is no such customer"):
        credit("nobody@here.com")
    assert world.stripe.objects(KIND) == []


def test_a_lost_reply_is_answered_by_the_key(world: World, buyer: Customer) -> None:
    world.stripe.fault("cut_after", method="POST", times=2)

    made = credit()
    assert made.status == Status.PENDING
    world.advance(minutes=5)
    world.reconcile()

    assert (made.fetch_latest().status, len(world.stripe.objects(KIND))) == (Status.ACTIVE, 1)


@pytest.mark.parametrize("same", [True, False])
def test_when_the_key_is_too_old_the_customers_list_says_what_may_be_it(
    world: World, buyer: Customer, same: bool
) -> None:
    world.stripe.fault("cut_after" if same else "cut_before", method="POST", times=2)
    made = credit()
    world.advance(hours=2)
    if not same:
        world.stripe.dashboard.update("customer", buyer.stripe_id, balance=-700)

    world.converge()

    latest = made.fetch_latest()
    assert latest.status == Status.PENDING
    (remote,) = world.stripe.objects(KIND)
    told = f"{remote['id']} has the same fields" if same else "Stripe shows no result of this create"
    assert told in latest.review_reason


@pytest.mark.fault("164")
@pytest.mark.parametrize("fault", ["cut_after", "cut_before"])
def test_when_its_customer_is_deleted_at_stripe_an_operator_ends_what_nobody_can_know(
    world: World, buyer: Customer, fault: str
) -> None:
    world.stripe.fault(fault, method="POST", times=2)
    made = credit()
    world.stripe.dashboard.delete("customer", buyer.stripe_id)

    world.converge()

    assert "No such customer" in made.fetch_latest().review_reason
    operations.roll_back(str(made.id))
    assert world.converge().exit_code == 0
    assert made.fetch_latest().status == Status.ROLLED_BACK


def test_what_stripe_refuses_is_not_there(world: World, buyer: Customer) -> None:
    world.stripe.dashboard.delete("customer", buyer.stripe_id)

    with pytest.raises(Refused):
        credit()
    assert kinds()[KIND].objects.get().status == Status.ROLLED_BACK


def test_what_invoices_use_up_is_copied_by_a_comparison_that_adopts(world: World) -> None:
    world.settings["ADOPT"] = "yes"
    world.start()
    payer = samples.payer("sample")
    credit("sample@here.com")
    invoice = sync.act(samples.create("invoice"), "finalize", {})
    assert invoice.amount_due == 200

    world.deliver()
    world.advance(hours=1)  # what is younger may be somebody's who is about to link it
    world.reconcile(full=True)

    told = {each.type: each.amount for each in find(KIND, customer=payer)}
    assert told == {"adjustment": -500, "applied_to_invoice": 500}
    assert balance(payer) == 0
    assert_in_sync(world)
