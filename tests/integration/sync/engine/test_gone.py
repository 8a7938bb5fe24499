"""Gone: what proves that an object is no longer at Stripe, and how what was wrongly taken for gone comes back.

A 404 says that a GET did not find it. Stripe has answered so about objects that are there.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.models import (
    Coupon,
    Customer,
    Invoice,
    Order,
    PaymentIntent,
    Status,
    SyncedDocument,
    created_kinds,
    kinds,
)
from stripe_mongo_sync.models.mirrored import Mirrored
from stripe_mongo_sync.models.rows.clock import DueReason
from stripe_mongo_sync.sync.engine.dependents import notify_dependents
from stripe_mongo_sync.sync.engine.observations import FOREVER, existence_of, merge_observation
from stripe_mongo_sync.sync.engine.refresh import refresh
from stripe_mongo_sync.sync.operator import operations
from stripe_mongo_sync.sync.operator.status import status
from tests.integration.conftest import Run
from tests.support import samples
from tests.support.events import event
from tests.support.fuse import Fuse
from tests.support.in_sync import assert_in_sync
from tests.support.representatives import representatives, row
from tests.support.scenes import begin
from tests.support.world import World


def readable(kind: str) -> bool:
    return kind in RESOURCES and RESOURCES[kind].readable


REAL = {kind: model for kind, model in created_kinds().items() if model.resource.path}
DELETED = sorted(kind for kind, model in REAL.items() if not model.resource.lasts(RESOURCES[kind].defaults))
LASTING = sorted(REAL.keys() - DELETED)
READ_ONLY = sorted(kind for kind, model in kinds().items() if issubclass(model, Mirrored) and readable(kind))
# What a 404, and a list, are judged by.
NOT_FOUND = row("path", "has_created_event", "readable_after_delete", "deletable", "removable", "deleted_while")
LISTED = row(
    "listable", "list_params", "created_filter", "leaves_out", "parts", "accepts_custom_id", "expand", "removable"
)
COPIES_THAT_LAST = [kind for kind in READ_ONLY if kinds()[kind].resource.lasts(RESOURCES[kind].defaults)]


def made(world: World, kind: str) -> SyncedDocument:
    """A document at rest, whose object is there; a look at it is due."""
    return begin(world, make, kind)


def make(world: World, kind: str) -> SyncedDocument:
    document = samples.create(kind) if kind in REAL else copied(world, kind)
    world.deliver()
    world.advance(minutes=30)
    world.converge()
    resumed = document.fetch_latest().requeue(DueReason.OPERATOR)
    assert resumed is not None
    return resumed


def copied(world: World, kind: str) -> SyncedDocument:
    planted = world.stripe.insert(kind)
    world.deliver(
        [event(f"{kinds()[kind].resource.event_prefixes[0]}.updated", planted, int(world.stripe.clock.now()))]
    )
    found: SyncedDocument = kinds()[kind].objects(stripe_id=planted["id"]).get()
    return found


def unfindable(world: World, document: SyncedDocument, times: int | None = 1) -> None:
    world.stripe.fault("missing", method="GET", path=document.path, times=times)


def taken_for_deleted(document: SyncedDocument) -> None:
    """As an older version did after one 404."""
    gone = existence_of(document.stripe_id or "", "reconcile", deleted=True)
    merge_observation(type(document), {"_id": document.id}, gone)
    assert document.fetch_latest().status == Status.DELETED


# --- one 404, two 404s ---


@pytest.mark.parametrize("kind", representatives(DELETED, NOT_FOUND))
def test_one_404_does_not_prove_that_an_object_is_gone(world: World, kind: str) -> None:
    document = made(world, kind)
    unfindable(world, document)

    report = world.reconcile()

    latest = document.fetch_latest()
    assert (report.exit_code, latest.status, latest.missing_since is not None) == (0, Status.ACTIVE, True)
    assert world.converge().exit_code == 0
    latest = document.fetch_latest()
    assert (latest.status, latest.missing_since, latest.due_at) == (Status.ACTIVE, None, None)
    assert_in_sync(world)


@pytest.mark.parametrize("kind", representatives(DELETED, NOT_FOUND))
def test_two_404s_a_run_apart_do(world: World, kind: str) -> None:
    document = made(world, kind)
    unfindable(world, document, times=None)

    for minutes in (1, 2):  # too soon
        world.reconcile()
        assert document.fetch_latest().status == Status.ACTIVE
        world.advance(minutes=minutes)
    world.advance(minutes=5)
    world.reconcile()

    assert document.fetch_latest().status == Status.DELETED


@pytest.mark.parametrize("kind", representatives(LASTING + COPIES_THAT_LAST, NOT_FOUND))
def test_what_stripe_never_deletes_is_left_to_a_person(world: World, kind: str) -> None:
    document = made(world, kind)
    unfindable(world, document, times=4)

    report = world.reconcile()
    for _ in range(3):
        world.advance(hours=3)
        report = world.reconcile()

    latest = document.fetch_latest()
    assert (latest.status, report.exit_code, report.counts["review"]) == (Status.ACTIVE, 1, 1)
    assert "never deletes" in str(latest.review_reason)
    assert status().exit_code == 1


@pytest.mark.parametrize("kind", representatives(LASTING, LISTED))
def test_whatever_shows_it_again_ends_the_review(world: World, kind: str) -> None:
    document = made(world, kind)
    unfindable(world, document)
    assert world.reconcile().exit_code == 1
    world.advance(hours=1)

    if document.resource.listable:
        world.reconcile(full=True)
        assert world.converge().exit_code == 0
    else:
        operations.retry(str(document.id))

    latest = document.fetch_latest()
    assert (latest.status, latest.review_reason, latest.missing_since) == (Status.ACTIVE, None, None)
    assert_in_sync(world)


def test_an_event_about_it_ends_the_review(world: World) -> None:
    document = made(world, "price")
    unfindable(world, document)
    assert world.reconcile().exit_code == 1
    world.advance(hours=1)
    world.stripe.dashboard.update("price", document.stripe_id, nickname="new")

    world.deliver()

    assert document.fetch_latest().review_reason is None
    assert world.converge().exit_code == 0
    assert_in_sync(world)


def test_a_draft_of_an_invoice_can_be_deleted_and_a_finalized_one_cannot() -> None:
    lasts = Invoice.resource.lasts

    assert [lasts({"status": each}) for each in ("draft", "open", "paid", "void")] == [False, True, True, True]
    assert lasts({}), "of one that was never seen nobody knows"


def test_a_person_says_that_it_is_gone(world: World, run: Run) -> None:
    document = made(world, "price")
    unfindable(world, document, times=None)
    world.reconcile()
    world.advance(hours=1)

    assert run("operations retry", str(document.id))[0] == 1
    code, told = run("operations roll-back", str(document.id))

    assert (code, told["status"], told["review"]) == (0, "deleted", None)


def test_a_person_does_not_say_that_of_what_is_there(world: World) -> None:
    document = made(world, "price")
    unfindable(world, document)
    world.reconcile()

    operations.roll_back(str(document.id))

    assert (document.fetch_latest().status, document.fetch_latest().review_reason) == (Status.ACTIVE, None)
    assert_in_sync(world)


def test_a_dry_run_notes_nothing(world: World) -> None:
    document = made(world, "coupon")
    unfindable(world, document, times=None)
    before = document.fetch_latest().revision

    assert world.reconcile(dry=True).exit_code == 1
    assert document.fetch_latest().revision == before


def test_a_webhook_and_an_update_that_are_answered_404_only_make_it_due(world: World) -> None:
    document = made(world, "coupon")
    world.converge()
    unfindable(world, document)
    world.stripe.dashboard.update("coupon", document.stripe_id, name="new")
    ours = {"id": document.stripe_id, "object": "coupon"}

    world.send(event("coupon.updated", ours, int(world.stripe.clock.now()), api_version="2020-08-27"))

    assert (document.fetch_latest().status, document.fetch_latest().missing_since) == (Status.ACTIVE, None)
    assert document.fetch_latest().due_at is not None
    assert world.converge().exit_code == 0
    assert_in_sync(world)


def test_an_order_that_was_paid_stays_paid(world: World) -> None:
    order = paid(world)
    intent = PaymentIntent.by_stripe_id(order.payment_intent)
    assert intent is not None
    intent.requeue(DueReason.OPERATOR)
    unfindable(world, intent)

    assert world.reconcile().exit_code == 1

    latest = order.fetch_latest()
    assert (latest.status, latest.payment_status) == (Status.ACTIVE, "paid")
    world.advance(hours=1)
    assert world.reconcile(full=True).exit_code == 0
    world.converge()
    assert_in_sync(world)


# --- listed, and deleted here ---


def paid(world: World) -> Order:
    return begin(world, pay)


def pay(world: World) -> Order:
    world.reconcile()
    body = {**samples.body("order"), "payment": "payment_intent", "payment_method": "pm_card_visa"}
    del body["success_url"]
    order = sync.create_order(**body)
    world.deliver()
    world.advance(minutes=30)
    world.converge()
    found: Order = order.fetch_latest()
    assert found.payment_status == "paid"
    return found


@pytest.mark.parametrize(
    "kind", representatives(sorted(kind for kind, model in REAL.items() if model.resource.listable), LISTED)
)
def test_what_is_listed_and_deleted_here_comes_back(world: World, kind: str) -> None:
    document = made(world, kind)
    world.converge()
    taken_for_deleted(document)

    report = world.reconcile(full=True)

    assert (report.counts["back"], report.exit_code) == (1, 0), report
    assert document.fetch_latest().status == Status.ACTIVE
    assert world.converge().exit_code == 0
    assert world.reconcile(full=True).counts["back"] == 0
    assert_in_sync(world)


def test_a_dry_run_says_what_would_come_back(world: World) -> None:
    document = made(world, "coupon")
    taken_for_deleted(document)

    report = world.reconcile(full=True, dry=True)

    assert (report.counts["back"], report.exit_code) == (1, 1)
    assert document.fetch_latest().status == Status.DELETED


def test_the_order_of_a_payment_that_comes_back_follows_it(world: World) -> None:
    order = paid(world)
    intent = PaymentIntent.by_stripe_id(order.payment_intent)
    assert intent is not None
    taken_for_deleted(intent)
    world.converge()
    notify_dependents(intent.fetch_latest())
    assert order.fetch_latest().status == Status.ROLLED_BACK

    assert world.reconcile(full=True).exit_code == 0

    latest = order.fetch_latest()
    assert (latest.status, latest.payment_status, latest.finished_at) == (Status.ACTIVE, "paid", None)
    world.converge()
    assert_in_sync(world)


def test_a_name_that_was_given_away_leaves_it_to_a_person(world: World) -> None:
    document = made(world, "customer")
    name = document.username
    taken_for_deleted(document)
    other = sync.create_customer(name)
    world.deliver()
    world.advance(hours=1)

    report = world.reconcile(full=True)

    latest = document.fetch_latest()
    assert (report.exit_code, latest.status) == (1, Status.DELETED)
    assert "another customer has its username" in str(latest.review_reason)
    assert status().exit_code == 1
    sync.update(other, {"username": "another name"})
    operations.retry(str(document.id))
    assert (document.fetch_latest().status, document.fetch_latest().review_reason) == (Status.ACTIVE, None)
    assert world.converge().exit_code == 0
    assert_in_sync(world)


class Between(stripe.HTTPClient):
    """Does something after a list was answered, and before anybody sees the answer."""

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self.inner, self.name = inner, inner.name
        self.path, self.act = "", lambda: None

    def request(self, method: str, url: str, *given: Any, **more: Any) -> Any:
        told = self.inner.request(method, url, *given, **more)
        if method.upper() == "GET" and urlsplit(url).path == self.path:
            self.path = ""
            self.act()
        return told

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def between(database: str) -> Iterator[tuple[World, Between]]:
    made: list[Between] = []

    def around(inner: stripe.HTTPClient) -> Between:
        made.append(Between(inner))
        return made[-1]

    world = World(database, around=around)
    yield world, made[-1]
    world.stop()


@pytest.mark.parametrize("kind", representatives(DELETED, LISTED))
def test_a_list_that_was_read_before_the_deletion_brings_nothing_back(
    between: tuple[World, Between], kind: str
) -> None:
    world, client = between
    document = make(world, kind)
    world.converge()

    def delete() -> None:
        world.stripe.dashboard.delete(kind, document.stripe_id)
        world.deliver()
        assert document.fetch_latest().status == Status.DELETED

    client.path, client.act = document.resource.path, delete
    report = world.reconcile(full=True)

    assert not client.path
    assert (document.fetch_latest().status, report.counts["back"]) == (Status.DELETED, 0)
    world.converge()
    assert_in_sync(world)


def test_a_late_event_brings_nothing_back(world: World) -> None:
    document = made(world, "coupon")
    world.stripe.dashboard.update("coupon", document.stripe_id, name="new")
    late = world.webhooks()
    world.stripe.dashboard.delete("coupon", document.stripe_id)
    world.deliver()

    world.deliver(late)
    world.reconcile(full=True)

    assert document.fetch_latest().status == Status.DELETED


def test_the_next_life_of_a_chosen_id_is_another_document(world: World) -> None:
    first, _ = sync.create(Coupon, {"id": "SUMMER", "percent_off": 10, "duration": "once"})
    world.deliver()
    sync.delete(first)
    world.advance(hours=1)
    world.stripe.dashboard.create("coupon", id="SUMMER", percent_off=20, duration="once")
    world.webhooks()

    world.advance(hours=1)
    report = world.reconcile(full=True)

    assert (first.fetch_latest().status, report.counts["back"]) == (Status.DELETED, 0)
    assert Coupon.objects(stripe_id="SUMMER", is_current=True).count() == 1


CHOSEN = {"coupon": {"percent_off": 10, "duration": "once", "name": "next"}, "product": {"name": "next"}}


@pytest.mark.fault("155")
@pytest.mark.parametrize("kind", CHOSEN)
@pytest.mark.parametrize("refreshed", [False, True], ids=["by its event", "by a refresh"])
def test_the_next_object_of_a_chosen_id_proves_that_the_one_before_was_deleted(
    world: World, kind: str, refreshed: bool
) -> None:
    first, _ = sync.create(kinds()[kind], {**CHOSEN[kind], "name": "first", "id": "SAME"})
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.delete(kind, "SAME")
    late = world.webhooks()
    world.advance(minutes=1)
    world.stripe.dashboard.create(kind, id="SAME", **CHOSEN[kind])
    if refreshed:
        refresh(first.fetch_latest())
    told = world.webhooks()
    world.deliver([*told, *late, *told])

    assert first.fetch_latest().status == Status.DELETED
    (second,) = kinds()[kind].objects(stripe_id="SAME", is_current=True)
    assert (second.status, second.name, second.review_reason) == (Status.ACTIVE, "next", None)
    world.reconcile()
    assert_in_sync(world)


@pytest.mark.fault("155")
def test_a_document_whose_key_made_the_next_object_of_a_chosen_id_takes_it(world: World) -> None:
    first, _ = sync.create(Coupon, {**CHOSEN["coupon"], "id": "SAME"})
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.delete("coupon", "SAME")
    world.webhooks()  # its deletion is never heard of
    world.advance(minutes=1)

    second, _ = sync.create(Coupon, {**CHOSEN["coupon"], "id": "SAME"})

    assert (second.status, second.review_reason) == (Status.ACTIVE, None)
    assert first.fetch_latest().status == Status.DELETED
    world.deliver()
    world.reconcile()
    assert_in_sync(world)


@pytest.mark.fault("155")
@pytest.mark.parametrize("kind", CHOSEN)
def test_what_was_linked_unseen_takes_no_news_of_the_object_that_had_its_id_before(world: World, kind: str) -> None:
    first, _ = sync.create(kinds()[kind], {**CHOSEN[kind], "name": "first", "id": "SAME"})
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.update(kind, "SAME", name="edited")
    late = world.webhooks()
    world.advance(minutes=1)
    sync.delete(first)
    world.advance(minutes=1)
    world.stripe.fault("cut_after", kind=kind, method="POST")
    unread = world.stripe.fault("500_before", kind=kind, method="GET", times=100)
    second, _ = sync.create(kinds()[kind], {**CHOSEN[kind], "id": "SAME"})
    assert (second.status, second.stripe) == (Status.ACTIVE, None), "a repeated reply shows no content"

    world.deliver(late)
    world.stripe.clear_faults()
    told = world.webhooks()
    world.deliver(told)
    world.converge()

    assert unread.hits
    latest = second.fetch_latest()
    assert (latest.status, latest.name, latest.review_reason) == (Status.ACTIVE, "next", None)
    assert_in_sync(world)


def test_a_copy_that_was_heard_of_by_its_end_only_comes_back_and_follows_its_events(world: World) -> None:
    world.reconcile()
    remote = world.stripe.insert("charge", amount=100, currency="eur", livemode=False)
    model = kinds()["charge"]
    ended = model.adopt(replace(existence_of(remote["id"], "webhook evt_1", deleted=True), earliest=FOREVER))

    assert world.reconcile(full=True).counts["back"] == 1
    world.converge()
    world.advance(hours=1)
    changed = {**remote, "description": "new"}
    world.deliver([event("charge.updated", changed, int(world.stripe.clock.now()))])

    latest = ended.fetch_latest()
    assert (latest.status, latest.stripe["description"]) == (Status.ACTIVE, "new")


@pytest.mark.parametrize("kind", ["customer", "payment_intent"])
def test_whatever_kills_a_comparison_that_brings_back_the_next_one_ends_it(database: str, kind: str) -> None:
    fuse = Fuse()
    world = World(database, fuse=fuse)
    try:
        document = make(world, kind) if kind == "customer" else PaymentIntent.by_stripe_id(pay(world).payment_intent)
        assert document is not None
        world.converge()
        taken_for_deleted(document)
        notify_dependents(document.fetch_latest())
        effects = itertools.takewhile(lambda n: fuse.kill(lambda: world.reconcile(full=True), n), itertools.count(1))
        assert len(list(effects)) > 1
        world.converge()

        assert document.fetch_latest().status == Status.ACTIVE
        assert_in_sync(world)
    finally:
        world.stop()


# --- test clocks ---


def of_a_clock(world: World) -> tuple[dict[str, Any], list[SyncedDocument]]:
    """A clock, a customer of it, and what is theirs: also what Stripe never deletes otherwise."""
    world.reconcile()
    now = int(world.stripe.clock.now())
    clock = {"id": "clock_1A2b3C4d5E", "object": "test_helpers.test_clock", "created": now, "livemode": False}
    world.deliver([event("test_helpers.test_clock.created", clock, now)])
    customer = world.stripe.insert("customer", test_clock=clock["id"])
    intent = world.stripe.insert("payment_intent", customer=customer["id"], amount=100, currency="eur")
    refund = world.stripe.insert("refund", payment_intent=intent["id"], amount=100, currency="eur")
    for remote in (customer, intent, refund):
        world.deliver([event(f"{remote['object']}.created", remote, now)])
    world.advance(minutes=30)
    world.converge()
    documents = [kinds()[remote["object"]].by_stripe_id(remote["id"]) for remote in (customer, intent, refund)]
    assert all(document is not None and document.status == Status.ACTIVE for document in documents)
    return clock, [document for document in documents if document is not None]


def test_what_belonged_to_a_test_clock_goes_with_it(world: World) -> None:
    clock, documents = of_a_clock(world)
    for document in documents:
        unfindable(world, document, times=None)
    gone = {"id": clock["id"], "object": clock["object"], "deleted": True}

    world.deliver([event("test_helpers.test_clock.deleted", gone, int(world.stripe.clock.now()))])
    first = world.reconcile()
    documents[-1].fetch_latest().requeue(DueReason.OPERATOR)
    last = world.reconcile()

    assert (first.exit_code, last.exit_code, last.counts["review"]) == (0, 0, 0)
    assert [document.fetch_latest().status for document in documents] == [Status.DELETED] * 3
    assert world.unfinished() == []


def test_without_the_event_two_404s_do(world: World) -> None:
    _clock, documents = of_a_clock(world)
    for document in documents:
        unfindable(world, document, times=None)
        document.fetch_latest().requeue(DueReason.OPERATOR)

    first = world.reconcile()
    assert [document.fetch_latest().status for document in documents] == [Status.ACTIVE] * 3
    world.advance(hours=1)
    last = world.reconcile()

    assert (first.exit_code, last.exit_code, last.counts["review"]) == (0, 0, 0)
    assert [document.fetch_latest().status for document in documents] == [Status.DELETED] * 3


def test_what_is_read_under_an_owner_goes_with_them(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver()
    now = int(world.stripe.clock.now())
    balance = {"id": "ccsbtxn_1A2b3C4d5E", "object": "customer_cash_balance_transaction", "created": now}
    balance |= {"customer": customer.stripe_id, "livemode": False}
    world.deliver([event("customer_cash_balance_transaction.created", balance, now)])
    document = kinds()["customer_cash_balance_transaction"].by_stripe_id(balance["id"])
    assert document is not None
    sync.delete(customer)
    world.deliver()
    world.stripe.fault("missing", method="GET", path=document.path)
    document.requeue(DueReason.OPERATOR)

    assert world.reconcile().counts["review"] == 0
    assert Customer.objects(is_current=True).count() == 0


def test_a_row_from_before_404s_were_noted_is_judged_alike(world: World) -> None:
    document = made(world, "coupon")
    Coupon._get_collection().update_one({"_id": document.id}, {"$unset": {"missing_since": ""}})
    unfindable(world, document)

    world.reconcile()

    assert document.fetch_latest().status == Status.ACTIVE
    assert world.converge().exit_code == 0
    assert_in_sync(world)
