"""The full comparison: it goes on where it was killed, and holds a page in memory, however much there is."""

import tracemalloc
from typing import Any

import pytest
from bson import ObjectId

from stripe_mongo_sync.models import Customer, State, Status
from stripe_mongo_sync.models.base.birth import DEFAULTS
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.state import COMPARISON
from stripe_mongo_sync.sync.engine.resolve import Run
from stripe_mongo_sync.sync.runs.backfill import backfill
from stripe_mongo_sync.sync.runs.full_comparison import FullComparison
from stripe_mongo_sync.sync.runs.progress import ProgressStep
from stripe_mongo_sync.sync.runs.reconcile import Report, run_once
from stripe_mongo_sync.sync.runs.seen import PAGES, Seen
from stripe_mongo_sync.sync.runs.walk import KindProgress
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import samples
from tests.support.heard import Heard
from tests.support.stock import stock
from tests.support.world import World

SEVERAL = 230  # three pages
MANY = 20_000
MB = 1 << 20


def killed_after(pages: int) -> Report:
    """Compare everything, and die after so many pages of the customers."""
    left = iter(range(pages - 1))

    def die(step: ProgressStep) -> None:
        if step.name == "customer" and next(left, None) is None:
            raise KeyboardInterrupt

    return run_once(full=True, on_progress=die)


def copied(world: World) -> list[dict[str, Any]]:
    """An account that was copied and compared, and of which no event is told any more."""
    remotes = stock(world, SEVERAL)
    backfill(["customer"], patience=Throttle(rate=100_000))
    world.reconcile()
    world.advance(hours=1)
    return remotes


def gone(world: World, id: str) -> None:
    """Let Stripe know nothing of a customer any more, and tell nobody."""
    with world.stripe.engine.state():
        world.stripe.engine.realm().drop("customer", id)


def paths(world: World, since: int) -> list[str]:
    return [request.path for request in world.stripe.requests[since:] if request.path.startswith("/v1/customers")]


@pytest.mark.usefixtures("page_by_page")
def test_one_that_was_killed_goes_on_at_its_page_and_still_sees_who_is_missing(world: World) -> None:
    """One that is missing on a page that was read before the kill, and one on a page that is read after it."""
    remotes = copied(world)
    missing = [remotes[50]["id"], remotes[215]["id"]]
    for id in missing:
        gone(world, id)
    with pytest.raises(KeyboardInterrupt):
        killed_after(2)
    before = len(world.stripe.requests)

    report = world.reconcile(full=True)

    asked = [request for request in world.stripe.requests[before:] if request.path.startswith("/v1/customers")]
    assert (report.exit_code, report.counts["missing"]) == (0, 2)
    assert asked[0].params["starting_after"] == remotes[200]["id"], "the third page: one is missing on the first"
    assert {request.path for request in asked[1:3]} == {f"/v1/customers/{id}" for id in missing}
    assert {request.path.count("/") for request in asked[3:]} <= {2, 4}, "then what each customer has"
    assert State.objects(id__startswith=COMPARISON).count() == 0, "the next one begins anew"
    for _ in range(2):
        world.advance(hours=1)
        world.converge()
    assert {customer.stripe_id for customer in Customer.objects(status=Status.DELETED)} == {*missing}


@pytest.mark.usefixtures("page_by_page")
def test_one_that_was_killed_a_day_ago_begins_anew(world: World) -> None:
    copied(world)
    with pytest.raises(KeyboardInterrupt):
        killed_after(2)
    world.advance(hours=25)
    before = len(world.stripe.requests)

    assert world.reconcile(full=True).exit_code == 0

    assert paths(world, before).count("/v1/customers") >= 3
    assert State.objects(id__startswith=COMPARISON).count() == 0


@pytest.mark.usefixtures("page_by_page")
def test_a_dry_one_neither_goes_on_nor_leaves_a_place(world: World) -> None:
    copied(world)
    with pytest.raises(KeyboardInterrupt):
        killed_after(1)
    places = [row.to_mongo() for row in State.objects(id__startswith=COMPARISON)]
    before = len(world.stripe.requests)

    world.reconcile(full=True, dry=True)

    assert paths(world, before).count("/v1/customers") >= 3
    assert [row.to_mongo() for row in State.objects(id__startswith=COMPARISON)] == places != []


def test_what_was_seen_is_known_again_after_a_kill(world: World) -> None:
    first = Seen("a name")
    for page in range(PAGES + 2):
        first.add([f"cus_{page}"])
        first.keep()
    first.add(["cus_unsaved"])
    second = Seen("a name")
    second.recall()
    second.add(["cus_later"])
    second.keep()
    third = Seen("a name")
    third.recall()

    assert all(f"cus_{page}" in third for page in range(PAGES + 2))
    assert ("cus_later" in third, "cus_unsaved" in third, "cus_other" in third) == (True, False, False)


def test_orders_are_compared_with_their_payments_together(database: str) -> None:
    """Three more cost no command more."""
    heard = Heard()
    world = World(database, listeners=(heard,))
    asked = []
    for more in (1, 3):
        orders = [samples.create("order", f"n{ObjectId()}") for _ in range(more)]
        world.deliver()
        world.stripe.pay_session(orders[0].fetch_latest().checkout_session)
        world.deliver()
        world.advance(hours=1)
        world.reconcile(full=True)
        heard.commands.clear()
        assert world.reconcile(full=True, owner_reads=0).counts["drift"] == 0
        asked.append(len(heard.commands))
    assert asked[0] == asked[1]


def test_twenty_thousand_documents_take_no_more_memory_than_a_page(world: World) -> None:
    """They have 60 MB, and a million would have three thousand."""
    now = clock.now()
    fields = {
        "status": "active",
        "is_current": True,
        "revision": 1,
        "created_at": now,
        "updated_at": now,
        "in_doubt": False,
    }
    metadata = {f"k{number}": "v" * 40 for number in range(40)}
    ids = [f"cus_{ObjectId()}" for _ in range(MANY)]
    rows = Customer._get_collection()
    for start in range(0, MANY, 1000):
        page = ids[start : start + 1000]
        own = [{"stripe_id": id, "stripe": {"id": id, "object": "customer", "metadata": metadata}} for id in page]
        rows.insert_many([{**DEFAULTS, **fields, **each, "_id": ObjectId()} for each in own])
    run = Run()
    whole = FullComparison(COMPARISON, {"customer": Customer}, None, 0, 0, run=run, wanted=set())
    whole.parts["customer"] = KindProgress()

    tracemalloc.start()
    for start in range(0, MANY, 100):
        whole.saw("customer", ids[start : start + 100])
    whole.end("customer")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert not run.counts, "each was seen, and none was read"
    assert peak < 10 * MB
