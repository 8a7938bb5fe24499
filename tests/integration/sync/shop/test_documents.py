"""The Python API: what HTTP can do, `stripe_mongo_sync` can, by a kind, a class or a document."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

import stripe_mongo_sync as sms
from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event, Product, SyncedDocument, created_kinds, kinds
from stripe_mongo_sync.models.base.document import SyncedDocument as Abstract
from stripe_mongo_sync.models.mirrored import Mirrored
from stripe_mongo_sync.sync.errors import NotDeletable
from tests.support import samples
from tests.support.answers import untouched
from tests.support.heard import Listener
from tests.support.mongo import our_database
from tests.support.world import World

NAME = "user@here.com"


# --- one call of each ---


def test_a_kind_and_a_class_create_the_same(world: World) -> None:
    by_kind = sms.create("product", name="Lamp")
    by_class = sms.create(Product, {"name": "Lamp"})
    by_both = sms.create("product", {"name": "Lamp"}, active=False)

    assert [type(each) for each in (by_kind, by_class, by_both)] == [Product] * 3
    assert [each.status for each in (by_kind, by_class, by_both)] == ["active"] * 3
    assert by_both.active is False
    assert len(world.stripe.objects("product")) == 3


def test_a_repetition_with_its_key_returns_the_same_document(world: World) -> None:
    first = sms.create("product", name="Lamp", idempotency_key="one")

    assert sms.create("product", {"name": "Lamp"}, idempotency_key="one").id == first.id
    with pytest.raises(sms.KeyReused):
        sms.create("product", name="Sofa", idempotency_key="one")
    assert len(world.stripe.objects("product")) == 1


def test_what_is_changed_is_named_by_itself_or_by_a_kind_or_a_class(world: World) -> None:
    customer = sms.create_customer(NAME)

    assert sms.update(customer, {"name": "A"}).name == "A"
    assert sms.update(customer, name="B").name == "B"
    assert sms.update("customer", NAME, {"name": "C"}, phone="1").name == "C"
    assert sms.update(Customer, customer.stripe_id, name=None).name is None
    assert world.stripe.objects("customer")[0]["phone"] == "1"
    assert sms.act("customer", NAME, "payment_method", payment_method=card()).invoice_settings is not None
    assert sms.delete("customer", NAME).status == "deleted"
    assert sms.delete(sms.create("product", name="Lamp")).status == "deleted"


def test_an_action_is_named_in_each_way(world: World) -> None:
    first, second, third = (samples.create("payment_intent", name) for name in "abc")

    assert sms.act(first, "cancel", {"cancellation_reason": "abandoned"}).stripe_status == "canceled"
    assert sms.act("payment_intent", second.id, "cancel", cancellation_reason="abandoned").stripe_status == "canceled"
    assert sms.act(type(third), third.stripe_id, "cancel").stripe_status == "canceled"


def test_the_portal_opens_by_a_username(world: World) -> None:
    customer = sms.create_customer(NAME)

    assert sms.open_portal(NAME)["url"].startswith("https://")
    assert sms.open_portal(customer)["url"].startswith("https://")
    with pytest.raises(sms.Invalid):
        sms.open_portal(sms.create("product", name="Lamp"))


def test_the_older_name_answers_with_two_values_and_a_warning(world: World) -> None:
    with pytest.warns(DeprecationWarning, match=r"stripe_mongo_sync\.create"):
        product, repeated = sync.create(Product, {"name": "Lamp"}, idempotency_key="one", token="x")

    assert (type(product), repeated) == (Product, False)
    assert type(sync.create("product", {"name": "Lamp"})) is Product


# --- get ---


def test_a_reference_means_the_same_at_both_doors(world: World) -> None:
    """Mallory's username is the id that Victoria has at Stripe: see decision 0149."""
    world.stripe.insert("customer", id="42", email="victoria@here.com")
    victoria = sms.create_customer(NAME)
    mallory = sms.create_customer("42")
    world.converge()
    gone = sms.delete(sms.create_customer("gone@here.com"))

    for reference in (NAME, NAME.upper(), str(victoria.id), victoria.stripe_id, "42", str(gone.id)):
        assert str(sms.get("customer", reference).id) == world.http.get(f"/customers/{reference}").json["id"]
    assert sms.get("customer", "42").id == mallory.id
    assert sms.get(Customer, victoria.id).id == victoria.id
    for reference in ("gone@here.com", gone.stripe_id, "", "nobody", "a\0b", "\ud800", "x" * 5000, ".."):
        with pytest.raises(sms.NotFound):
            sms.get("customer", reference)


