"""What Stripe's lists omit: the rest of a list within an object, archived prices, objects of test clocks."""

import pytest
import stripe

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.objects.read_only import READ_ONLY

ITEMS = 12


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


@pytest.fixture
def client(emulator: Emulator) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_x", http_client=emulator.transport())


def prices(client: stripe.StripeClient, count: int) -> list[stripe.Price]:
    product = client.v1.products.create({"name": "Lamp"})
    monthly = {"product": product.id, "currency": "eur", "recurring": {"interval": "month"}}
    return [client.v1.prices.create({**monthly, "unit_amount": 100 + n}) for n in range(count)]


def subscribed(client: stripe.StripeClient, customer: str) -> stripe.Subscription:
    items = [{"price": price.id} for price in prices(client, ITEMS)]
    later = {"collection_method": "send_invoice", "days_until_due": 3}
    return client.v1.subscriptions.create({"customer": customer, "items": items, **later})


def test_a_list_within_an_object_is_its_first_ten_in_replies_lists_and_events(
    emulator: Emulator, client: stripe.StripeClient
) -> None:
    made = subscribed(client, client.v1.customers.create({}).id)
    listed = client.v1.subscriptions.list({}).data[0]
    told = next(each for each in emulator.events() if each["type"] == "customer.subscription.created")
    invoice = client.v1.invoices.list({}).data[0]

    for shown in (made["items"], listed["items"], told["data"]["object"]["items"], invoice["lines"]):
        assert (len(shown["data"]), shown["has_more"]) == (10, True)
    items = client.v1.subscription_items.list({"subscription": made.id, "limit": 100})
    lines = client.v1.invoices.line_items.list(invoice.id, {"limit": 100})
    assert [(len(whole.data), whole.has_more) for whole in (items, lines)] == [(ITEMS, False)] * 2
    assert items.data[:10] == made["items"]["data"]


def test_the_list_of_prices_leaves_out_archived_ones_unless_asked_and_inline_ones_ever(
    client: stripe.StripeClient,
) -> None:
    active, archived = prices(client, 2)
    client.v1.prices.update(archived.id, {"active": False})
    data = {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Hat"}}
    client.v1.payment_links.create({"line_items": [{"price_data": data, "quantity": 1}]})

    assert [price.id for price in client.v1.prices.list({}).data] == [active.id]
    assert [price.id for price in client.v1.prices.list({"active": False}).data] == [archived.id]


def test_the_list_of_reviews_shows_open_ones(emulator: Emulator, client: stripe.StripeClient) -> None:
    open, closed = (emulator.insert("review", open=value) for value in (True, False))

    assert [review.id for review in client.v1.reviews.list({}).data] == [open["id"]]
    assert client.v1.reviews.retrieve(closed["id"]).open is False


def test_what_is_of_a_test_clock_is_in_no_unfiltered_list_and_has_its_time(
    emulator: Emulator, client: stripe.StripeClient
) -> None:
    now = int(emulator.clock.now())
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": now + 40 * 86_400})
    customer = client.v1.customers.create({"test_clock": clock.id})
    subscription = subscribed(client, customer.id)
    created = next(each for each in emulator.events() if each["type"] == "customer.subscription.created")

    assert {customer.created, subscription.created} == {clock.frozen_time}
    assert created["created"] < now + 60
    for unfiltered in (client.v1.customers, client.v1.subscriptions, client.v1.invoices):
        assert unfiltered.list({}).data == []
    assert [each.id for each in client.v1.customers.list({"test_clock": clock.id}).data] == [customer.id]
    assert [each.id for each in client.v1.subscriptions.list({"test_clock": clock.id}).data] == [subscription.id]
    (invoice,) = client.v1.invoices.list({"customer": customer.id}).data
    assert invoice.test_clock == clock.id


def test_live_mode_makes_and_lists_no_test_clocks(emulator: Emulator) -> None:
    clocks = stripe.StripeClient("sk_live_x", http_client=emulator.transport()).v1.test_helpers.test_clocks

    with pytest.raises(stripe.InvalidRequestError, match="Test clocks can only be used in test mode"):
        clocks.create({"frozen_time": int(emulator.clock.now())})
    with pytest.raises(stripe.InvalidRequestError, match="Test clocks can only be used in test mode"):
        clocks.list()


def test_a_clock_that_advances_brings_what_is_due_and_one_that_is_deleted_takes_all_along(
    emulator: Emulator, client: stripe.StripeClient
) -> None:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": int(emulator.clock.now())})
    customer = client.v1.customers.create({"test_clock": clock.id})
    subscription = subscribed(client, customer.id)
    client.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 35 * 86_400})

    assert len(client.v1.invoices.list({"customer": customer.id}).data) == 2
    client.v1.test_helpers.test_clocks.delete(clock.id)
    assert emulator.events()[-1]["type"] == "test_helpers.test_clock.deleted"
    for gone in (customer, subscription):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.raw_request("get", f"/v1/{gone['object']}s/{gone['id']}")
        assert caught.value.http_status == 404


@pytest.mark.parametrize("row", [row for row in READ_ONLY if not row.readable], ids=lambda row: row.kind)
def test_what_is_listed_under_its_owner_is_listed_nowhere_else(row: object, client: stripe.StripeClient) -> None:
    assert row in READ_ONLY
    with pytest.raises(stripe.InvalidRequestError):
        client.raw_request("get", f"/v1/{getattr(row, 'kind', '')}s")
