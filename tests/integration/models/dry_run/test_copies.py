"""A collection in a dry run: it answers as MongoDB would after the same writes, and MongoDB has none of them."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, State, Status
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.dry_run.run import NotRehearsed, NotSent, dry_run, rehearsed
from stripe_mongo_sync.models.rows.marked import Marked
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.stripe.answers import Unknown
from tests.support.answers import everything, untouched
from tests.support.world import World

AFTER = ReturnDocument.AFTER


def rows() -> Marked:
    return State.own_rows()


def set_to(number: int, **more: Any) -> list[dict[str, Any]]:
    return [{"$set": {"value": {"number": number, **more}}}]


def ids(found: Any) -> list[Any]:
    return [row["_id"] for row in found]


STEPS: dict[str, Callable[[], Any]] = {
    "insert": lambda: rows().find_one_and_update({"_id": "d"}, set_to(4), upsert=True, return_document=AFTER),
    "insert by a longer query": lambda: rows().find_one_and_update(
        {"$and": [{"_id": "e", "value": {"$exists": False}}]}, set_to(5), upsert=True
    ),
    "change": lambda: rows().find_one_and_update({"_id": "a"}, set_to(9), return_document=AFTER),
    "change the greatest": lambda: rows().find_one_and_update({}, set_to(0), sort=[("value.number", -1)]),
    "change nothing": lambda: rows().find_one_and_update({"_id": "nobody"}, set_to(1)),
    "change one": lambda: rows().update_one({"_id": "b"}, set_to(7)).matched_count,
    "change some": lambda: rows().update_many({"value.number": {"$gt": 3}}, set_to(2, many=True)).matched_count,
    "delete": lambda: rows().find_one_and_delete({"_id": "c"}),
    "delete one": lambda: rows().delete_one({"_id": "b"}).deleted_count,
    "find": lambda: list(rows().find({"value.number": {"$lt": 9}}, {"value": 1}).sort("_id", -1)),
    "find some": lambda: ids(rows().find({}, sort=[("_id", 1)]).skip(1).limit(2)),
    "find one": lambda: rows().find_one({"_id": "d"}, ["value"]),
    "find one by its id": lambda: rows().find_one({"_id": "a"}),
    "the second": lambda: rows().find({}).sort([("_id", 1)])[1]["_id"],
    "count": lambda: rows().count_documents({}),
    "distinct": lambda: sorted(rows().distinct("value.number")),
    "distinct of a query": lambda: sorted(rows().find({"value.many": True}).distinct("value.number")),
    "aggregate": lambda: list(rows().aggregate([{"$group": {"_id": None, "sum": {"$sum": "$value.number"}}}])),
    "as documents": lambda: [row.value for row in State.objects(id__in=["a", "d"]).order_by("id")],
    "the first document": lambda: State.objects.order_by("-id").first().id,
    "delete all": lambda: rows().delete_many({"value.many": True}).deleted_count,
    "count again": lambda: State.objects.count(),
}


def test_each_write_and_read_answers_as_if_it_were_meant(world: World) -> None:
    State._get_collection().delete_many({})
    for number, id in enumerate("abc", 1):
        State.write(id, {"number": number})
    rows().update_many({}, [{"$unset": "at"}])  # each writes another time

    with untouched(world), rehearsed():
        dry = {name: step() for name, step in STEPS.items()}

    assert dry == {name: step() for name, step in STEPS.items()}


def test_a_unique_value_that_is_taken_is_refused(world: World) -> None:
    first, second = sync.create_customer("one"), sync.create_customer("two")

    with untouched(world), rehearsed():
        with pytest.raises(DuplicateKeyError):
            second.update_if_unchanged(stripe_id=first.stripe_id)
        with pytest.raises(DuplicateKeyError):
            Customer.insert_tombstone(first.id, {"type": "x", "code": None, "message": "x"})
        assert second.update_if_unchanged(stripe_id="cus_new") is not None
        assert Customer.by_stripe_id("cus_new") == second
        assert second.update_if_unchanged(stripe_id="cus_newer") is None, "another change came first"


def test_a_value_that_was_free_while_its_row_was_not_current_is_refused_again(world: World) -> None:
    first = sync.create_customer("one")
    assert sync.delete(first).status == Status.DELETED
    sync.create_customer("one")

    with untouched(world), rehearsed(), pytest.raises(DuplicateKeyError):
        first.fetch_latest().update_if_unchanged(status=Status.ACTIVE)


def test_a_write_that_cannot_be_evaluated_is_refused(world: World) -> None:
    for write in (
        lambda: rows().insert_one({"_id": "x"}),
        lambda: rows().insert_many([{"_id": "x"}]),
        lambda: rows().replace_one({"_id": "x"}, {}),
        lambda: rows().find_one_and_replace({"_id": "x"}, {}),
        lambda: rows().bulk_write([]),
        lambda: State.note("x", {}),
        lambda: Customer.restore("x", {}, {}),
    ):
        with untouched(world), rehearsed(), pytest.raises(NotRehearsed):
            write()


def test_it_ends_where_something_would_be_sent(world: World) -> None:
    call, reached = Call("/v1/customers", {"name": "x"}, key="k"), []

    with untouched(world), rehearsed() as run:
        current().gateway.write(call, lambda remote: None)
        reached.append("the answer")

    assert (run.calls, reached, dry_run()) == ([call], [], None)
    assert not issubclass(NotSent, Exception), "what isolates a failure must not go on"
    assert isinstance(current().gateway.write(call, lambda remote: None), Unknown), "without a deadline, not sent"


def test_a_collection_that_does_not_exist_is_not_created(world: World) -> None:
    before = everything(world).keys()

    with rehearsed():
        Customer.insert_tombstone(ObjectId(), {"type": "x", "code": None, "message": "x"})

    assert everything(world).keys() == before
