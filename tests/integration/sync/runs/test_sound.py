"""What was edited by hand in MongoDB such that a row could not be read or changed, or nobody would return to it."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Order
from stripe_mongo_sync.models.username import fold, folded_before
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

Json = dict[str, Any]
UNSET = object()
SOON, PAST = datetime(2054, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
SENT = {"verb": "zap", "path": "/v1/x", "key": "k", "params": {}, "staged_at": PAST}
EDITS: list[Json] = [
    *({"revision": value} for value in (UNSET, None, "x", 0, 1.5, [1])),
    *({name: value} for name in ("leased_until", "due_at") for value in (SOON, "text", 7)),
    *({"operation": value} for value in ("text", 7, [], {}, {"verb": "update"}, SENT, {"_cls": "X"})),
    *({"finished_at": value} for value in (SOON, "text")),  # a past date would let MongoDB delete the row meanwhile
    *({"orphans": value} for value in (UNSET, None, "text", [7], {"0": "x"})),
    *({"undone_orphans": value} for value in (UNSET, "text", [7])),
    *({name: value} for name in ("error", "undoing", "request") for value in ("text", [{}])),
    *({"address": "text"}, {"shipping": {"address": "text"}}, {"invoice_settings": [{}]}, {"notices": "text"}),
    *(
        {name: 7}
        for name in (
            "creation_key",
            "review_reason",
            "status_changed_by",
            "missing_since",
            "created_at",
            "updated_at",
            "confirmed_at",
        )
    ),
    *({name: "text"} for name in ("in_doubt", "snapshot_earliest", "snapshot_latest", "links_seen_at", "created_at")),
    *({"username_key": value} for value in (UNSET, None, "zz", 7, [])),
    *({"username": value} for value in (UNSET, None, 7, "")),
    {"revision": "x", "due_at": SOON, "operation": "text", "name": "Quux", "username_key": "zy"},
]


def edit(model: Any, id: Any, changes: Json) -> None:
    gone = {name: "" for name, value in changes.items() if value is UNSET}
    new = {name: value for name, value in changes.items() if value is not UNSET}
    model._get_collection().update_one({"_id": id}, {"$unset": gone, "$set": {**new, "edited": True}})


def told(report: Any) -> Any:
    return report.counts["edited"], report.counts["failed"], report.exit_code


def test_whatever_is_wrong_with_a_row_of_ours_is_named_and_restored_in_one_run(world: World, caplog: Any) -> None:
    names = [f"User{number}@here.com" for number in range(len(EDITS) + 1)]
    ids = [sync.create_customer(name, name=name).id for name in names]
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    for id, changes in zip(ids, EDITS, strict=False):
        edit(Customer, id, changes)
    own = Customer.objects(id=ids[-1]).get()
    edit(Customer, own.id, {"orphans": [own.stripe_id]})
    before = [*Customer._get_collection().find()]

    dry = world.reconcile(full=True, dry=True)
    assert (dry.counts["edited"], dry.exit_code) == (len(ids), 1)
    assert [*Customer._get_collection().find()] == before
    caplog.clear()
    assert told(world.reconcile(full=True)) == (len(ids), 0, 0)
    for id, changes in zip(ids, EDITS, strict=False):
        lines = " ".join(record.getMessage() for record in caplog.records if str(id) in record.getMessage())
        assert all(name in lines for name in changes), (changes, lines)

    assert told(world.reconcile(full=True)) == (0, 0, 0)
    for name, id in zip(names, ids, strict=True):
        found = sync.get("customer", name)
        assert (found.id, found.name, fold(found.username)) == (id, name, fold(name))
        assert sync.update(found, {"name": "Other"}).operation is None
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    assert len(world.stripe.objects("customer")) == len(ids)
    assert_in_sync(world)


ORDERS: list[Json] = [
    {"stripe": {"id": "cs_1"}},
    {"digest": "text"},
    {"stripe_id": "cs_1"},
    *({"payment_status": value} for value in ("nonsense", None, 7)),
    *({"payment": value} for value in ("nonsense", UNSET, "payment_intent")),
    *({"payment_id": value} for value in (None, ObjectId(), "text")),
    *({name: value} for name in ("operation", "error", "undoing") for value in ("text", [])),
    *({"operation": {}}, {"operation": SENT}, {"error": {"type": 7}}, {"revision": UNSET}, {"due_at": SOON}),
    *({"disputes": value} for value in ("text", [7], [{}])),
    *({"amount_refunded": "text"}, {"amount_lost": "text"}, {"items": ["text"]}, {"finished_at": SOON}),
    {"payment": "payment_intent", "payment_id": None, "operation": "text", "payment_status": "nonsense"},
]


def test_an_order_follows_its_payment_again_whatever_of_it_was_edited(world: World) -> None:
    orders = [samples.create("order", f"n{number}") for number in range(len(ORDERS))]
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    for order, changes in zip(orders, ORDERS, strict=True):
        edit(Order, order.id, changes)

    assert told(world.reconcile(full=True)) == (len(ORDERS), 0, 0)
    assert told(world.reconcile(full=True)) == (0, 0, 0)
    for order, changes in zip(orders, ORDERS, strict=True):
        found = order.fetch_latest()
        shown = ("payment", "payment_id", "payment_status", "amount_total", "checkout_session", "url", "review_reason")
        assert {n: getattr(found, n) for n in shown} == {n: getattr(order, n) for n in shown}, changes
    assert_in_sync(world)


def test_an_order_whose_payment_cannot_be_found_again_is_reviewed_once(world: World) -> None:
    order = samples.create("order")
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    edit(Order, order.id, {"payment_id": None, "checkout_session": None, "payment_intent": None})

    assert told(world.reconcile(full=True)) == (1, 0, 1)
    reason = order.fetch_latest().review_reason
    assert "edited in MongoDB" in reason
    assert told(world.reconcile(full=True)) == (0, 0, 1)
    edit(Order, order.id, {"payment_id": order.payment_id})
    assert told(world.reconcile(full=True))[2] == 0


def test_a_key_that_an_older_version_wrote_is_no_edit_and_one_that_another_has_is_reviewed_once(world: World) -> None:
    old, other = sync.create_customer("a  b"), sync.create_customer("c@here.com")
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    edit(Customer, old.id, {"username_key": folded_before("a  b")})
    assert told(world.reconcile(full=True)) == (0, 0, 0)
    edit(Customer, old.id, {"username": other.username, "username_key": "a b"})

    assert told(world.reconcile(full=True)) == (1, 0, 1)
    assert "edited in MongoDB" in old.fetch_latest().review_reason
    assert told(world.reconcile(full=True)) == (0, 0, 1)
    assert sync.get("customer", "c@here.com").id == other.id


def test_a_row_of_others_is_not_restored(world: World) -> None:
    for name in ("a@here.com", "b@here.com"):
        sync.create_customer(name)
    theirs = {"_id": ObjectId(), "revision": "abc", "orphans": "text", "due_at": SOON, "operation": 7}
    Customer._get_collection().insert_one(dict(theirs))

    world.reconcile(full=True)

    assert Customer._get_collection().find_one({"_id": theirs["_id"]}) == theirs
