"""Who made an object is asked of the inbox before Stripe: what another installation made is known for ever."""

import json
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Coupon, Customer, Event, Status, kinds, present_kinds
from stripe_mongo_sync.models.event_body import NO_KEY, OTHERS_KEY, creation_key
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.keys import IdempotencyKey
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.models.state import CHECKPOINT, MIGRATIONS, State
from stripe_mongo_sync.sync.engine.find import Creations
from stripe_mongo_sync.sync.errors import CannotReadStripe
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs.migrations import migrate
from stripe_mongo_sync.sync.runs.progress import no_progress
from tests.support import samples
from tests.support.events import event
from tests.support.mongo import our_database
from tests.support.world import SECRET, URL, World

CREATED = sorted(kind for kind, model in kinds().items() if model.resource.path and not model.resource.mirrored)
CREATION = [kind for kind in CREATED if kinds()[kind].resource.has_created_event]
UNTOLD = ("checkout.session", "shipping_rate")  # no event of Stripe's ever names the call that made one
TOLD = [kind for kind in CREATED if kind not in UNTOLD]
WAYS = [
    ("webhook", "snapshot"),
    ("list", "thin"),
    ("comparison", "snapshot"),
    ("nothing", "snapshot"),
    ("nothing", "thin"),
]


# --- what another installation made ---


def reads(world: World) -> list[str]:
    """What was asked of Stripe about objects that we could have made, and about who made them."""
    asked = [request for request in world.stripe.requests if request.method == "GET"]
    paths = tuple(f"{kinds()[kind].resource.path}/" for kind in CREATED)
    return [
        one.path for one in asked if one.path.startswith(paths) or (one.path == "/v1/events" and "types" in one.params)
    ]


def expire(world: World) -> None:
    """Delete what MongoDB would have deleted by now: its own clock is not the world's."""
    old = clock.now() - world.read.retention
    our_database().stripe_events.delete_many({"finished_at": {"$lt": old}, "notices": None})


def changed(kind: str, text: str) -> dict[str, Any]:
    """A harmless change; a meter has no metadata."""
    return {"display_name": text} if kind == "billing.meter" else {"metadata": {"number": text}}


def theirs(world: World, made: list[str]) -> None:
    """Let another installation make an object of each of these kinds, and what it needs."""
    for kind in made:
        samples.ready(kind, "detach") if kind == "payment_method" else samples.create(kind, kind.replace("_", "-"))
    for model in (*having(present_kinds().values(), {}), Event):
        model._get_collection().delete_many({})
    State.renew_installation()
    world.start()


def key_of(world: World, kind: str = "customer") -> dict[str, Any]:
    """The request of an event that another installation caused."""
    theirs = IdempotencyKey.generate("0therInsta11", kind, ObjectId(), "create")
    return {"id": "req_1", "idempotency_key": str(theirs)}


@pytest.mark.parametrize(("way", "style"), WAYS)
def test_what_another_installation_made_costs_two_reads_and_is_never_adopted(
    world: World, way: str, style: str
) -> None:
    """Its creation came by a webhook, or in Stripe's list; or a comparison found it; or only what changed it comes."""
    if style == "thin":
        world.stripe.endpoint(URL, payload="thin", secret=SECRET)
        world.stripe.endpoint(URL, enabled_events=["none"])
    made, begin = CREATION if way in ("comparison", "nothing") else TOLD, int(world.stripe.clock.now())
    theirs(world, made)
    told = world.webhooks()
    if way == "webhook":
        world.deliver(told)
    world.advance(hours=1)
    if way != "comparison":
        State.write(CHECKPOINT, {"read_at": begin if way == "list" else int(world.stripe.clock.now()), "newest": None})
    world.reconcile()
    before = len(reads(world))
    usable = {kind: [*filter(kinds()[kind].resource.is_usable, world.stripe.objects(kind))] for kind in made}
    usable.pop("customer_balance_transaction", None)  # no event tells of its changes
    if way == "nothing":  # nor of a quote's, so that nothing is known of it when it expires a month later
        usable.pop("quote", None)
    objects = [(kind, remote["id"]) for kind, found in usable.items() for remote in found[-1:]]

    for number in range(10):
        for kind, id in objects:
            world.stripe.automation.update(kind, id, **changed(kind, str(number)))
        world.deliver()
        if number % 5 == 4:
            world.advance(minutes=20)
            world.reconcile()

    assert [id for kind, id in objects if kinds()[kind].by_stripe_id(id)] == []
    assert Event.objects(state__in=["waiting", "received", "dead"]).count() == 0
    assert len(reads(world)) - before <= (2 * len(objects) if way == "nothing" else 0)

    for _ in range(4):
        world.advance(days=16)
        world.reconcile()
        expire(world)
    for kind, id in objects:
        if kind not in ("subscription_schedule", "quote"):  # it is completed or canceled since, and takes no change
            world.stripe.automation.update(kind, id, **changed(kind, "last"))
    world.deliver()
    world.advance(minutes=20)
    world.reconcile(full=way != "nothing")  # of what no event ever told, nothing can be known after a month

    assert [id for kind, id in objects if kinds()[kind].by_stripe_id(id)] == []


