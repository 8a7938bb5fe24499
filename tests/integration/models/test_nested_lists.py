"""A list in an object is its first ten: the rest is read on, wherever a sight of it comes from."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Invoice, InvoiceItem, Price, Subscription, SyncedDocument, kinds
from stripe_mongo_sync.models.base.resource import KINDS, shortened
from stripe_mongo_sync.sync.engine.observations import from_event, from_page, from_reply
from stripe_mongo_sync.sync.stripe.answers import Reply, api_version
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.scenes import begin
from tests.support.world import World

MANY = 12
PARTS = [(kind, name) for kind, model in kinds().items() for name in model.resource.parts]


def subscribed(count: int = MANY) -> Subscription:
    customer, product = samples.payer("many"), samples.create("product", "many")
    monthly = {"product": str(product.id), "currency": "eur", "recurring": {"interval": "month"}}
    prices = [sync.create(Price, {**monthly, "unit_amount": 100 + n})[0] for n in range(count)]
    items = [{"price": str(price.id)} for price in prices]
    document, _ = sync.create(Subscription, {"customer": str(customer.id), "items": items})
    assert isinstance(document, Subscription)
    return document


def many(world: World) -> Subscription:
    """A subscription to more than its object shows."""
    return subscribed()


def shown(world: World, document: SyncedDocument) -> list[str]:
    return [item["price"] for item in world.http.get(f"/subscriptions/{document.id}").json["items"]]


def there(world: World) -> list[str]:
    (remote,) = world.stripe.objects("subscription")
    return [item["price"]["id"] for item in remote["items"]["data"]]


def test_the_reply_to_a_creation_and_its_events_leave_all_items(world: World) -> None:
    document = begin(world, many)
    assert shown(world, document) == there(world)

    world.deliver()
    world.advance(hours=1)
    world.converge()

    assert len(shown(world, document)) == MANY
    assert shown(world, document) == there(world)
    assert_in_sync(world)


def test_an_event_about_a_cut_list_costs_a_look_and_none_is_needed_for_a_short_one(world: World) -> None:
    long, short = begin(world, many), subscribed(3)
    world.deliver()
    world.converge()
    world.advance(minutes=5)
    for document in (long, short):
        world.stripe.dashboard.update("subscription", document.stripe_id, description="new")
    before = len(world.stripe.requests)
    world.deliver()

    asked = [request.path for request in world.stripe.requests[before:]]
    assert asked == [f"/v1/subscriptions/{long.stripe_id}", "/v1/subscription_items"]
    assert (long.fetch_latest().description, short.fetch_latest().description) == ("new", "new")
    assert len(long.fetch_latest().items) == MANY


def test_a_list_that_cannot_be_read_on_now_is_read_on_when_the_event_is_drained(world: World) -> None:
    document = begin(world, many)
    world.deliver()
    world.converge()
    world.advance(minutes=5)
    world.stripe.dashboard.update("subscription", document.stripe_id, description="new")
    world.stripe.fault("503_edge", method="GET", path="/v1/subscription_items", times=None)
    assert world.deliver() == ["received"]
    assert len(document.fetch_latest().items) == MANY, "what was whole stays"
    world.stripe.clear_faults()
    world.advance(hours=1)
    world.converge()

    assert document.fetch_latest().description == "new"
    assert_in_sync(world)


def test_a_full_comparison_and_a_backfill_find_no_drift_in_what_is_cut(world: World) -> None:
    begin(world, many)
    world.deliver()
    world.advance(hours=1)
    world.reconcile(full=True)  # copies what no event told: a balance transaction
    world.advance(hours=1)

    report = world.reconcile(full=True)

    assert (report.exit_code, dict(report.counts)) == (0, {"erased": 0})
    Subscription._get_collection().delete_many({})
    assert world.reconcile(full=True).counts["adopt"] == 1
    assert len(Subscription.objects.get().items) == MANY
    assert_in_sync(world)


def test_an_update_whose_reply_was_lost_is_seen_to_be_done(world: World) -> None:
    document = begin(world, many)
    world.deliver()
    world.converge()
    ids = [item["id"] for item in document.fetch_latest().stripe["items"]["data"]]
    changed = [{"id": ids[-1], "quantity": 3}]
    world.stripe.fault("cut_after", method="POST", times=2)
    sync.update(document.fetch_latest(), {"items": changed, "proration_behavior": "none"})
    world.stripe.clear_faults()
    world.advance(hours=25)
    world.converge()

    assert document.fetch_latest().items[-1].quantity == 3
    assert_in_sync(world)


def test_what_a_creation_made_is_a_candidate_however_many_items_the_list_shows(world: World) -> None:
    world.stripe.fault("500_repair", method="POST", path="/v1/subscriptions", times=None)
    document = subscribed()
    assert document.status == "pending"
    world.stripe.repair()
    world.webhooks()
    world.advance(hours=24)

    world.reconcile()

    assert document.fetch_latest().review_reason is not None, (
        "as many as are shown are those that were sent: a person decides"
    )


@pytest.mark.parametrize(("kind", "name"), PARTS)
@pytest.mark.parametrize("sign", [{"has_more": True}, {"has_more": False, "total_count": 11}])
def test_no_sight_of_a_cut_list_is_content(kind: str, name: str, sign: dict[str, Any]) -> None:
    data = [{"id": f"x_{n}", "object": "x"} for n in range(10)]
    remote = {
        "id": "x_1",
        "object": kind,
        name: {"object": "list", "data": data, "url": "https://evil.example", **sign},
    }
    event = {"id": "evt_1", "api_version": api_version(), "created": 1, "type": "x.updated", "data": {"object": remote}}
    reply = Reply(remote, 1, 2, replayed=False, request_id="req_1")

    assert shortened(remote)[name].startswith("/v1/"), "never the address that the object gives"
    for evidence in (
        from_event(KINDS[kind], event),
        from_reply(KINDS[kind], reply),
        from_page(KINDS[kind], remote, reply),
    ):
        assert (evidence.remote, evidence.digest, evidence.fields) == (None, None, {})
    whole = {**remote, name: {"object": "list", "data": data, "has_more": False, "total_count": 10}}
    assert from_page(KINDS[kind], whole, reply).remote is not None


# --- what an invoice takes in ---


def items(count: int) -> SyncedDocument:
    customer = samples.payer("many")
    for n in range(count):
        sync.create(InvoiceItem, {"customer": str(customer.id), "amount": 100 + n, "currency": "eur"})
    return customer


def test_every_item_that_an_invoice_takes_in_or_lets_go_says_so(world: World) -> None:
    customer = items(14)
    world.deliver()
    world.converge()
    world.advance(minutes=30)
    made = world.stripe.dashboard.create(
        "invoice", customer=customer.stripe_id, pending_invoice_items_behavior="include"
    )
    world.deliver()
    world.advance(minutes=30)
    world.converge()
    assert {item.invoice for item in InvoiceItem.objects} == {made["id"]}

    world.stripe.dashboard.delete("invoice", made["id"])
    world.deliver()
    world.converge()
    assert {item.invoice for item in InvoiceItem.objects} == {None}
    assert_in_sync(world)


class Meanwhile(stripe.HTTPClient):
    """Does something once, after Stripe has changed an invoice item and before its reply is here."""

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self.inner, self.name = inner, inner.name
        self.todo: list[Callable[[], None]] = []

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        answer = self.inner.request(method, url, headers, post_data)
        if method == "post" and "/v1/invoiceitems/" in url and self.todo:
            self.todo.pop()()
        return answer

    def close(self) -> None:
        self.inner.close()


def test_an_item_is_looked_at_although_its_own_update_is_under_way_and_replies_late(database: str) -> None:
    transports: list[Meanwhile] = []
    world = World(database, around=lambda transport: transports.append(Meanwhile(transport)) or transports[-1])
    try:
        item = samples.create("invoiceitem")
        world.deliver()
        world.converge()
        world.advance(minutes=5)

        def take_in() -> None:
            world.stripe.dashboard.create("invoice", customer=item.customer, pending_invoice_items_behavior="include")
            world.deliver()

        transports[-1].todo.append(take_in)
        sync.update(item.fetch_latest(), {"description": "another"})
        world.deliver()
        world.advance(minutes=5)
        world.converge()

        assert item.fetch_latest().invoice == Invoice.objects.get().stripe_id
        assert_in_sync(world)
    finally:
        world.stop()
