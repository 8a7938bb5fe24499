"""The page about scaling says of each query which shard key it names, and of each unique index what it would need."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, UsageRecord, created_kinds, kinds
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.sync.inbox import batch
from stripe_mongo_sync.sync.inbox.arrival import arrive
from stripe_mongo_sync.sync.inbox.inbox import receive_alone
from stripe_mongo_sync.sync.operator.doctor import deployment
from stripe_mongo_sync.sync.settings import Settings
from tests.support.shards import Question, Questions, compared
from tests.support.world import World

PAGE = Path("docs/scaling.md").read_text()
WHOLE = ("sync_state", "erasures")  # a few rows, which no shard key would spread
KEYS = {"customers": ("_id", "stripe_id", "username_key"), "stripe_events": ("_id", "object_id")}
OTHER_KEYS = ("_id", "stripe_id")
ADA = "ada@here.com"


def written(name: str) -> list[list[str]]:
    """The cells of a table of the page."""
    lines = PAGE.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# --- what is asked ---


@pytest.fixture
def asked() -> Questions:
    return Questions()


@pytest.fixture
def shop(database: str, asked: Questions) -> Iterator[World]:
    """A shop that sells, so that no journey is the first of its process or of its database."""
    world = World(database, listeners=(asked,))
    sync.create_customer("first@here.com")
    product = sync.create("product", name="Tea")
    sync.create("price", product=product.stripe_id, unit_amount=500, currency="eur", recurring={"interval": "month"})
    world.deliver()
    yield world
    world.stop()


def ada() -> Customer:
    return sure(Customer.by_username(ADA))


def journeys(world: World) -> Iterator[tuple[str, Callable[[], object], object]]:
    """What the service does all day: its name, how it is done, and what it answers, if that matters."""
    yield "create a customer", lambda: sync.create_customer(ADA), None
    bodies = world.webhooks()
    yield "webhook of that creation", lambda: committed(bodies), ["applied"]
    bodies = renamed(world)
    yield "webhook, in a batch", lambda: committed(bodies), ["applied"]
    yield "duplicate", lambda: committed(bodies), ["duplicate"]
    (body,) = renamed(world)
    yield "webhook, alone", lambda: receive_alone(arrive(body)), "applied"
    world.stripe.dashboard.create("customer", name="A stranger")
    yield "unknown object", world.deliver, ["applied"]
    price = kinds()["price"].objects.first()
    sold = {"customer": ada().stripe_id, "items": [{"price": price.stripe_id}], "trial_period_days": 7}
    yield "create a subscription", lambda: sync.create("subscription", **sold), None
    yield "read by username", ada, None
    yield "`access`", lambda: sync.access(ADA, product=price.product)["entitled"], True
    ada().claim()  # by a worker that dies
    world.advance(minutes=5)
    now = clock.now()
    yield "claim what is due", lambda: len([*Customer.claim_due(now)]), 1


def committed(bodies: list[bytes]) -> list[str | None]:
    return batch.commit([arrive(body) for body in bodies])


def renamed(world: World) -> list[bytes]:
    """The events of a change at Stripe, a minute later."""
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", ada().stripe_id, name=f"Ada, renamed at {clock.now()}")
    return world.webhooks()


def shown(fields: frozenset[str]) -> str:
    """The fields of one alternative; a document in doubt is compared by many parameters."""
    short = {re.sub(r"^(operation\.params)\..*", r"\1", name) for name in fields}
    return ", ".join(f"`{name}`" for name in sorted(short)) or "no value"


def row(journey: str, question: Question) -> list[str]:
    keys = KEYS.get(question.collection, OTHER_KEYS)
    one = ", ".join(f"`{key}`" for key in keys if question.reaches_one(key))
    every = ", ".join(f"`{key}`" for key in keys if not question.reaches_one(key))
    by = " or ".join(dict.fromkeys(map(shown, question.by)))
    return [journey, question.collection, f"`{question.command}`", by, one or "none", every or "none"]


def test_the_page_says_of_each_query_which_key_reaches_one_shard(shop: World, asked: Questions) -> None:
    rows = []
    for name, act, answer in journeys(shop):
        asked.asked.clear()
        told = act()
        assert answer is None or told == answer, name
        rows += [row(name, each) for each in dict.fromkeys(asked.asked) if each.collection not in WHOLE]

    assert written("queries") == rows, "\n".join(["the page must say:", *(f"| {' | '.join(each)} |" for each in rows)])


@pytest.mark.parametrize(
    ("where", "one", "every"),
    [
        ({"a": 1, "b": {"$exists": True}}, "a", "b"),
        ({"a": {"$in": [1, 2]}, "b": {"$gt": 1}}, "a", "b"),
        ({"a": {"$eq": {"b": 1}}, "b": {"$ne": 1}}, "a", "b"),
        ({"$or": [{"a": 1, "b": 2}, {"a": 2}]}, "a", "b"),
        ({"$and": [{"a": 1}, {"$or": [{"b": 1}, {"c": 1}]}]}, "a", "b"),
        ({"$or": [{"b": 1}, {"c": 1}], "a": None}, "a", "c"),
        ({"a": {"inner": 1}, "$expr": {"$eq": ["$b", 1]}}, "a", "b"),
    ],
)
def test_a_key_reaches_one_shard_if_every_alternative_names_it(where: dict[str, Any], one: str, every: str) -> None:
    question = Question("rows", "find", compared(where))

    assert question.reaches_one(one)
    assert not question.reaches_one(every)


# --- what is unique ---


def of(names: set[str]) -> str:
    """How the page names the collections that have an index."""
    created = {model.plural() for model in created_kinds().values()}
    mirrored = {model.plural() for model in kinds().values() if model.resource.mirrored}
    if names == created:
        return "created types"
    return "mirrored types" if len(names) > 1 and names <= mirrored else ", ".join(sorted(names))


def test_the_page_says_of_each_unique_index_what_it_would_need() -> None:
    found: dict[str, set[str]] = {}
    for model in (*kinds().values(), Event, Delivery, UsageRecord, Erasure):
        for index in (index.document for index in model.wanted(Settings("sk_test_x").retention)):
            if index.get("unique"):
                found.setdefault(", ".join(f"`{name}`" for name in index["key"]), set()).add(model.plural())

    assert {(fields, names) for fields, names, *_ in written("unique")} == {
        (fields, of(names)) for fields, names in found.items()
    }


# --- what a start says ---


def test_a_sharded_cluster_is_named_and_not_judged() -> None:
    found = deployment("8.0.0", {"msg": "isdbgrid"}, "writes with w=majority, reads from Primary", live=True)

    assert found.message == "MongoDB 8.0.0, a sharded cluster, writes with w=majority, reads from Primary"
    assert str(found.level) == "ok"