def told(world: World, type: str, remote: dict[str, Any], **more: Any) -> bytes:
    return event(type, remote, int(world.stripe.clock.now()), **more)


@pytest.mark.parametrize("erased", [False, True], ids=["", "erased"])
def test_of_what_another_installation_made_only_ids_and_its_key_are_kept(world: World, erased: bool) -> None:
    world.reconcile()
    customer = sync.create_customer("user@here.com")
    world.webhooks()
    intent = {"id": "pi_1TheirsA7", "object": "payment_intent", "description": "Zenobia"}
    request = key_of(world, "payment_intent")
    if erased:
        intent["customer"] = customer.stripe_id
        erase("user@here.com")

    assert world.deliver([told(world, "payment_intent.created", intent, request=request)]) == ["ignored"]

    row = our_database().stripe_events.find_one({"object_id": intent["id"]})
    assert (row["creation_key"], row["finished_at"]) == (request["idempotency_key"], None), "it never expires"
    assert "Zenobia" not in str(row)
    assert json.loads(row["raw"])["data"]["object"]["id"] == intent["id"]
    for _ in range(3):
        world.advance(hours=1)
        world.reconcile()
    assert our_database().stripe_events.find_one({"object_id": intent["id"]})["creation_key"] == row["creation_key"]


def test_once_it_is_deleted_it_may_be_forgotten(world: World) -> None:
    world.reconcile()
    actor = world.stripe.actor(request=key_of(world, "coupon"))
    coupon = actor.create("coupon", percent_off=10, duration="once", id="SUMMER")
    world.deliver()
    world.stripe.dashboard.delete("coupon", coupon["id"])
    world.deliver()
    assert Event.objects(finished_at=None).count() == 0

    world.stripe.dashboard.create("coupon", percent_off=20, duration="once", id="SUMMER")
    assert world.deliver() == ["applied"], "another object has the id now"
    world.advance(minutes=20)
    world.stripe.dashboard.update("coupon", "SUMMER", name="Summer")
    assert world.deliver() == ["applied"]
    assert Coupon.objects(is_current=True).get().name == "Summer"


def test_a_chosen_id_that_was_an_object_of_theirs_may_be_anybodys_now(world: World) -> None:
    """Nobody heard of the creation of the second object."""
    world.reconcile()
    actor = world.stripe.actor(request=key_of(world, "coupon"))
    actor.create("coupon", percent_off=10, duration="once", id="SUMMER")
    world.deliver()
    world.advance(hours=1)
    world.stripe.dashboard.delete("coupon", "SUMMER")
    world.stripe.dashboard.create("coupon", percent_off=20, duration="once", id="SUMMER")
    world.webhooks()
    world.advance(hours=1)
    State.write(CHECKPOINT, {"read_at": int(world.stripe.clock.now()), "newest": None})
    world.stripe.dashboard.update("coupon", "SUMMER", name="Summer")

    world.deliver()
    world.advance(minutes=20)
    world.reconcile()

    assert [coupon.percent_off for coupon in Coupon.objects] == [20]


def test_without_adoption_it_is_remembered_too(world: World) -> None:
    world.reconcile()
    world.settings["ADOPT"] = "no"
    world.start()
    theirs = world.stripe.actor(request=key_of(world)).create("customer", name="Theirs")
    world.deliver()
    world.settings.clear()
    world.start()
    for _ in range(4):
        world.advance(days=16)
        world.reconcile()
        expire(world)
    world.stripe.automation.update("customer", theirs["id"], name="Still theirs")

    assert world.deliver() == ["ignored"]
    world.reconcile(full=True)
    assert Customer.objects.count() == 0


KEYS = {
    "of another program": ("customer.created", "order-1 of ann@here.com", OTHERS_KEY),
    "none": ("customer.created", None, NO_KEY),
    "no text": ("customer.created", {"$where": 1}, NO_KEY),
    "ours": ("customer.created", f"sms1:a:customer:{'0' * 24}:create:1", f"sms1:a:customer:{'0' * 24}:create:1"),
    "of a change": ("customer.updated", f"sms1:a:customer:{'0' * 24}:update:1", None),
}


@pytest.mark.parametrize(("type", "key", "kept"), KEYS.values(), ids=KEYS)
def test_a_row_keeps_the_key_of_a_creation_and_no_text_of_another_program(
    world: World, type: str, key: Any, kept: str | None
) -> None:
    shown = {"id": "cus_1", "object": "customer"}
    raw = told(world, type, shown, request={"id": None, "idempotency_key": key})

    world.deliver([raw])

    assert our_database().stripe_events.find_one()["creation_key"] == kept == creation_key(json.loads(raw))


