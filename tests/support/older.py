"""A shop as version 0.2 left it: `arrange` lives it, `dump` writes both of its sides to a file, `restore` reads it.

The file beside this one was written by the code of c28d401, the last commit before the fields got new names: this file
was copied into a checkout of it, and `python -m pytest -q tests/support/older.py` was run there. Its rows are never
changed: what they are called in MongoDB is the point of them.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import json_util
from pymongo import IndexModel, MongoClient

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.models import Coupon, Customer, Delivery, Event, Product, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.notices import deliver
from stripe_mongo_sync.sync.personal.erase import erase
from tests.support import samples
from tests.support.mongo import our_database
from tests.support.world import World

SHOP = Path(__file__).with_name("older.json")
OPTIONS = json_util.JSONOptions(tz_aware=True, tzinfo=UTC)


def arrange(world: World) -> None:
    """Have documents, events, deliveries and an erasure in every state that they may be in for longer."""
    deaf = []
    sync.on("customer.active", "customer.deleted", "stripe:product.created")(lambda notice: deaf.append(notice.id))
    for name in ("ada", "bob", "eve", "zed"):
        key = {"Idempotency-Key": f"key of {name}"}
        world.http.post("/customers", json={"username": f"{name}@here.com"}, headers=key)
    sync.create_customer("gone@here.com")
    sync.delete(Customer.by_username("gone@here.com"))
    lamp, _ = sync.create(Product, {"name": "Lamp"})
    world.deliver()
    _buy(world)
    _deliver_to_hooks()
    world.reconcile()
    world.advance(hours=1)
    _leave_unfinished(world, lamp)


def _buy(world: World) -> None:
    """Pay for one order, and leave another in the cart; have a payment, a refund, a subscription and an invoice."""
    items = samples.items("lamp")
    paid = sync.create_order("ada@here.com", items, "checkout", success_url="https://shop.example/thanks")
    world.stripe.pay_session(paid.checkout_session or "", "pm_card_visa", "ada@here.com")
    sync.create_order("bob@here.com", items, "payment_intent")
    pay = {"amount": 2000, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    once = {"customer": "bob@here.com", "automatic_payment_methods": samples.NO_REDIRECTS, **pay}
    bought, _ = sync.create(kinds()["payment_intent"], once)
    sync.create(kinds()["refund"], {"payment_intent": str(bought.id), "amount": 500})
    plan = {**samples.body("price", "plan"), "recurring": {"interval": "month"}}
    price, _ = sync.create(kinds()["price"], plan)
    sync.set_payment_method("ada@here.com", str(samples.create("payment_method").id))
    sync.create(kinds()["subscription"], {"customer": "ada@here.com", "items": [{"price": str(price.id)}]})
    world.stripe.dashboard.create("customer", email="walkin@here.com")
    world.deliver()


def _deliver_to_hooks() -> None:
    """Have one delivery done, one dead, and one to be tried again."""
    deliver.deliver()
    for row, how in zip(Delivery.objects.order_by("id"), ("done", "dead", "failed"), strict=False):
        again = row.replay()
        claimed = again and again.claim_attempt(timedelta(minutes=2))
        assert claimed is not None
        if how == "dead":
            claimed.mark_dead("the hook was wrong")
        if how == "failed":
            claimed.fail("the hook was away", timedelta(hours=2))


def _leave_unfinished(world: World, lamp: Any) -> None:
    """Have what is pending, in doubt, in review, refused, due and erased, and events that are open."""
    erase("eve@here.com")
    world.stripe.fault("decline", method="POST")
    with suppress(sync.Refused):
        sync.create(kinds()["payment_intent"], {"amount": 100, "currency": "eur", "customer": "zed@here.com"})
    world.stripe.fault("cut_after", method="POST", times=2)
    sync.create_customer("unheard@here.com")  # made, and nobody here knows
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.update(lamp.fetch_latest(), {"name": "Better Lamp"})  # to be sent again
    world.stripe.fault("cut_before", method="POST", times=2)
    coupon, _ = sync.create(Coupon, {"id": "HALF", "percent_off": 50, "duration": "once"})
    coupon.send_to_review("an operator must look")
    twice = sync.create_customer("late@here.com")
    late = world.stripe.dashboard.create("customer", email="late@here.com")["id"]
    due = {"orphans": [late], "lease": clock.now()}  # an object of its key that Stripe made late
    twice._get_collection().update_one({"_id": twice.id}, {"$set": due, "$inc": {"revision": 1}})
    world.webhooks()  # which never arrive
    waiting = world.stripe.dashboard.create("customer", email="strange@here.com")
    for delivery in world.webhooks():
        row = json.loads(delivery)
        Event.record(row, delivery, "waiting" if row["data"]["object"]["id"] == waiting["id"] else "dead", "an example")
    Event.record({**row, "id": "evt_received"}, delivery, "received", "an example")


def dump(world: World, path: Path) -> None:
    """Write all rows of MongoDB with their indexes, all of Stripe's, and the time: one row in a line."""
    database, stripe = our_database(), world.stripe.engine.store
    told: list[tuple[str, str, Any]] = [("at", "", clock.now())]
    for name in sorted(database.list_collection_names()):
        rows = list(database[name].find().sort("_id"))
        indexes = database[name].index_information() if rows else {}
        told += [("index", name, {"name": key, **index}) for key, index in sorted(indexes.items()) if key != "_id_"]
        told += [("row", name, row) for row in rows]
    kept = [name for name in stripe.names() if name != "sent"]  # what was delivered is in MongoDB
    told += [("stripe", name, {"_id": id, **row}) for name in kept for id, row in stripe.table(name).items()]
    path.write_text("".join(f"{json_util.dumps(each)}\n" for each in told))


def restore(address: str, path: Path = SHOP, only: Collection[str] = ()) -> Emulator:
    """Bring MongoDB, or only these collections, to what the file says, and our time to then; return its Stripe."""
    stripe, told = Emulator(), [json_util.loads(line, json_options=OPTIONS) for line in path.read_text().splitlines()]
    rows, indexes = defaultdict(list), defaultdict(list)
    for what, name, row in told:
        if what == "row":
            rows[name].append(row)
        elif what == "index":
            index = {key: value for key, value in row.items() if key not in ("v", "key")}
            indexes[name].append(IndexModel([tuple(each) for each in row["key"]], **index))
        elif what == "stripe":
            id = row.pop("_id")
            stripe.engine.store.put(name, id, row)
        else:
            clock.TEST_OFFSET = row - datetime.now(UTC)
            stripe.clock.advance(row.timestamp() - stripe.clock.now())
    with MongoClient[Any](address) as client:
        database = client.get_default_database()
        for name, found in rows.items() if not only else ((name, rows[name]) for name in only):
            database[name].create_indexes(indexes[name] or [IndexModel("_id")])
            database[name].insert_many(found)
    return stripe


def test_it_is_written(world: World) -> None:
    """Write the file. It is collected only where this file is named, in a checkout of that version."""
    arrange(world)
    dump(world, SHOP)
