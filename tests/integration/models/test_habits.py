"""What users of MongoEngine do by habit, in an application of theirs, changes nothing of ours and says what to call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mongoengine
import pytest
from bson import json_util
from mongoengine import CASCADE, NULLIFY, PULL, Document, ListField, ReferenceField, StringField
from pymongo.database import Database

from stripe_mongo_sync import ReadOnly, sync
from stripe_mongo_sync.models import Customer, Event, Subscription
from tests.support import samples
from tests.support.world import World

HOST = "a_host"


class Visit(Document):
    """A document of the host's, which refers to ours by each rule of deletion."""

    meta = {"db_alias": HOST, "collection": "visits"}  # noqa: RUF012
    name = StringField()
    buyer = ReferenceField(Customer, reverse_delete_rule=CASCADE)
    before = ReferenceField(Customer, reverse_delete_rule=NULLIFY)
    friends = ListField(ReferenceField(Customer, reverse_delete_rule=PULL))


@pytest.fixture
def host(world: World, database: str) -> Iterator[Database[Any]]:
    yield mongoengine.connect(host=database, alias=HOST, uuidRepresentation="standard").get_default_database()
    Visit._meta["delete_rules"] = {}
    Visit.drop_collection()
    mongoengine.disconnect(HOST)


@contextmanager
def nothing_changes(host: Database[Any], *, but: str = "visits") -> Iterator[None]:
    before = rows(host, but)
    yield
    assert rows(host, but) == before


def rows(host: Database[Any], but: str) -> dict[str, str]:
    return {
        name: json_util.dumps(host[name].find().sort("_id")) for name in host.list_collection_names() if name != but
    }


def test_no_habit_changes_a_document(world: World, host: Database[Any]) -> None:
    customer = sync.create_customer("user@here.com", name="A")
    subscription = samples.create("subscription")
    assert isinstance(subscription, Subscription)
    world.deliver()
    stale = customer.fetch_latest()
    sync.update(customer, {"name": "B"})
    stale.phone, subscription.items[0].quantity = "1", 9
    everybody = Customer.objects(username="user@here.com")
    habits: list[Callable[[], Any]] = [
        stale.save,
        lambda: stale.reload() and stale.save(),
        lambda: stale.save(force_insert=True, validate=False),
        lambda: stale.modify(name="C"),
        lambda: stale.update(set__name="C"),
        stale.delete,
        subscription.items.save,
        lambda: Customer(username="new@here.com").save(),
        lambda: Customer.objects.create(username="new@here.com"),
        lambda: Customer.objects.insert([Customer(username="new@here.com")]),
        lambda: everybody.update(name="C"),
        lambda: everybody.update_one(name="C"),
        lambda: everybody.upsert_one(name="C"),
        lambda: everybody.modify(name="C", new=True),
        lambda: everybody.delete(),
        lambda: everybody.no_cache().update(name="C"),
        lambda: everybody.no_cache().cache().delete(),
        lambda: everybody.aggregate([{"$set": {"name": "C"}}, {"$merge": "customers"}]),
        lambda: everybody.map_reduce("function() {}", "function() {}", "customers"),
        lambda: Event.objects.first().save(),
        Event.objects.delete,
        Customer.drop_collection,
        Customer.ensure_indexes,
        lambda: Customer.create_index(["name"]),
    ]
    with nothing_changes(host):
        for habit in habits:
            with pytest.raises(ReadOnly, match="`update`"):
                habit()


def test_no_document_of_a_host_takes_ours_along(world: World, host: Database[Any]) -> None:
    ann, bob = sync.create_customer("ann@here.com"), sync.create_customer("bob@here.com")
    visit = Visit(name="1", buyer=ann, before=bob, friends=[ann, bob]).save(cascade=True)
    with nothing_changes(host):
        visit.reload()
        visit.buyer.name = "C"
        with pytest.raises(ReadOnly, match="`update`"):
            visit.save(cascade=True)
        for deletion in (ann.delete, Customer.objects.delete):
            with pytest.raises(ReadOnly, match="`update`"):
                deletion()
        assert Visit.objects(buyer=ann, before=bob, friends=[ann, bob]).count() == 1
    for rule in (NULLIFY, PULL):
        Visit._meta["delete_rules"] = {(Customer, "name"): rule}  # as if a field of ours referred to visits
        with nothing_changes(host), pytest.raises(ReadOnly, match="`update`"):
            visit.delete()


def test_what_reads_goes_on(world: World) -> None:
    customer = sync.create_customer("user@here.com", name="A")

    for asked in (Customer.objects, Customer.objects.no_cache(), Customer.objects.no_cache().cache()):
        assert [found.id for found in asked.filter(name="A").order_by("name")] == [customer.id]
        assert [found["name"] for found in asked.aggregate([{"$match": {"name": "A"}}])] == ["A"]
        assert asked.count() == 1
    assert customer.reload().name == Customer.objects.get(id=customer.id).name == "A"
