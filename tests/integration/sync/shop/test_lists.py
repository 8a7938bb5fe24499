"""Lists: every filter that is accepted, and every combination of filters, is answered by one index, in pages that hold
still; any other is refused."""

import asyncio
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.bench.lists import FILTERED, THEIRS, VALUES, T, fill, priced, row, worst
from stripe_mongo_sync.models import Customer, Price, kinds
from stripe_mongo_sync.models.lists.page import Selection, queries
from stripe_mongo_sync.models.rows.sure import sure
from tests.support import samples
from tests.support.events import event
from tests.support.mongo import our_database
from tests.support.world import World

ROWS, HAS = 600, 12  # of each kind, and of those the customer's: enough that a scan is told from an index
LISTS = ("subscription", "invoice", "order", "quote", "payment_method", "payment_intent", "charge", "refund")
NONE = ("subscription", "invoice", "order", "quote")  # what the shop of these tests has of others only


@pytest.mark.parametrize("kind", FILTERED)
def test_every_accepted_combination_of_filters_reads_an_index_and_no_more_than_it_returns(
    world: World, kind: str
) -> None:
    model = kinds()[kind]
    if kind == "order":
        Price.insert_collection().insert_many(priced())
    fill(model, ROWS, ROWS // HAS)

    combined, tried, _ = worst(model, ROWS, HAS)

    assert tried > combined > 1, "the first page, and one in the middle"


@pytest.mark.parametrize("kind", FILTERED)
def test_every_other_combination_is_refused_with_what_works(world: World, kind: str) -> None:
    model = kinds()[kind]
    leading = [name for name in VALUES if name in model.filters().fields]
    for one, other in combinations(leading, 2):
        asked = f"{one}={VALUES[one]}&{other}={VALUES[other]}"
        answer = world.http.get(f"/{model.plural().replace('_', '-')}?{asked}")
        assert answer.status_code == 422, (one, other)
        assert answer.json["errors"].keys() == {one, other}
        assert "customer" in answer.json["errors"][one]


@pytest.mark.parametrize("kind", FILTERED)
def test_pages_show_each_document_once_in_order_whatever_is_filtered(world: World, kind: str) -> None:
    model = kinds()[kind]
    rows = [row(model, number) for number in range(60)]
    for made in rows[30:50]:  # of one second
        made["stripe"]["created"], made["created_at"] = T, rows[0]["created_at"]
    for made in rows[::3]:
        made["stripe"].pop("created")  # pending, or of a type that has none
    model.insert_collection().insert_many(rows)
    given: dict[str, Any] = {"created": {"gte": 0}} if model.filters().is_dated else {"stripe_status": "other"}
    given = {"customer": THEIRS} if "customer" in model.filters().names else given
    at_once = [document.id for document in sync.find(kind, **given)]
    left: list[ObjectId] = []
    while found := list(sync.find(kind, starting_after=left[-1] if left else None, limit=7, **given)):
        left += [document.id for document in found]
    assert left == at_once
    theirs = [made for made in rows if made["is_current"]]
    if "customer" in given:
        theirs = [made for made in theirs if made["owners"] == [THEIRS]]
    elif "created" in given:
        theirs = [made for made in theirs if "created" in made["stripe"] or kind == "order"]
    else:
        theirs = [made for made in theirs if made["stripe"]["status"] == "other"]
    assert sorted(left) == sorted(made["_id"] for made in theirs)
    born = [made["stripe"].get("created", 0) for id in left for made in rows if made["_id"] == id]
    assert model.filters().born == "created_at" or born == sorted(born, reverse=True)


# --- what a shop sees ---


def told(kind: str, id: str, **fields: Any) -> bytes:
    made = {"id": id, "object": kind, "created": T, **fields}
    return event(f"{kinds()[kind].resource.event_prefixes[0]}.updated", made, T)


@pytest.fixture
def shop(world: World) -> World:
    """A customer with a payment, a refund, and a card; another one has the same."""
    for name in ("user@here.com", "other@here.com"):
        customer = sync.create_customer(name)
        card = sync.create("payment_method", type="card", card={"token": "tok_visa"})
        sync.set_payment_method(name, card.stripe_id)
        intent = sync.create(
            "payment_intent",
            amount=900,
            currency="eur",
            customer=customer.stripe_id,
            automatic_payment_methods=samples.NO_REDIRECTS,
            payment_method=card.stripe_id,
            confirm=True,
        )
        sync.create("refund", payment_intent=intent.stripe_id, amount=100)
    world.deliver()
    return world


@pytest.mark.parametrize("kind", LISTS)
def test_a_customer_has_lists_of_what_is_theirs_by_every_door(shop: World, kind: str) -> None:
    mine = sync.get("customer", "user@here.com")
    if kind in NONE:
        samples.create(kind)  # of another customer
        shop.deliver()
    else:
        assert len(list(sync.find(kind))) > 1
    name = kinds()[kind].plural()
    by_method = [document.id for document in getattr(mine, name)()]
    by_find = [document.id for document in sync.find(kind, customer=mine)]
    by_name = [document.id for document in sync.find(kind, username="USER@here.com")]
    by_path = shop.http.get(f"/customers/user@here.com/{name.replace('_', '-')}").json["data"]
    by_query = shop.http.get(f"/{name.replace('_', '-')}?customer={mine.id}").json["data"]

    assert by_method == by_find == by_name == [ObjectId(each["id"]) for each in by_path]
    assert by_path == by_query
    assert len(by_path) == (kind not in NONE)


def test_a_refund_a_charge_and_a_card_are_found_where_their_customer_is_known(shop: World) -> None:
    mine = sync.get("customer", "user@here.com")

    (charge,), (refund,), (card,) = (list(found) for found in (mine.charges(), mine.refunds(), mine.payment_methods()))
    assert charge.customer == card.customer == mine.stripe_id
    assert refund.payment_intent == charge.stripe["payment_intent"]
    (shown,) = shop.http.get("/customers/user@here.com/charges").json["data"]
    assert (shown["amount"], shown["currency"], shown["stripe_status"], shown["customer"]) == (
        900,
        "eur",
        "succeeded",
        mine.stripe_id,
    )
    sync.act(card, "detach")
    assert list(mine.payment_methods()) == []


def test_a_customer_is_found_as_an_id_and_as_an_object(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    world.deliver(
        [
            told("charge", "ch_1", customer=customer.stripe_id, amount=1),
            told("charge", "ch_2", customer={"id": customer.stripe_id, "object": "customer"}, amount=2),
            told("charge", "ch_3", amount=3),
        ]
    )

    found = list(customer.charges())

    assert sorted(each.amount for each in found) == [1, 2]
    assert {each.customer for each in found} == {customer.stripe_id}
    shown = world.http.get("/charges").json["data"]
    assert {each["amount"]: each["customer"] for each in shown} == {
        1: customer.stripe_id,
        2: customer.stripe_id,
        3: None,
    }


def test_a_customer_who_is_pending_has_nothing_yet(world: World) -> None:
    world.stripe.fault("cut_before", method="POST", times=2)
    customer = sync.create_customer("user@here.com")
    samples.create("invoice")

    assert customer.stripe_id is None
    assert list(customer.invoices()) == []
    assert world.http.get("/customers/user@here.com/invoices").json == {"data": [], "has_more": False}


@pytest.mark.parametrize("last", [*LISTS])
def test_a_path_that_ends_with_a_list_is_that_list_and_such_a_username_is_reached_by_its_id(
    world: World, last: str
) -> None:
    name = kinds()[last].plural().replace("_", "-")
    plain, odd = sync.create_customer("a"), sync.create_customer(f"a/{name}")

    assert world.http.get(f"/customers/a/{name}").json == {"data": [], "has_more": False}
    assert world.http.get(f"/customers/a%2F{name}").json == {"data": [], "has_more": False}
    assert world.http.get(f"/customers/{odd.id}").json["username"] == f"a/{name}"
    assert world.http.get(f"/customers/a/{name}/{name}").json == {"data": [], "has_more": False}
    assert world.http.get(f"/customers/{plain.id}/{name}").status_code == 200
    assert sync.get("customer", f"a/{name}").id == odd.id
    assert world.http.delete(f"/customers/a/{name}").status_code == 405, "it is a list, not a customer to delete"
    assert world.http.patch(f"/customers/a/{name}", json={"name": "B"}).status_code == 405
    assert odd.fetch_latest().status == "active"


def test_a_path_that_ends_with_an_action_is_that_action_whatever_the_method(world: World) -> None:
    odd = sync.create_customer("a/portal")

    assert world.http.get("/customers/a/portal").status_code == 405
    assert world.http.delete("/customers/a/payment_method").status_code == 405
    assert world.http.get(f"/customers/{odd.id}").json["username"] == "a/portal"
    assert world.http.get("/customers/portal").status_code == 404


def test_what_does_not_fit_is_refused_by_its_name(world: World) -> None:
    customer = sync.create_customer("user@here.com")
    refused = {
        "/products?customer=x": {"customer"},
        "/invoices?nothing=x": {"nothing"},
        "/invoices?customer=nobody": {"customer"},
        "/invoices?username=nobody": {"username"},
        f"/invoices?customer={ObjectId()}": {"customer"},
        f"/invoices?customer={customer.id}&username=user@here.com": {"username"},
        "/customers/user@here.com/invoices?customer=cus_1": {"customer"},
        "/invoices?status=odd": {"status"},
        "/orders?payment_status=odd": {"payment_status"},
        "/invoices?created=1": {"created"},
        "/invoices?created[gt]=1": {"created[gt]"},
        "/invoices?created[gte]=yesterday": {"created[gte]"},
        "/payment-links?created[gte]=1": {"created"},
        "/invoices?stripe_status=": {"stripe_status"},
        f"/prices?product={ObjectId()}": {"product"},
        "/invoices?created[gte]=1&created[gte]=2": {"created[gte]"},
    }
    for asked, names in refused.items():
        answer = world.http.get(asked)
        assert answer.status_code == 422, asked
        assert answer.json["errors"].keys() == names, asked
    assert world.http.get("/customers/nobody/invoices").status_code == 404
    assert world.http.get("/invoices?customer=cus_unknown").json == {"data": [], "has_more": False}
    for wrong in ({"customer": 7}, {"created": 7}, {"created": {"gte": datetime(2026, 1, 1)}}, {"subscription": 5}):
        with pytest.raises(sync.Invalid):
            sync.find("invoice", **wrong)


def test_a_product_is_named_by_its_document_its_id_or_stripes(world: World) -> None:
    price = samples.create("price")
    samples.create("price", "another")
    product = sync.get("product", price.product)

    for named in (product, product.id, str(product.id), product.stripe_id):
        assert [each.id for each in sync.find("price", product=named)] == [price.id]


def test_created_is_when_the_object_was_created_at_stripe(world: World) -> None:
    for number in range(5):
        world.deliver([told("charge", f"ch_{number}", created=T + number)])

    def found(**limits: Any) -> list[str]:
        return [each.stripe_id for each in sync.find("charge", created=limits)]

    assert found(gte=T + 3) == ["ch_4", "ch_3"]
    assert found(lt=T + 2) == ["ch_1", "ch_0"]
    assert found(gte=datetime.fromtimestamp(T + 1, UTC), lt=T + 3) == ["ch_2", "ch_1"]
    answer = world.http.get(f"/charges?created[gte]={T + 1}&created[lt]={T + 2}")
    assert [each["stripe_id"] for each in answer.json["data"]] == ["ch_1"]


def test_an_index_that_is_not_built_yet_is_named_and_nothing_is_scanned(world: World) -> None:
    name = "subscription_1_status_1_stripe.created_-1__id_-1"
    samples.create("invoice")
    our_database().invoices.drop_index(name)
    try:
        answer = world.http.get("/invoices?subscription=sub_1")
        assert (answer.status_code, "indexes" in answer.json["detail"]) == (503, True)
        assert world.http.get("/invoices").status_code == 200
        world.start()  # such an index stops no start
    finally:
        wanted = kinds()["invoice"].wanted(world.read.retention)
        our_database().invoices.create_indexes([each for each in wanted if each.document["name"] == name])


def test_an_event_loop_does_not_wait_for_the_lists_of_a_customer(shop: World) -> None:
    mine = sync.get("customer", "user@here.com")

    async def ids() -> list[str | None]:
        return [each.stripe_id async for each in mine.charges(stripe_status="succeeded")]

    assert asyncio.run(ids()) == [sure(each.stripe_id) for each in mine.charges()]


def test_a_selection_without_filters_reads_as_before() -> None:
    filters = Customer.filters()

    assert queries(filters, Selection(), None)[0][0][0] == {"is_current": True}
    assert queries(filters, Selection(status="deleted"), None)[0][0][0] == {"status": "deleted"}
