"""What an operator may mean by a text: every id, a username, an address; of people only for who may see them."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.sync.errors import Unavailable
from stripe_mongo_sync.sync.operator.views.search import search
from tests.support import samples
from tests.support.world import World

NAME = "user@here.com"


def ids(text: str, *, personal: bool = True) -> list[str]:
    return [one["id"] for one in search(text, personal=personal)]


def test_every_id_of_a_document_finds_it(world: World) -> None:
    customer = sync.create_customer(NAME)

    for text in (str(customer.id), customer.stripe_id, customer.creation_key, NAME, NAME.upper()):
        assert ids(text) == [str(customer.id)], text


def test_an_object_finds_all_documents_that_had_it_and_whatever_its_kind(world: World) -> None:
    product = samples.create("product")
    other = samples.create("price")

    assert ids(product.stripe_id) == [str(product.id)]
    assert ids(other.stripe_id) == [str(other.id)]
    assert ids(str(other.id)) == [str(other.id)]


def test_without_the_scope_nobody_is_found_by_name_or_address(world: World) -> None:
    customer = sync.create_customer("ann", email="ann@here.com")

    for text in ("ann", "ann@here.com"):
        assert ids(text) == [str(customer.id)]
        assert ids(text, personal=False) == []
    assert ids(customer.stripe_id, personal=False) == [str(customer.id)]


def test_an_address_finds_deleted_customers_too_and_each_once(world: World) -> None:
    one = sync.create_customer("ann@here.com")
    sync.delete(one)
    two = sync.create_customer("ann@here.com")

    assert sorted(ids("ann@here.com")) == sorted([str(one.id), str(two.id)])


def test_while_the_index_is_missing_nothing_is_scanned(world: World) -> None:
    rows = Customer._get_collection()
    rows.drop_index("email_1")
    try:
        with pytest.raises(Unavailable, match="stripe-mongo-sync indexes"):
            search("nobody@here.com", personal=True)
    finally:
        rows.create_indexes([index for index in Customer.indexes if index.document["name"] == "email_1"])
