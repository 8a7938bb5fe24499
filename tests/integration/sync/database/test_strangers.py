"""A database that is not ours alone: it is refused, and what others keep in it is neither read nor changed."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from bson import MaxKey, ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Delivery, Erasure, Event, State, kinds
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.personal.erase import erase
from tests.support import ROOT, person
from tests.support.events import event
from tests.support.mongo import our_database
from tests.support.world import TOKEN, World

Row = dict[str, Any]
MODELS: list[type[OwnRows]] = [*kinds().values(), Event, Delivery, Erasure, State]
NAMES = [model._get_collection_name() for model in MODELS]
NOT_OURS = "that is not ours has its id"
# What a shop's own row may well have: fields of ours, but not the one that all of ours have.
LIKE_OURS: Row = {"status": "active", "state": "pending", "stripe_id": "cus_1OfTheShop", "email": "ann@shop.example"}


@pytest.fixture
def shared(new_database: str) -> Iterator[Database[Any]]:
    """The database of a shop."""
    with MongoClient[Any](new_database) as client:
        yield client.get_default_database()
    sync.disconnect()


def start(database: Database[Any], uri: str) -> str:
    """Start the service there, which is refused; return why."""
    with pytest.raises(BadSettings) as refused:
        World(uri)
    return str(refused.value)


def test_a_start_beside_rows_of_others_is_refused_and_builds_nothing(
    shared: Database[Any], new_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        shared[name].insert_one(dict(LIKE_OURS))

    told = start(shared, new_database)

    assert [name for name in NAMES if not re.search(rf"\b{name}\b", told)] == []
    assert "a database of its own" in told
    settings = {
        "STRIPE_SECRET_KEY": "sk_test_world",
        "STRIPE_WEBHOOK_SECRET": "whsec_world",
        "API_TOKENS": TOKEN,
    }
    for name, value in {**settings, "MONGODB_URI": new_database}.items():
        monkeypatch.setenv(name, value)
    for command in ("indexes", "status", "reconcile"):
        assert main([command]) != 0
        assert "a database of its own" in capsys.readouterr().err
    assert sorted(shared.list_collection_names()) == sorted(NAMES)
    for name in NAMES:
        assert list(shared[name].index_information()) == ["_id_"], name
        assert shared[name].count_documents({}) == 1


def test_a_word_that_is_our_mark_is_none_by_its_name_and_no_view_is_a_collection_of_ours(
    shared: Database[Any], new_database: str
) -> None:
    """Others have revisions and values as well; and a view of that name may have no rows to show whose it is."""
    for model in MODELS:
        shared[model._get_collection_name()].insert_one({"_id": "theme", model.mark: "dark"})
    told = start(shared, new_database)
    assert [name for name in NAMES if not re.search(rf"\b{name}\b", told)] == []
    for name in NAMES:
        shared[name].drop()

    made: dict[str, dict[str, Any]] = {
        "orders": {"viewOn": "nothing", "pipeline": []},
        "customers": {"capped": True, "size": 4096},
        "charges": {"timeseries": {"timeField": "t"}},
        "coupons": {"clusteredIndex": {"key": {"_id": 1}, "unique": True}, "expireAfterSeconds": 5},
        "prices": {"collation": {"locale": "en", "strength": 1}},
        "products": {"validator": {"theirs": {"$exists": True}}},
        "refunds": {"validator": {"theirs": {"$exists": True}}, "validationAction": "warn"},
    }
    for name, options in made.items():
        shared.create_collection(name, **options)
    told = start(shared, new_database)
    said = {
        "charges": "a timeseries",
        "coupons": "a collection whose rows expire",
        "customers": "a capped collection",
        "orders": "a view",
        "prices": "a collection with a collation",
        "products": "a collection with a validator",
    }
    assert ", ".join(f"{name} ({kind})" for name, kind in said.items()) in told
    assert "refunds" not in told, "its validator refuses nothing"
    assert {name for name in shared.list_collection_names() if not name.startswith("system.")} == {*made}


@pytest.mark.parametrize("model", [kinds()["order"], kinds()["product"], Event])
@pytest.mark.parametrize("where", ["first", "last"])
def test_one_row_among_many_of_ours_is_seen(world: World, database: str, model: type[OwnRows], where: str) -> None:
    name, id = model._get_collection_name(), {"first": 0, "last": MaxKey()}[where]
    ours = [{"_id": f"{number:05}", model.mark: 1, "stripe_id": f"x{number}"} for number in range(100)]
    our_database()[name].insert_many([*ours, {"_id": id, **LIKE_OURS}])

    with pytest.raises(BadSettings, match=name):
        world.start()

    with MongoClient[Any](database) as client:
        client.get_default_database()[name].delete_one({"_id": id})
    world.start()


def test_no_question_and_no_change_of_ours_reaches_a_row_of_others(world: World) -> None:
    before = {}
    for model in MODELS:
        before[model] = {"_id": f"row of {model.__name__}", "due_at": None, "notices": [], **LIKE_OURS}
        our_database()[model._get_collection_name()].insert_one(dict(before[model]))

    for model, row in before.items():
        rows, id = model.own_rows(), row["_id"]
        assert rows.find_one({"_id": id}) is rows.find_one(id) is rows.find_one({**LIKE_OURS}) is None
        assert list(rows.find()) == list(rows.find(LIKE_OURS)) == list(rows.aggregate([])) or model is State
        assert rows.count_documents({"_id": id}) == model.objects(__raw__={"_id": id}).count() == 0
        assert id not in [*rows.distinct("_id"), *model.objects.distinct("_id")]
        assert rows.with_options().find_one({"_id": id}) is None
        assert rows.find_one_and_update({"_id": id}, {"$set": {"a": 1}}) is None
        assert rows.find_one_and_delete({"_id": id}) is None
        changed = [rows.update_one({"_id": id}, {"$set": {"a": 1}}), rows.update_many({"_id": id}, {"$set": {"a": 1}})]
        assert [result.matched_count for result in changed] == [0, 0]
        assert rows.delete_one({"_id": id}).deleted_count == rows.delete_many({"_id": id}).deleted_count == 0
        assert our_database()[rows.name].find_one({"_id": id}) == row


def test_rows_that_come_later_are_passed_over_by_every_event_run_and_erasure(world: World) -> None:
    customer = person.buys(world)
    world.reconcile()
    before: dict[str, Row] = {}
    for number, (kind, model) in enumerate(kinds().items()):
        theirs = {"customer_id": customer.stripe_id, "customer": customer.stripe_id, "username": person.USERNAME}
        row = {"_id": ObjectId(), **LIKE_OURS, **theirs, "stripe_id": f"xx_{number}Shared", "name": person.NAME}
        before[kind] = row
        if number % 5 == 0:  # the others are as somebody made them who knows nothing of our indexes
            model.insert_collection()
        our_database()[model._get_collection_name()].insert_one(dict(row))

    for number, (kind, model) in enumerate(kinds().items()):
        remote = {"id": f"xx_{number}Shared", "object": kind, "created": 1, "customer": customer.stripe_id}
        what = ("created", "updated", "deleted")[number % 3]
        answer = world.send(event(f"{model.resource.event_prefixes[0]}.{what}", remote, int(world.stripe.clock.now())))
        assert answer.status_code == 200, (kind, what, answer.json)
    ours_alone = re.compile(
        "|".join(f"a row in {name} {NOT_OURS}|Unguarded: .* missing: {name}\\..*" for name in NAMES)
    )
    assert all(ours_alone.fullmatch(row.reason) for row in Event.objects(state="received"))
    assert Event.objects(state="received").count() > 0, "Stripe need not send them again, and an operator is told why"
    assert Event.objects(state="dead").count() == 0
    assert world.http.get("/customers").status_code == 200
    world.advance(hours=1)
    assert erase(person.USERNAME).exit_code == 0
    world.reconcile(full=True)
    status()

    for kind, row in before.items():
        assert our_database()[kinds()[kind]._get_collection_name()].find_one({"_id": row["_id"]}) == row, kind


# Where the collection itself is named: to insert, for its indexes and options, or for counts by an index alone.
PLAIN = {
    "models/rows/claimable.py": 1,
    "models/rows/tally.py": 5,
    "models/rows/own_rows.py": 1,
    "sync/connection.py": 1,
    "sync/operator/doctor.py": 2,
    "sync/database/indexes.py": 2,
    # Rows of an older version, by the mark and the names that they have.
    "models/stored.py": 2,
    "sync/database/schema.py": 1,
    "sync/operator/status.py": 1,
    # What was edited by hand may have lost the mark: both select by other fields that only ours have.
    "sync/runs/sound.py": 1,
    "models/base/lifecycle.py": 1,
}


OTHERS = ("stored.py", "strangers.py")  # the second asks what other installations say of themselves


def test_nothing_of_ours_asks_a_collection_past_the_mark() -> None:
    root = ROOT
    found = {}
    for file in (
        *root.glob("models/**/*.py"),
        *root.glob("sync/**/*.py"),
        *root.glob("api/**/*.py"),
        *root.glob("webhooks/*.py"),
    ):
        text = file.read_text()
        if many := len(re.findall(r"_get_collection\(\)", text)):
            found[str(file.relative_to(root))] = many
        assert not re.search(r"\bdatabase\(\)\[", text) or file.name in OTHERS, file
        assert not re.search(r"\bget_db\b", text) or file.name == "database.py", file
    assert found == PLAIN
