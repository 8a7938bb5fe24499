"""x."""
from typing import Any
import json
from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.sync.inbox import batch
from stripe_mongo_sync.sync.inbox.arrival import arrive
from stripe_mongo_sync.sync.inbox.inbox import receive_alone
from tests.support.shards import Questions
from tests.support.world import World


def test_x(database: str) -> None:
    ear = Questions()
    world = World(database, listeners=(ear,))
    seen = {}
    def noted(name, act):
        ear.asked.clear()
        r = act()
        seen[name] = list(ear.asked)
        return r
    ada = noted("create customer", lambda: sync.create_customer("ada@here.com"))
    own = world.webhooks()
    assert noted("creation's webhook", lambda: batch.commit([arrive(b) for b in own])) == ["applied"]
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", ada.stripe_id, name="Ada")
    first = world.webhooks()
    noted("webhook batch", lambda: batch.commit([arrive(b) for b in first]))
    print(noted("duplicate", lambda: world.deliver(first)))
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", ada.stripe_id, name="Ada K")
    print(noted("webhook alone", lambda: receive_alone(arrive(world.webhooks()[0]))))
    world.stripe.dashboard.create("customer", name="New")
    print(noted("adopt", lambda: world.deliver()))
    made = sync.create("product", name="Tea")
    price = sync.create("price", product=str(made.id), unit_amount=500, currency="eur", recurring={"interval":"month"})
    world.deliver()
    noted("create subscription", lambda: sync.create("subscription", customer=ada.stripe_id, items=[{"price": str(price.id)}], trial_period_days=7, payment_behavior="default_incomplete"))
    world.deliver()
    world.stripe.dashboard.create("customer", name="New")
    noted("username", lambda: Customer.by_username("ada@here.com"))
    noted("access", lambda: sync.access("ada@here.com", product=made.stripe_id))
    world.deliver()
    world.reconcile()
    noted("reconcile", lambda: world.reconcile())
    noted("doc by id", lambda: Customer.lookup(str(ada.id)))
    noted("update", lambda: sync.update("customer", ada.stripe_id, name="Eve"))
    for name, asked in seen.items():
        print("==", name)
        for q in asked:
            print("   ", q.collection, q.command, " | ".join(",".join(sorted(f)) for f in q.by))
    world.stop()
    assert 0
