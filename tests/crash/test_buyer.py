"""A creation that makes its customer first, killed before each of its effects: both are there in the end, or none."""

from contextlib import suppress
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, kinds
from stripe_mongo_sync.models.base.input import IF_MISSING
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives

NAME = "new@here.com"
SALES: dict[str, dict[str, Any]] = {
    "order": {"username": NAME},
    "checkout.session": {"customer": NAME},
    "invoiceitem": {"customer": NAME},
}


@pytest.mark.parametrize(
    ("kind", "fault", "repeated"),
    [
        ("order", None, False),
        ("order", None, True),
        ("order", "decline", False),
        ("order", "cut_after", True),
        ("checkout.session", "cut_before", False),
        ("invoiceitem", "decline", True),
    ],
)
def test_the_customer_is_there_with_what_they_buy_or_not_at_all(
    lives: Lives, kind: str, fault: str | None, repeated: bool
) -> None:
    world = lives.world
    given = {**samples.body(kind), **SALES[kind], IF_MISSING: True}
    given.pop("customer_email", None)
    sold = "checkout.session" if kind == "order" else kind
    world.deliver()
    world.reconcile()
    if fault:
        world.stripe.fault(fault, method="POST", path=kinds()[sold].resource.path)

    def act() -> None:
        with suppress(sync.Refused, sync.Unavailable):
            sync.create(kind, given, idempotency_key="once")

    for death in lives.deaths(act, least=4):
        world.stripe.clear_faults()
        world.deliver()
        if repeated:
            with suppress(sync.Refused, sync.Unavailable):
                sync.create(kind, given, idempotency_key="once")
        report = world.converge()
        world.advance(minutes=20)
        world.reconcile()
        world.deliver()
        world.converge()

        assert_in_sync(world)
        assert not report.counts["review"], death.died
        assert Customer.objects(made_for__ne=None, is_current=True).count() == 0
        customers = Customer.objects(username=NAME, is_current=True)
        made = kinds()[kind].objects(is_current=True, request__key="once")
        assert len(customers) <= 1
        assert len(made) <= 1
        assert made.count() == 0 or made.first().customer == customers.get().stripe_id
        if not repeated:
            assert len(customers) == len(made), f"after dying {death.died}"
