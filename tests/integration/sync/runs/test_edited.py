"""What was edited by hand in MongoDB: a full comparison names it, without its values, and puts it right."""

import json
from typing import Any

import pytest
import stripe
from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField
from pymongo.monitoring import CommandListener

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, PaymentIntent, created_kinds, kinds, present_kinds
from stripe_mongo_sync.models.rows.content import content
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.shop.erase import erase
from tests.contract import mirrored_samples
from tests.support import person, samples
from tests.support.events import event
from tests.support.in_sync import assert_in_sync
from tests.support.scenes import begin
from tests.support.stock import stock
from tests.support.world import KEY, World

Json = dict[str, Any]
Rows = dict[tuple[str, Any], Json]
COUNTED = ("revision", "updated_at", "seen_at", "doubt_until", "links_seen_at", "confirmed_at", "moved_by", "notices")
LINKS = ("hosted_invoice_url", "invoice_pdf")
WRONG = "Zenobia Quux"


def fill(world: World) -> None:
    """Let there be documents of every kind and origin: created, changed, acted on, told of, listed, read again."""
    client = stripe.StripeClient(KEY, http_client=world.stripe.transport())
    mirrored_samples.tell(world.stripe, client)
    for kind in created_kinds():
        document = samples.create(kind, hyphened(kind))
        if kind in samples.CHANGES:
            sync.update(document, samples.CHANGES[kind])
        for act, before in samples.ACTS.get(kind, {}).items():
            document = samples.create(kind, hyphened(f"{kind}-{act}"))
            for each in (*before, act):
                attached = {"customer": str(samples.buyer("customer").id)} if each == "attach" else None
                document = sync.act(document, each, attached or samples.given(kind, each))
    world.stripe.dashboard.create("customer", name="Ann")
    world.deliver()
    world.advance(hours=1)
    world.reconcile(full=True)


def hyphened(name: str) -> str:
    return name.replace(".", "-").replace("_", "-")


def rows() -> Rows:
    """Return all that is stored, but for what counts changes and sights."""
    return {
        (kind, row["_id"]): {name: value for name, value in row.items() if name not in COUNTED}
        for kind, model in present_kinds().items()
        for row in model._get_collection().find()
    }


def contents(found: Rows) -> Rows:
    """Return the same without links, which are rendered anew at each reading."""
    left = {key: {name: part for name, part in row.items() if name not in LINKS} for key, row in found.items()}
    return {key: {**row, "stripe": row["stripe"] and content(row["stripe"])} for key, row in left.items()}


def change(kind: str, id: Any, changes: Json) -> None:
    kinds()[kind]._get_collection().update_one({"_id": id}, {"$set": changes})


def wrong(field: BaseField, value: Any) -> Any:
    """Return another value of a field, such that the document can still be read."""
    match field, value:
        case (EmbeddedDocumentField(), None) | (ListField(), None):
            return {} if isinstance(field, EmbeddedDocumentField) else []
        case EmbeddedDocumentField(), _:
            return None
        case ListField(), _:
            return [*value, wrong(field.field, None)]
        case _, bool():
            return not value
        case _, int() | float():
            return value + 1
    return WRONG


def edits_of(kind: str, row: Json) -> Json:
    """Return a wrong value of each own field that a document shows."""
    model = kinds()[kind]
    own = {
        name: field
        for name, field in model.own_fields().items()
        if name in row and name in model.fields_from(row["stripe"])
    }
    return {name: wrong(field, row[name]) for name, field in own.items()}


@pytest.fixture
def full(world: World) -> Rows:
    """The documents of a world that has all kinds, by kind and id, which are active and known at Stripe."""
    begin(world, fill)
    there = {remote["id"] for kind in kinds() for remote in world.stripe.objects(kind)}
    return {key: row for key, row in rows().items() if row["status"] == "active" and row["stripe_id"] in there}


def test_no_kind_passes_for_edited_whatever_it_came_to_be_by(world: World, full: Rows) -> None:
    assert {kind for kind, _ in full} >= created_kinds().keys() - {"order"}
    assert len({kind for kind, _ in full}) > 30, "and many that are only mirrored"
    for kind, model in kinds().items():
        if model.resource.path or model.resource.mirrored:
            remote = {"id": f"xx_{kind}", "object": kind, "created": 1, "livemode": False, "metadata": {"a": 1.5}}
            model.adopt(from_event(model, json.loads(event(f"{model.resource.event_prefixes[0]}.created", remote, 5))))

    for (kind, id), row in rows().items():
        assert kinds()[kind].edited(row) == [], (kind, id, row)


def test_every_field_that_was_edited_is_named(world: World, full: Rows) -> None:
    for (kind, _), row in full.items():
        edited = kinds()[kind].edited
        for name, value in edits_of(kind, row).items():
            assert edited({**row, name: value}) == [name], kind
        for name, value in content(row["stripe"]).items():
            if name != "metadata" or value:
                assert edited({**row, "stripe": {**row["stripe"], name: [value]}}) == ["stripe"], (kind, name)
        for lost in ({"stripe": None}, {"stripe": "text"}, {"digest": None}):
            assert edited({**row, **lost}) == ["stripe"], kind
        for other in ("xx_1", None, 5):
            assert edited({**row, "stripe_id": other}) == ["stripe_id"], kind
        for state in (
            {"status": "pending"},
            {"status": "rolled_back"},
            {"status": WRONG},
            {"live": False},
            {"live": 1},
        ):
            assert edited({**row, **state}) == ["status"], kind


