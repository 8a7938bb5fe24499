"""What was edited by hand in MongoDB: a full comparison names it, without its values, and puts it right."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import cycle, repeat
from typing import Any

import pytest
import stripe
from mongoengine import EmbeddedDocumentField, ListField
from mongoengine.base import BaseField

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, created_kinds, kinds, present_kinds
from stripe_mongo_sync.models.base.birth import DEFAULTS, SYNC_FIELDS, adopted_fields
from stripe_mongo_sync.models.rows.content import content
from stripe_mongo_sync.models.rows.scrub import scrub_row
from stripe_mongo_sync.sync.engine.observations import from_event
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.contract import mirrored_samples
from tests.support import person, samples
from tests.support.events import event
from tests.support.heard import Heard
from tests.support.in_sync import assert_in_sync
from tests.support.scenes import begin
from tests.support.stock import stock
from tests.support.world import KEY, World

Json = dict[str, Any]
Rows = dict[tuple[str, Any], Json]
COUNTED = (
    "revision",
    "updated_at",
    "snapshot_earliest",
    "snapshot_latest",
    "links_seen_at",
    "confirmed_at",
    "status_changed_by",
    "notices",
)
LINKS = ("hosted_invoice_url", "invoice_pdf", "pdf")
WRONG = "Zenobia Quux"


def fill(world: World) -> None:
    """Let there be documents of every kind and origin: created, changed, told of, listed.

    What others made is listed, and only of what we cannot create are the first objects told by their events: an event
    costs ten times as much as an object of a list. What an act leaves, `test_actions` looks at.
    """
    mirrored_samples.tell(world.stripe, stripe.StripeClient(KEY, http_client=world.stripe.transport()))
    letters = [(raw, json.loads(raw)["data"]["object"]) for raw in world.webhooks()]
    world.advance(hours=1)  # before our first document, no events are asked for
    first: dict[str, str | None] = dict.fromkeys(created_kinds())
    world.deliver(raw for raw, told in letters if first.setdefault(told["object"], told.get("id")) == told.get("id"))
    for kind, model in created_kinds().items():  # what one needs is the sample of the next
        document = model.objects(creation_key__ne=None).first() or samples.create(kind)
        if kind in samples.CHANGES:
            sync.update(document, samples.CHANGES[kind])
    world.stripe.dashboard.create("customer", name="Ann")
    world.deliver()
    world.advance(hours=1)
    assert (backfill(patience=Throttle(rate=100_000)).exit_code, world.reconcile().exit_code) == (0, 0)


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


def test_every_field_that_was_edited_is_named_and_no_document_passes_for_edited(world: World, full: Rows) -> None:
    assert {kind for kind, _ in full} >= created_kinds().keys() - {"order"}
    assert len({kind for kind, _ in full}) > 30, "and many that are only mirrored"
    for (kind, id), row in [*rows().items(), *adopted()]:
        assert kinds()[kind].edited(row) == [], (kind, id, row)

    for (kind, id), row in full.items():
        erased = {**row, **scrub_row(row, SYNC_FIELDS), "erased_at": datetime.now(UTC)}
        assert kinds()[kind].edited(erased) == [], (kind, id, erased)

    for (kind, _), row in full.items():
        edited = kinds()[kind].edited
        for name, value in edits_of(kind, row).items():
            assert edited({**row, name: value}) == [name], kind
    for (kind, _), row in {key[0]: (key, row) for key, row in full.items()}.values():
        edited = kinds()[kind].edited
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
            {"is_current": False},
            {"is_current": 1},
        ):
            assert edited({**row, **state}) == ["status"], kind


def adopted() -> Iterator[tuple[tuple[str, Any], Json]]:
    """Of every kind, the row of an object that an event told of."""
    for kind, model in kinds().items():
        if model.resource.path or model.resource.mirrored:
            remote = {"id": f"xx_{kind}", "object": kind, "created": 1, "livemode": False, "metadata": {"a": 1.5}}
            told = json.loads(event(f"{model.resource.event_prefixes[0]}.created", remote, 5))
            yield (kind, remote["id"]), {**DEFAULTS, **adopted_fields(from_event(model, told), datetime.now(UTC))}


Way = Callable[[str, Json], Json]


def edit(full: Rows, ways: Iterable[Way]) -> set[str]:
    """Edit each of these documents by hand in its way; return the ids of those in which there was what to edit."""
    edits = [(key, way(key[0], row)) for (key, row), way in zip(full.items(), ways, strict=False)]
    for (kind, id), values in edits:
        if values:
            change(kind, id, values)
    return {str(id) for (_, id), values in edits if values}


def other_words(kind: str, row: Json) -> Json:
    """A snapshot that says something else, of another object."""
    return {"stripe": {**row["stripe"], "created": 5, "customer": WRONG}} if row["stripe"] else {}


WAYS: dict[str, Way] = {
    "own fields": edits_of,
    "the snapshot": other_words,
    "its digest": lambda kind, row: {"digest": WRONG},
    "the id": lambda kind, row: {"stripe_id": f"{row['stripe_id']}x"},
    "pending": lambda kind, row: {"status": "pending"},
    "rolled back": lambda kind, row: {"status": "rolled_back", "is_current": False},
    "deleted": lambda kind, row: {"status": "deleted"},
    "no status": lambda kind, row: {"status": WRONG, "is_current": False},
}


def in_turn(full: Rows) -> list[Way]:
    """Of each kind the first by its id, as that concerns what names it; the others each in another way."""
    others = cycle(way for name, way in WAYS.items() if name != "the id")
    first = dict(reversed(full))
    return [WAYS["the id"] if first[kind] == id else next(others) for kind, id in full]


@pytest.mark.parametrize("name", ["each in turn", *(pytest.param(name, marks=pytest.mark.alike) for name in WAYS)])
def test_what_was_edited_is_put_right_in_one_run(
    world: World, full: Rows, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(rows())
    edited = edit(full, repeat(WAYS[name]) if name in WAYS else in_turn(full))
    after = rows()

    dry = world.reconcile(full=True, dry=True)
    assert (dry.counts["edited"] >= len(edited), dry.exit_code, rows() == after) == (True, 1, True), dict(dry.counts)
    report = world.reconcile(full=True)

    assert (report.counts["edited"] >= len(edited), report.exit_code) == (True, 0), str(report)
    assert contents(rows()) == before
    assert report.counts["drift"] >= len(edited) > 10
    assert [key for key, row in rows().items() if kinds()[key[0]].edited(row)] == []
    assert WRONG not in caplog.text + str(report)
    assert all(id in caplog.text for id in edited)


def test_who_was_erased_stays_erased_whatever_was_edited(world: World) -> None:
    person.buys(world)
    world.reconcile()
    erase(person.USERNAME)
    theirs = {key: row for key, row in rows().items() if row["erased_at"] is not None and row["status"] == "active"}
    assert {kind for kind, _ in theirs} >= {"payment_intent", "charge"}
    assert all(kinds()[kind].edited(row) == [] for (kind, _), row in theirs.items())
    edited = edit(theirs, [edits_of if kind == "payment_intent" else description for kind, _ in theirs])

    report = world.reconcile(full=True)

    assert (report.counts["edited"], report.exit_code) == (len(edited), 0)
    after = rows()
    assert {key: after[key] for key in theirs} == theirs


def description(kind: str, row: Json) -> Json:
    """A snapshot that names a person."""
    return {"stripe": {**row["stripe"], "description": WRONG}}


def test_an_order_that_was_edited_follows_its_payment_again(world: World) -> None:
    wrong = ("payment_status", "paid"), ("url", WRONG), ("status", WRONG), ("is_current", False)
    orders = [samples.create("order") for _ in wrong]
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    for order, (name, value) in zip(orders, wrong, strict=True):
        change("order", order.id, {name: value})

    report = world.reconcile(full=True)

    named = ("payment_status", "url", "status", "status")
    told = {f"order {order.id} ({name})" for order, name in zip(orders, named, strict=True)}
    assert (report.counts["edited"], {*report.edited}) == (len(wrong), told)
    assert {row["payment_status"] for (kind, _), row in rows().items() if kind == "order"} == {"awaiting_payment"}
    assert_in_sync(world)


def test_a_status_that_was_edited_is_the_one_that_the_rest_of_the_row_has(world: World) -> None:
    """A creation that ended unknown, and one that was refused: neither has an object."""
    for name, fault in (("unknown@here.com", "cut_before"), ("refused@here.com", "decline")):
        world.stripe.fault(fault, "POST /v1/customers", times=2)
        with suppress(sync.Refused):
            sync.create_customer(name)
        world.stripe.clear_faults()
    unknown, refused = Customer.objects.order_by("-username")
    assert (unknown.status, refused.status) == ("pending", "rolled_back")
    change("customer", unknown.id, {"status": WRONG})
    change("customer", refused.id, {"status": "active"})

    assert world.reconcile(full=True).counts["edited"] == 2

    assert [each.fetch_latest().status for each in (unknown, refused)] == ["pending", "rolled_back"]
    world.converge()
    assert_in_sync(world)


def test_an_object_whose_id_was_edited_here_is_no_orphan_and_keeps_its_document(world: World) -> None:
    """Nothing of it is undone by what comes before the comparison; another document of it, adopted, gives way."""
    world.stripe.dashboard.create("customer", name="A")
    world.advance(hours=1)
    sync.create_customer("user@here.com")
    world.deliver()
    world.reconcile()
    theirs, ours = Customer.objects.order_by("username")
    for number, customer in enumerate((theirs, ours)):
        change("customer", customer.id, {"stripe_id": f"cus_AnotherOne{number}"})
    world.advance(hours=1)
    for customer in (theirs, ours):
        world.stripe.dashboard.update("customer", customer.stripe_id, name="B")
    world.deliver()
    world.advance(hours=1)
    world.reconcile()
    assert Customer.objects.count() == 3, "what others made has another document now"

    assert world.reconcile(full=True).counts["edited"] == 2

    found = {(customer.stripe_id, customer.name) for customer in Customer.objects}
    assert found == {(theirs.stripe_id, "B"), (ours.stripe_id, "B")}
    assert_in_sync(world)


def test_what_nobody_can_read_is_what_its_event_told(world: World) -> None:
    told = {"id": "di_1", "object": "discount", "customer": "cus_1", "start": 5}
    world.deliver([event("customer.discount.created", told, int(world.stripe.clock.now()))])
    (discount,) = kinds()["discount"].objects
    change("discount", discount.id, {"stripe": {**told, "customer": WRONG}})

    assert world.reconcile(full=True).counts["edited"] == 1
    assert discount.fetch_latest().stripe == told


def test_nothing_is_asked_for_a_document_that_nobody_edited(database: str) -> None:
    """Neither of Stripe nor of MongoDB: a hundred documents cost as many commands as ten."""
    heard = Heard()
    world = World(database, listeners=(heard,))
    asked = []
    for more in (10, 80):
        stock(world, more, "product")
        world.advance(hours=1)
        backfill(["product"], patience=Throttle(rate=100_000))
        world.reconcile()
        heard.commands.clear()
        requests = len(world.stripe.requests)
        assert world.reconcile(full=True).counts["drift"] == 0
        asked.append((len(heard.commands), len(world.stripe.requests) - requests))
    assert asked[0] == asked[1]
