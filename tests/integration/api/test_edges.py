"""The edges: what proxies answer, ids that people choose, one object that cannot be read, and typing errors."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, Product, Status
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.models.state import CHECKPOINT, STRIPE, State
from stripe_mongo_sync.sync.operator import operations
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.world import World


class Proxy(stripe.HTTPClient):
    """Something between us and Stripe that answers in its own way."""

    name = "proxy"

    def __init__(self, status: int, body: Any, headers: dict[str, str]) -> None:
        super().__init__()
        self.answer = (body, status, headers)

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        return self.answer

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (502, '{"error": "Bad Gateway"}', {}),
        (403, '{"error": null}', {}),
        (404, '{"error": []}', {}),
        (200, b"\xff\xfe", {}),
        (200, "[]", {}),
        (200, '{"object": "list"}', {"Date": "yesterday"}),
    ],
    ids=["502", "403", "404", "no text", "a list", "no date"],
)
@pytest.mark.fault("13")
def test_whatever_a_proxy_answers_is_unknown_and_stays_pending(
    world: World, status: int, body: Any, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync.create_customer("first@here.com")
    monkeypatch.setattr(world.stripe, "transport", lambda: Proxy(status, body, headers))
    world.start()

    response = world.http.post("/customers", json={"username": "user@here.com"})

    assert response.status_code == 202
    world.advance(minutes=10)
    assert world.reconcile().exit_code == 2
    monkeypatch.undo()
    world.start()
    assert world.converge().exit_code == 0
    assert_in_sync(world)


@contextmanager
def beside(act: Any, world: World, fault: str = "hold_after") -> Iterator[None]:
    held = world.stripe.fault(fault, method="POST")
    thread = threading.Thread(target=act)
    thread.start()
    assert held.entered.wait(10)
    yield
    held.release()
    thread.join()


def test_an_id_that_a_person_chose_names_no_other_object(world: World) -> None:
    world.stripe.dashboard.create("coupon", id="VIP", percent_off=90, duration="once")
    world.stripe.dashboard.create("coupon", id="VIP#2", percent_off=10, duration="once")
    world.advance(hours=1)
    world.converge()
    odd = Coupon.objects.get(stripe_id="VIP#2")

    assert world.http.delete(f"/coupons/{odd.id}").status_code == 200

    assert [coupon["id"] for coupon in world.stripe.objects("coupon")] == ["VIP"]


@pytest.mark.fault("44")
def test_one_object_that_cannot_be_read_does_not_hold_up_the_others(world: World) -> None:
    world.reconcile()
    coupon, _ = sync.create(Coupon, {"id": "BAD", "percent_off": 10, "duration": "once"})
    world.deliver()
    coupon.fetch_latest().requeue(DueReason.OPERATOR)
    world.stripe.fault("503_edge", match="GET /v1/coupons/BAD", times=None)
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    checkpoint = State.read(CHECKPOINT)
    world.advance(minutes=10)

    report = world.reconcile()

    assert (report.exit_code, customer.fetch_latest().status) == (2, Status.ACTIVE)
    assert State.read(CHECKPOINT) != checkpoint


def test_nobody_is_told_of_somebody_elses_refusal(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver()
    world.advance(seconds=30)
    told: list[Any] = []

    with beside(lambda: told.append(sync.update(customer.fetch_latest(), {"name": "first"})), world):
        world.deliver()  # its event ends the operation before its reply comes
        world.stripe.fault("decline", method="POST")
        with pytest.raises(sync.Refused):
            sync.update(customer.fetch_latest(), {"name": "second"})

    assert told[0].name == "first"


def in_review(world: World) -> Customer:
    """A customer whose object Stripe made in the end, and nobody can tell that it is its."""
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("user@here.com", idempotency_key="one")
    world.webhooks()
    world.advance(hours=1)
    world.stripe.repair()
    world.converge()
    assert customer.fetch_latest().review_reason is not None
    return customer


def test_a_typing_error_of_an_operator_links_nothing(world: World) -> None:
    customer = in_review(world)

    with pytest.raises(operations.NotPossible, match="no customer cus_TYPO"):
        operations.link(str(customer.id), "cus_TYPO")

    assert customer.fetch_latest().status == Status.PENDING


def test_what_an_operator_gave_up_is_told_as_rolled_back(world: World) -> None:
    operations.roll_back(str(in_review(world).id))

    again = world.http.post("/customers", json={"username": "user@here.com"}, headers={"Idempotency-Key": "one"})
    assert again.status_code == 201, "another token, another key"
    with pytest.raises(sync.SyncError) as told:
        sync.create_customer("user@here.com", idempotency_key="one")
    assert told.value.type == "rolled-back"


def test_without_adoption_a_deletion_that_is_heard_of_before_the_link_is_not_lost(world: World) -> None:
    world.settings["ADOPT"] = "no"
    world.start()
    world.reconcile()
    with beside(lambda: sync.create_customer("user@here.com"), world):
        created = world.webhooks()
        (remote,) = world.stripe.objects("customer")
        world.advance(seconds=5)
        world.stripe.dashboard.delete("customer", remote["id"])
        world.deliver()
    world.deliver(created)

    world.converge()

    assert Customer.objects.get().status == Status.DELETED


def test_the_second_life_of_a_chosen_id_gets_a_document(world: World) -> None:
    for percent in (10, 20):
        world.stripe.dashboard.create("coupon", id="SUMMER", percent_off=percent, duration="once")
        world.deliver()
        world.advance(hours=1)
        if percent == 10:
            world.stripe.dashboard.delete("coupon", "SUMMER")
            world.deliver()
            world.advance(hours=1)

    assert [coupon.status for coupon in Coupon.objects.order_by("created_at")] == [Status.DELETED, Status.ACTIVE]
    assert_in_sync(world)


def test_an_orphan_that_is_kept_gets_a_document(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("user@here.com")
    world.converge()
    world.stripe.repair(request={"id": None, "idempotency_key": customer.creation_key})
    (remote,) = world.stripe.objects("customer")
    world.stripe.insert("subscription", customer=remote["id"])
    world.converge()

    operations.roll_back(str(customer.id))

    assert Customer.objects.get(stripe_id=remote["id"]).status == Status.ACTIVE
    assert customer.fetch_latest().finished_at is not None
    assert world.converge().exit_code == 0
    assert_in_sync(world)


def test_an_orphan_that_a_person_deletes_settles_the_review(world: World) -> None:
    world.reconcile()
    world.stripe.fault("500_repair", method="POST")
    customer = sync.create_customer("user@here.com")
    world.converge()
    world.stripe.repair(request={"id": None, "idempotency_key": customer.creation_key})
    (remote,) = world.stripe.objects("customer")
    world.stripe.insert("subscription", customer=remote["id"])
    world.converge()
    assert customer.fetch_latest().review_reason is not None

    world.stripe.dashboard.delete("customer", remote["id"])
    world.deliver()

    assert world.converge().exit_code == 0
    assert customer.fetch_latest().finished_at is not None, "nothing is left: it may expire"


def test_a_change_of_what_is_gone_is_refused_and_not_repeated(world: World) -> None:
    world.reconcile()
    product, _ = sync.create(Product, {"name": "A Product"})
    world.deliver()
    world.reconcile()
    world.stripe.lose_event("product.deleted")
    world.stripe.dashboard.delete("product", product.stripe_id)

    problem(world.http.patch(f"/products/{product.id}", json={"name": "Another"}), 422, "refused")

    world.advance(minutes=5)
    assert world.reconcile().counts["missing"] == 1
    world.advance(minutes=6)
    assert world.reconcile().counts["mark_deleted"] == 1
    assert product.fetch_latest().status == Status.DELETED


def test_waiting_is_not_counted_as_failing(world: World) -> None:
    customer = in_review(world)
    world.deliver()
    for _ in range(16):
        world.advance(minutes=20)
        world.reconcile()

    row = Event.objects(state="waiting").first()
    assert row.attempts <= 1
    assert customer.fetch_latest().review_reason is not None


def test_a_document_in_review_is_in_doubt_for_as_long_as_it_takes(world: World) -> None:
    customer = in_review(world)
    world.advance(days=32)
    world.reconcile(full=True)

    assert customer.fetch_latest().status == Status.PENDING
    assert Customer.objects.count() == 1, "its candidate is not adopted while it waits for a person"


def test_a_dry_run_binds_nothing_and_the_next_write_does(world: World) -> None:
    world.reconcile(dry=True)
    assert State.read(STRIPE) is None

    sync.create_customer("user@here.com")

    assert State.read(STRIPE)["account"] == world.stripe.account


def test_what_is_adopted_is_confirmed(world: World) -> None:
    world.stripe.dashboard.create("customer", email="old@here.com")
    world.webhooks()
    world.advance(hours=1)
    world.reconcile()

    assert Customer.objects.get().confirmed_at is not None


def test_a_new_username_is_done_at_once_whatever_is_pending(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.update(customer.fetch_latest(), {"name": "X"})

    response = world.http.patch(f"/customers/{customer.id}", json={"username": "other@here.com"})

    assert (response.status_code, response.headers.get("Retry-After")) == (200, None)