def test_a_mirrored_type_is_read_and_never_written(world: World) -> None:
    paid = {"amount": 500, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    sms.create("payment_intent", {**paid, "automatic_payment_methods": samples.NO_REDIRECTS})
    world.deliver()
    (charge,) = sms.find("charge")

    assert sms.get("charge", charge.stripe_id) == charge
    with untouched(world):
        for call in (
            lambda: sms.create("charge", amount=1),
            lambda: sms.update("charge", charge.stripe_id, amount=1),
            lambda: sms.update(charge, amount=1),
            lambda: sms.act(charge, "refund"),
        ):
            with pytest.raises(sms.Invalid, match="charge is only mirrored"):
                call()
        for of in ((charge,), ("charge", charge.stripe_id)):
            with pytest.raises(NotDeletable, match="only mirrored"):
                sms.delete(*of)


# --- what cannot be meant ---

CALLS: dict[str, Callable[[Any], Any]] = {
    "create": lambda kind: sms.create(kind, name="x"),
    "get": lambda kind: sms.get(kind, "x"),
    "find": lambda kind: sms.find(kind),
    "update": lambda kind: sms.update(kind, "x", name="x"),
    "delete": lambda kind: sms.delete(kind, "x"),
    "act": lambda kind: sms.act(kind, "x", "pay"),
}
NO_KINDS = ["", "products", "Product", "x" * 10_000, "a\nb\ud800", None, 7, b"product", ["product"], {}, dict, Abstract]
NO_KINDS += [Mirrored, Event, Event(), object()]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_kind_is_told_in_a_line(world: World, call: str) -> None:
    with untouched(world):
        for kind in NO_KINDS:
            with pytest.raises(sms.Invalid) as told:
                CALLS[call](kind)
            assert list(told.value.errors) == ["kind"]
            assert len(str(told.value)) < 200
            assert str(told.value).isprintable()


def test_a_slip_in_a_kind_is_told_with_what_may_be_meant(world: World) -> None:
    with pytest.raises(sms.Invalid, match="did you mean product"):
        sms.create("products", name="Lamp")


@pytest.mark.parametrize("call", CALLS)
def test_nothing_works_before_a_connection(call: str) -> None:
    sync.disconnect()

    with pytest.raises(sms.NotConnected):
        CALLS[call]("product")
    with pytest.raises(sms.NotConnected):
        sms.update(Product(), name="x")


@pytest.mark.parametrize("kind", created_kinds())
def test_an_action_that_a_type_has_not_is_told(world: World, kind: str) -> None:
    document = kinds()[kind]()

    for action in ("explode", "", None, 7, ["cancel"], "done"):
        with pytest.raises(sms.Invalid) as told:
            sms.act(document, action)
        assert list(told.value.errors) == ["action"]


def test_what_is_of_another_kind_is_not_found_and_not_changed(world: World) -> None:
    product, customer = sms.create("product", name="Lamp"), sms.create_customer(NAME)

    with untouched(world):
        for reference in (product.id, str(product.id), product.stripe_id):
            for call in (sms.get, sms.delete, lambda *of: sms.update(*of, name="x")):
                with pytest.raises(sms.NotFound):
                    call("customer", reference)
        for reference in (product, customer, None, 7, ["x"], {"$ne": None}):
            for call in (sms.get, sms.delete, lambda *of: sms.update(*of, name="x")):
                with pytest.raises(sms.Invalid) as told:
                    call("customer", reference)
                assert list(told.value.errors) == ["reference"]
        with pytest.raises(sms.Invalid):
            sms.find("customer", starting_after=product)
        with pytest.raises(sms.NotFound):
            sms.update(Product(name="never stored"), name="x")


def test_fields_are_a_dict_and_keywords_that_do_not_meet(world: World) -> None:
    with untouched(world):
        for given in ("name", ["name"], 7, {"name"}):
            with pytest.raises(sms.Invalid, match="must be a dict of fields"):
                sms.create("product", given)
        with pytest.raises(sms.Invalid, match="name: is given twice"):
            sms.create("product", {"name": "Lamp"}, name="Sofa")
        for wrong in (lambda: sms.update("product"), lambda: sms.act("product", "x"), lambda: sms.delete(Product(), 1)):
            with pytest.raises(TypeError, match="takes a document, or a kind and a reference"):
                wrong()


def test_a_lost_mongodb_is_told_as_ours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise AutoReconnect("no primary")

    product = sms.create("product", name="Lamp")
    monkeypatch.setattr("pymongo.collection.Collection.find", lost)
    monkeypatch.setattr("pymongo.collection.Collection.find_one_and_update", lost)

    for read in (
        lambda: sms.get("customer", NAME),
        lambda: sms.get("product", product.id),
        lambda: list(sms.find("product")),
        lambda: sms.find("product", starting_after=product.id),
    ):
        with pytest.raises(sms.Unavailable, match=r"repeat the call\.$"):  # it has no key to repeat with
            read()
    for call in (
        lambda: sms.create("product", name="Sofa"),
        lambda: sms.update(product, name="Sofa"),
        lambda: sms.open_portal(NAME),
    ):
        with pytest.raises(sms.Unavailable):
            call()


# --- find ---


class Finds(Listener):
    """The queries that were sent."""

    def __init__(self) -> None:
        self.of: dict[str, list[Any]] = {}

    def started(self, event: Any) -> None:
        if event.command_name == "find":
            self.of.setdefault(event.command["find"], []).append(event.command)


def products(count: int, *, status: str = "active") -> list[ObjectId]:
    """Insert so many, fifty in each second; return their ids, newest first."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {"_id": ObjectId(), "revision": 1, "status": status, "is_current": status == "active", "name": str(n)}
        | {"created_at": began + timedelta(seconds=n // 50)}
        for n in range(count)
    ]
    Product._get_collection().insert_many(rows)
    return [row["_id"] for row in sorted(rows, key=lambda row: (row["created_at"], row["_id"]), reverse=True)]


def test_all_are_found_once_a_page_at_a_time_by_an_index(database: str) -> None:
    finds = Finds()
    world = World(database, listeners=(finds,))
    try:
        wanted = products(250)
        products(3, status="deleted")
        iterator = sms.find("product")
        assert "products" not in finds.of, "nothing is read before it is wanted"
        seen = [next(iterator).id for _ in range(100)]
        assert len(finds.of["products"]) == 1
        sms.create("product", name="meanwhile")
        seen += [each.id for each in iterator]

        assert seen == wanted
        pages = [query for query in finds.of["products"] if "sort" in query]
        assert [query["limit"] for query in pages] == [100, 100, 100]
        for query in pages:
            asked = {name: query[name] for name in ("find", "filter", "sort", "limit")}
            told = our_database().command("explain", asked, verbosity="executionStats")["executionStats"]
            assert told["totalDocsExamined"] <= 101, "a page reads itself, however far it is, and what came meanwhile"
    finally:
        world.stop()


def test_a_list_has_the_filters_of_http(world: World) -> None:
    ids = products(7)
    (gone,) = products(1, status="deleted")

    assert found(limit=2) == ids[:2]
    assert found(starting_after=str(ids[1]), limit=2) == ids[2:4]
    assert found(starting_after=ids[4]) == ids[5:]
    assert found(starting_after=sms.get("product", ids[5])) == ids[6:]
    assert found(status="deleted") == [gone]
    assert found(status="pending") == []
    assert [each["id"] for each in world.http.get("/products").json["data"]] == [str(id) for id in found()]
    for name, wrong in (
        *(("limit", each) for each in (0, -1, True, "2", 1.0)),
        *(("status", each) for each in ("paid", "", ["active"], {"$ne": None})),
        *(("starting_after", each) for each in ("", "prod_1", ObjectId(), {"$gt": ""}, [])),
    ):
        with pytest.raises(sms.Invalid) as told:
            sms.find("product", **{name: wrong})
        assert list(told.value.errors) == [name]


def found(**wanted: Any) -> list[ObjectId]:
    return [each.id for each in sms.find(Product, **wanted)]


def card() -> str:
    made: SyncedDocument = sms.create("payment_method", type="card", card={"token": "tok_visa"})
    return str(made.id)