def test_a_row_of_another_mode_or_account_says_nothing_of_ours(world: World) -> None:
    """A coupon of the other mode may have the same id."""
    world.reconcile()
    shown = {"id": "SUMMER", "object": "coupon"}
    for more in ({"livemode": True}, {"account": "acct_1Other"}):
        world.deliver([told(world, "coupon.created", shown, request=key_of(world, "coupon"), **more)])

    assert {row["creation_key"] for row in our_database().stripe_events.find()} == {None}


def test_rows_of_an_older_version_learn_who_made_their_objects(world: World) -> None:
    world.reconcile()
    theirs = world.stripe.actor(request=key_of(world)).create("customer", name="Theirs")
    world.stripe.dashboard.create("customer", name="Somebody")
    ours = sync.create_customer("user@here.com")
    world.deliver()
    rows = our_database().stripe_events
    for row in rows.find():
        old = {"raw": b"{}", "finished_at": row["received_at"]} if row["creation_key"] else {}
        rows.update_one({"_id": row["_id"]}, {"$unset": {"creation_key": 1, "waits_for": 1}, "$set": old})
    for told in world.stripe.events():
        rows.update_one({"_id": told["id"]}, {"$set": {"raw": json.dumps(told).encode()}})
    State.clear(MIGRATIONS)

    migrate(no_progress)

    found = {row["object_id"]: row for row in rows.find({"type": "customer.created"})}
    assert found[theirs["id"]]["finished_at"] is None
    assert b"Theirs" not in found[theirs["id"]]["raw"]
    assert IdempotencyKey.parse(found[theirs["id"]]["creation_key"]).installation == "0therInsta11"
    assert found[ours.stripe_id]["creation_key"] == ours.creation_key
    assert sorted(row["creation_key"] for row in found.values())[0] == NO_KEY
    assert all(row["finished_at"] for id, row in found.items() if id != theirs["id"])


def test_before_they_have_learned_it_stripe_is_asked(world: World) -> None:
    world.reconcile()
    theirs = world.stripe.actor(request=key_of(world)).create("customer", name="Theirs")
    world.deliver()
    our_database().stripe_events.update_many({}, {"$unset": {"creation_key": 1, "waits_for": 1}})
    before = len(reads(world))
    for number in range(10):
        world.stripe.automation.update("customer", theirs["id"], name=f"Theirs {number}")
        world.deliver()
        world.advance(minutes=20)
        world.reconcile()

    assert Customer.objects.count() == 0
    assert len(reads(world)) - before <= 2, "and it is known then"


# --- which object a key made ---


def lost_reply(world: World) -> Customer:
    """Leave a customer in doubt whose object Stripe has, so long that its key cannot be sent again."""
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", path="/v1/customers", times=2)
    customer = sync.create_customer("user@here.com", name="A Name")
    assert customer.status == Status.PENDING
    return customer


def test_the_object_of_a_lost_reply_is_found_without_a_read(world: World) -> None:
    """As after a restored backup: the event was applied once, to a document that is back as it was before."""
    customer = lost_reply(world)
    before = our_database().customers.find_one({"_id": customer.id})
    world.deliver()
    our_database().customers.replace_one({"_id": customer.id}, before)
    world.advance(hours=30)
    asked = len(reads(world))

    world.reconcile()

    assert customer.fetch_latest().stripe_id == world.stripe.objects("customer")[0]["id"]
    assert "/v1/events" not in reads(world)[asked:]


def test_what_no_row_knows_is_found_in_stripes_events(world: World) -> None:
    customer = lost_reply(world)
    (made,) = world.stripe.objects("customer")
    world.webhooks()
    world.stripe.dashboard.update("customer", made["id"], name="Another Name")  # so that it resembles nothing
    world.webhooks()
    world.advance(hours=30)
    State.write(CHECKPOINT, {"read_at": int(world.stripe.clock.now()), "newest": None})

    world.reconcile()

    assert (customer.fetch_latest().stripe_id, customer.fetch_latest().status) == (made["id"], Status.ACTIVE)


def test_a_list_of_events_that_breaks_off_is_read_again_from_its_beginning(world: World) -> None:
    """What was not read to its end tells of nobody."""
    shown = world.stripe.actor(request=key_of(world)).create("customer", name="Theirs")
    for _ in range(150):
        world.stripe.dashboard.create("customer")
    now, creations = int(world.stripe.clock.now()), Creations(Customer)
    world.stripe.fault("503_edge", match="GET /v1/events*", times=1, skip=1)

    with pytest.raises(CannotReadStripe):
        creations.of([shown], now)

    assert creations.of([shown], now)[shown["id"]].is_theirs