def edit(full: Rows, changes: Any) -> int:
    """Edit each of these documents by hand; return of how many there was something to edit."""
    edited = 0
    for (kind, id), row in full.items():
        if edits := changes(kind, row):
            change(kind, id, edits)
            edited += 1
    return edited


def other_words(kind: str, row: Json) -> Json:
    """A snapshot that says something else, of another object."""
    return {"stripe": {**row["stripe"], "created": 5, "customer": WRONG}} if row["stripe"] else {}


WAYS: dict[str, Any] = {
    "own fields": edits_of,
    "the snapshot": other_words,
    "its digest": lambda kind, row: {"digest": WRONG},
    "the id": lambda kind, row: {"stripe_id": f"{row['stripe_id']}x"},
    "pending": lambda kind, row: {"status": "pending"},
    "rolled back": lambda kind, row: {"status": "rolled_back", "live": False},
    "deleted": lambda kind, row: {"status": "deleted"},
    "no status": lambda kind, row: {"status": WRONG, "live": False},
}


def each_in_turn(kind: str, row: Json) -> Json:
    """Edit one document this way, the next that way."""
    turn = int(str(row["_id"])[-4:], 16) % len(WAYS)
    return dict([*WAYS.values()][turn](kind, row) or {"digest": WRONG})


@pytest.mark.parametrize(
    "changes",
    [each_in_turn, *(pytest.param(way, id=name, marks=pytest.mark.alike) for name, way in WAYS.items())],
)
def test_what_was_edited_is_put_right_in_one_run(
    world: World, full: Rows, changes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(rows())
    edited = edit(full, changes)
    after = rows()

    dry = world.reconcile(full=True, dry=True)
    assert (dry.counts["edited"] >= edited, dry.exit_code, rows() == after) == (True, 1, True), dict(dry.counts)
    report = world.reconcile(full=True)

    assert (report.counts["edited"] >= edited, report.exit_code) == (True, 0), str(report)
    assert contents(rows()) == before
    assert report.counts["drift"] >= edited > 10
    assert world.reconcile(full=True).counts["edited"] == 0
    assert WRONG not in caplog.text + str(report)
    assert all(str(id) in caplog.text for _, id in full if edited == len(full))


def test_who_was_erased_stays_erased_whatever_was_edited(world: World) -> None:
    person.buys(world)
    world.reconcile()
    erase(person.USERNAME)
    (paid,) = PaymentIntent.objects(status="active")
    before = rows()["payment_intent", paid.id]
    assert paid.erased_at is not None
    assert PaymentIntent.edited(before) == []
    for edits in ({"description": WRONG}, {"amount": 1}, {"stripe": {**before["stripe"], "description": WRONG}}):
        change("payment_intent", paid.id, edits)
        report = world.reconcile(full=True)

        assert (report.counts["edited"], report.exit_code) == (1, 0)
        assert rows()["payment_intent", paid.id] == before


def test_an_order_that_was_edited_follows_its_payment_again(world: World) -> None:
    order = samples.create("order")
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    wrong = ("payment_status", "paid"), ("url", WRONG), ("status", WRONG), ("live", False)
    for name, value in wrong:
        change("order", order.id, {name: value})
        report = world.reconcile(full=True)

        told = "status" if name == "live" else name
        assert (report.counts["edited"], report.edited) == (1, [f"order {order.id} ({told})"])
        assert rows()["order", order.id]["payment_status"] == "awaiting_payment"
        assert_in_sync(world)


@pytest.mark.parametrize("by", ["us", "others"])
def test_an_object_whose_id_was_edited_here_is_no_twin_and_keeps_its_document(world: World, by: str) -> None:
    """Nothing of it is undone by what comes before the comparison; another document of it, adopted, gives way."""
    if by == "us":
        sync.create_customer("user@here.com")
    else:
        world.stripe.dashboard.create("customer", name="A")
        world.advance(hours=1)
    world.deliver()
    world.reconcile()
    (customer,) = Customer.objects
    change("customer", customer.id, {"stripe_id": "cus_AnotherOne1"})
    world.advance(hours=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="B")
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    assert Customer.objects.count() == (1 if by == "us" else 2)

    assert world.reconcile(full=True).counts["edited"] == 1

    assert [(found.stripe_id, found.name) for found in Customer.objects] == [(customer.stripe_id, "B")]
    assert_in_sync(world)


def test_what_nobody_can_read_is_what_its_event_told(world: World) -> None:
    told = {"id": "di_1", "object": "discount", "customer": "cus_1", "start": 5}
    world.deliver([event("customer.discount.created", told, int(world.stripe.clock.now()))])
    (discount,) = kinds()["discount"].objects
    change("discount", discount.id, {"stripe": {**told, "customer": WRONG}})

    assert world.reconcile(full=True).counts["edited"] == 1
    assert discount.fetch_latest().stripe == told


def test_nothing_is_asked_for_a_document_that_nobody_edited(new_database: str) -> None:
    """Neither of Stripe nor of MongoDB: a hundred documents cost as many commands as ten."""
    commands: list[str] = []

    class Count(CommandListener):
        def started(self, event: Any) -> None:
            commands.append(event.command_name)

        def succeeded(self, event: Any) -> None: ...
        def failed(self, event: Any) -> None: ...

    world = World(new_database, listeners=(Count(),))
    asked = []
    for more in (10, 80):
        stock(world, more, "product")
        world.advance(hours=1)
        world.reconcile(full=True)
        commands.clear()
        requests = len(world.stripe.requests)
        assert world.reconcile(full=True).counts["drift"] == 0
        asked.append((len(commands), len(world.stripe.requests) - requests))
    assert asked[0] == asked[1]
