"""The drill: a fault is planted in a running stack, is told, and goes when an operator does what is told and no more.

Each test ends as it began, healthy and with both sides one, so that they share a stack. An `Operator` refuses to do
what no command printed and docs/operations.md does not say.
"""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stripe_mongo_sync.demo.mongod import Mongod, find_mongod
from stripe_mongo_sync.demo.shop import Shop
from stripe_mongo_sync.demo.stack import ROOT, Stack
from stripe_mongo_sync.models.state import HEARTBEAT, PROCESSES
from stripe_mongo_sync.sync.inbox import inbox
from stripe_mongo_sync.sync.operator import endpoint
from stripe_mongo_sync.sync.operator.doctor import examine
from tests.chaos.book import looking_at
from tests.support import eventually
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import MongoServer
from tests.support.operator import Operator
from tests.support.scraped import WATCH, Scrape

HOOK = """
from pathlib import Path
from stripe_mongo_sync.sync import on

@on("customer.active")
def welcome(notice):
    if not Path(__file__).with_name("mended").exists():
        raise RuntimeError("the mail server refuses us")
"""
RULES = {
    rule["alert"]: rule["expr"]
    for rule in yaml.safe_load((ROOT / "deploy/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
}
COMPARED = re.compile(r'(stripe_sync_\w+)(?:\{(\w+)="(\w+)"\})?.* (>|<)=? ([\d.]+)$')
TOKEN = "the-token-of-the-drill"
HOUR = 3600.0
MANY = 21  # webhooks: as many must be refused before somebody is woken
KEY, NEW_KEY = "sk_test_51Qm2ZxT9bKc4LwRf6VnHs3Jd", "sk_test_51PyGaUeX8hW0oN5tBvCq7Lk"

pytestmark = pytest.mark.skipif(
    not (os.environ.get("MONGODB_URI") or find_mongod()), reason="there is no MongoDB to try it on"
)


def running(mongodb: str, **settings: str) -> Stack:
    """A stack that reads each object of which an event tells."""
    usual = {"STRIPE_SECRET_KEY": KEY, "API_TOKENS": f"{TOKEN},{WATCH}", "REVALIDATE": "all"}
    return Stack(mongodb=mongodb, workers=1, token=TOKEN, environment={**usual, **settings})


def well_begun(stack: Stack) -> Stack:
    """Let the endpoint of a stack send what is covered."""
    with looking_at(stack):
        for each in endpoint.list_endpoints():
            endpoint.update(each)
    return stack


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[list[Stack], ExitStack]]:
    """The stack of the tests that leave it as it was, once there is one, and what ends it."""
    with ExitStack() as ends:
        yield [], ends


@pytest.fixture
def stack(
    shared: tuple[list[Stack], ExitStack], mongo_server: MongoServer, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A stack that is well: if this test fails, the next one has another."""
    stacks, ends = shared
    if not stacks:
        stacks.append(well_begun(ends.enter_context(running(mongo_server.address))))
    failed = request.session.testsfailed
    yield stacks[0]
    if request.session.testsfailed > failed:
        stacks.clear()
        ends.close()


@pytest.fixture
def own_stack(mongo_server: MongoServer) -> Iterator[Stack]:
    """A stack of which no other test has heard anything."""
    with running(mongo_server.address) as stack:
        yield well_begun(stack)


@pytest.fixture
def operator(stack: Stack) -> Operator:
    return Operator(stack)


# --- what happens to a stack ---


def create(stack: Stack, username: str) -> str:
    """Create a customer; return its id at Stripe."""
    reply = stack.service.post("/customers", {"username": username})
    assert reply.status == 201, reply
    return str(reply.body["stripe_id"])


def arrives(stack: Stack, username: str) -> str:
    """Create a customer, of whom a webhook tells; return its id at Stripe."""
    stripe_id = create(stack, username)
    told = {"object_id": stripe_id, "type": "customer.created", "state": "applied"}
    eventually(lambda: stack.database.stripe_events.find_one(told), 20)
    return stripe_id


def restart(stack: Stack, **settings: str) -> None:
    """Restart every process with other settings."""
    stack.environment |= settings
    stack.stop("gunicorn")
    stack.start("gunicorn")


def five_minutes_pass(stack: Stack) -> None:
    """Let the processes that have ended be forgotten: those that run have renewed their entries."""
    states = stack.database.sync_state
    row: Any = states.find_one({"_id": PROCESSES})
    ended = [name for name, each in row["value"]["live"].items() if each["pid"] not in stack.workers()]
    states.update_one({"_id": PROCESSES}, {"$unset": {f"value.live.{name}": "" for name in ["none", *ended]}})


def grow_older(rows: Any, field: str, **where: Any) -> None:
    """Let two hours pass for some rows."""
    rows.update_many(where, [{"$set": {field: {"$subtract": [f"${field}", int(2 * HOUR * 1000)]}}}])


def scrape(stack: Stack) -> Scrape:
    """Read the metrics as Prometheus does."""
    asked = urllib.request.Request(f"{stack.url}/metrics", headers={"Authorization": f"Bearer {WATCH.split(':')[2]}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return Scrape(answer.read().decode())


def rings(stack: Stack, alert: str, before: Scrape | None = None) -> bool:
    """Whether the expression of an alert is true now; of a counter, what it has counted since `before`."""
    found = COMPARED.search(RULES[alert])
    assert found, RULES[alert]
    name, *label, way, limit = found.groups()

    def value(scraped: Scrape) -> float:
        each = scraped.samples.items()
        return sum(told for (which, labels), told in each if which == name and (not label[0] or tuple(label) in labels))

    now = value(scrape(stack)) - (value(before) if before else 0)
    told = time.time() - now if "time()" in RULES[alert] else now
    return told < float(limit) if way == "<" else told > float(limit)


def assert_well(operator: Operator) -> None:
    """Assert that `status`, `doctor` and a comparison of both sides find nothing, once what is due was done."""
    Shop(operator.stack).make_all_due()
    operator.sees("reconcile", code=0)
    five_minutes_pass(operator.stack)
    told = operator.sees("status", "✔ healthy", code=0)
    assert not re.search(r"^[!✘] ", told, re.MULTILINE), told
    with looking_at(operator.stack) as outside:
        assert examine().exit_code == 0, [str(each) for each in examine().findings]
        assert_in_sync(outside)


# --- the faults ---


def test_webhooks_that_are_dropped(own_stack: Stack) -> None:
    stack, operator = own_stack, Operator(own_stack)
    stack.stripe.webhooks.disrupt(drop=10**9)
    stack.stripe.clock.advance(-2 * HOUR)
    for number in range(11):
        create(stack, f"dropped{number}@here.com")
    stack.stripe.clock.advance(2 * HOUR)
    grow_older(stack.database.customers, "created_at", username={"$regex": "^dropped"})

    assert rings(stack, "StripeSyncUnconfirmed")
    operator.sees("status", "11 documents were never confirmed: webhooks do not arrive")
    operator.sees("doctor", "events since … came by no webhook")
    operator.does("see the endpoint's deliveries in the Dashboard", stack.stripe.webhooks.disrupt)

    arrives(stack, "after_the_drop@here.com")
    assert_well(operator)


def test_a_secret_that_was_lost(stack: Stack, operator: Operator) -> None:
    with looking_at(stack):
        (old,) = endpoint.list_endpoints()
        new, _ = endpoint.roll(old)
        endpoint.delete(old, force=True)
    before = scrape(stack)
    for number in range(MANY):
        create(stack, f"unheard{number}@here.com")

    eventually(lambda: rings(stack, "StripeSyncWebhooksRefused", before))
    operator.sees("doctor", f"STRIPE_WEBHOOK_SECRET lacks the secret of {new.id}")
    (secret,) = re.findall(r"whsec_\w+", operator.types(f"endpoint roll {new.id}"))
    operator.does("restart the service", lambda: restart(stack, STRIPE_WEBHOOK_SECRET=secret))
    five_minutes_pass(stack)
    operator.sees("doctor", "2 endpoints send the same events", code=0)
    operator.types(f"endpoint delete {new.id}")

    arrives(stack, "heard@here.com")
    assert_well(operator)


def test_a_key_that_was_revoked(stack: Stack, operator: Operator) -> None:
    stack.stripe.revoke(stack.environment["STRIPE_SECRET_KEY"])
    before = scrape(stack)
    stack.service.post("/customers", {"username": "locked_out@here.com"})

    assert rings(stack, "StripeSyncKeyDenied", before)
    operator.sees("reconcile", code=2)
    operator.sees("status", "the last reconcile could not check everything", "see what `doctor` says about the key")
    operator.sees("doctor", "Stripe does not accept STRIPE_SECRET_KEY")
    operator.does("create a new key", lambda: restart(stack, STRIPE_SECRET_KEY=NEW_KEY))

    assert_well(operator)


def test_an_event_that_is_dead(stack: Stack, operator: Operator) -> None:
    stripe_id = arrives(stack, "unread@here.com")
    stack.stripe.fault("cut_before", method="GET", times=None)
    stack.stripe.dashboard.update("customer", stripe_id, name="Ada")
    updated, events = {"type": "customer.updated", "object_id": stripe_id}, stack.database.stripe_events
    eventually(lambda: events.find_one(updated))
    with looking_at(stack):
        while events.find_one({**updated, "state": "received"}):
            Shop(stack).make_all_due()
            inbox.drain()

    assert rings(stack, "StripeSyncDeadEvents")
    operator.sees("status", "1 events are dead")
    operator.types("events list --state dead")
    operator.does("fix what their errors say", stack.stripe.clear_faults)
    operator.types("events replay --dead")

    assert_well(operator)


def test_a_delivery_to_a_hook_that_is_dead(mongo_server: MongoServer, tmp_path: Path) -> None:
    (tmp_path / "drilled.py").write_text(HOOK)
    with running(mongo_server.address, HOOKS="drilled", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}") as stack:
        operator = Operator(stack)
        arrives(stack, "unwelcome@here.com")
        once = [sys.executable, "-m", "sync", "hooks", "run", "--attempts", "1"]
        subprocess.run(once, env=stack.environment, cwd=stack.directory, capture_output=True, check=False)

        assert rings(stack, "StripeSyncDeadHooks")
        told = operator.sees("status", "1 deliveries to hooks are dead")
        assert "the mail server refuses us" in operator.types("hooks list")
        operator.does("mend the hook", (tmp_path / "mended").touch)
        (replay,) = re.findall(r"`(hooks replay [^`]+)`", told)  # as it stands there
        operator.types(replay)
        operator.types("hooks run")

        assert "healthy" in operator.sees("status", code=0)


def in_review(stack: Stack, operator: Operator) -> str:
    """Look what is to be decided; return the id of the only document."""
    assert rings(stack, "StripeSyncInReview")
    operator.sees("status", "1 in review")
    (id,) = re.findall(r"`operations roll-back (\w+)`", operator.types("operations list --review"))
    operator.types(f"operations show {id}")
    return str(id)


def in_doubt(stack: Stack, username: str) -> None:
    """Wait until the event of an object that may be this customer's has come."""
    eventually(lambda: stack.database.customers.find_one({"username": username, "review_reason": {"$ne": None}}))


def test_a_review_of_an_object_that_stripe_made_after_all(stack: Stack, operator: Operator) -> None:
    stack.stripe.fault("500_repair", method="POST")
    stack.service.post("/customers", {"username": "made@here.com"})
    (made,) = stack.stripe.repair()
    in_doubt(stack, "made@here.com")

    id = in_review(stack, operator)
    operator.types(f"operations link {id} {made['id']}")

    assert_well(operator)


def test_a_review_of_an_object_that_somebody_else_made(stack: Stack, operator: Operator) -> None:
    stack.stripe.fault("500_before", method="POST")
    stack.service.post("/customers", {"username": "alike@here.com"})
    alike = stack.stripe.dashboard.create("customer", email="alike@here.com")
    in_doubt(stack, "alike@here.com")

    id = in_review(stack, operator)
    assert "Try again after" in operator.types(f"operations roll-back {id}", code=1)
    grow_older(stack.database.customers, "operation.sent_at", username="alike@here.com")
    operator.types(f"operations roll-back {id}")

    assert_well(operator)
    there = {"stripe_id": alike["id"], "status": "active"}
    assert stack.database.customers.find_one(there), "it is taken over as what it is: a customer of the Dashboard's"


def test_a_review_of_an_object_that_stripe_did_not_find(stack: Stack, operator: Operator) -> None:
    product = stack.service.post("/products", {"name": "Lamp"}).body["id"]
    price = stack.service.post("/prices", {"product": product, "currency": "eur", "unit_amount": 990}).body
    stack.stripe.fault("missing", method="GET", path="/v1/prices/*", times=None)
    stack.stripe.dashboard.update("price", price["stripe_id"], nickname="Lamp")
    prices = stack.database.prices
    eventually(lambda: prices.find_one({"stripe_id": price["stripe_id"], "due_at": {"$ne": None}}))
    while not prices.find_one({"stripe_id": price["stripe_id"], "review_reason": {"$ne": None}}):
        Shop(stack).make_all_due()
        assert stack.reconcile()[0] in (0, 1)

    id = in_review(stack, operator)
    operator.does("check the Dashboard", stack.stripe.clear_faults)
    operator.types(f"operations retry {id}")

    assert_well(operator)


def test_a_review_of_money_of_which_nobody_knows_whether_it_moved(stack: Stack, operator: Operator) -> None:
    stack.stripe.fault("cut_before", method="POST", times=None)
    paid = {
        "amount": 990,
        "currency": "eur",
        "allowed_payment_method_types": ["card"],
        "payment_method": "pm_card_visa",
    }
    reply = stack.service.post("/payment-intents", {**paid, "confirm": True})
    assert reply.status == 202, reply
    id = reply.body["id"]
    stack.stripe.clear_faults()
    Shop(stack).make_old(id, timedelta(days=1))
    grow_older(stack.database.payment_intents, "operation.sent_at", operation={"$ne": None})
    stack.reconcile()

    assert in_review(stack, operator) == id
    operator.does("search the Dashboard", lambda: None)  # where it is not
    operator.types(f"operations roll-back {id}")

    assert_well(operator)
    assert not stack.stripe.objects("payment_intent")


def test_a_clock_that_is_off(stack: Stack, operator: Operator) -> None:
    stack.stripe.clock.advance(-400)
    before = scrape(stack)
    for number in range(MANY):
        create(stack, f"too_early{number}@here.com")

    eventually(lambda: rings(stack, "StripeSyncWebhooksRefused", before))
    operator.sees("doctor", "this machine's clock is … s ahead of Stripe's")
    operator.does("keep it in time with NTP", lambda: stack.stripe.clock.advance(400))

    arrives(stack, "in_time@here.com")
    assert_well(operator)


@pytest.mark.parametrize("unique", [False, True], ids=["an index", "a unique index"])
def test_an_index_that_was_dropped(unique: bool, stack: Stack, operator: Operator) -> None:
    arrives(stack, f"found_by_an_index{unique}@here.com")
    customers = stack.database.customers
    known: Any = customers.index_information()
    customers.drop_index(next(name for name, each in known.items() if name != "_id_" and ("unique" in each) == unique))

    if unique:
        operator.sees("doctor", "These unique indexes are missing: customers.…", code=2)
    else:
        operator.sees("reconcile", code=0)
        assert rings(stack, "StripeSyncIndexesWrong")
        operator.sees("status", "these indexes are missing or wrong: customers.…")
    operator.types("indexes")

    assert {*customers.index_information()} == {*known}
    assert_well(operator)


def test_a_process_that_is_another_installation(stack: Stack, operator: Operator) -> None:
    Operator(stack, COLLECTION_PREFIX="biling_").sees("reconcile", code=0)
    assert stack.reconcile()[0] == 0
    grow_older(stack.database.sync_state, "at", _id=HEARTBEAT)

    assert rings(stack, "StripeSyncReconcileSilent")
    operator.sees("status", "reconcile has not run for an hour", code=0)
    operator.sees("doctor", "of the same Stripe account: 'biling_'", code=0)
    for name in stack.database.list_collection_names(filter={"name": {"$regex": "^biling_"}}):
        operator.does("drop the collections of the other", stack.database[name].drop)

    assert_well(operator)


# --- a disk of its own ---


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory, that has room for MongoDB and hardly more."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "none", str(tmp_path)]
    if not find_mongod():
        pytest.skip("this takes a mongod of its own")
    told = subprocess.run(mount, capture_output=True, text=True, check=False)
    if told.returncode:
        pytest.skip(f"no disk became nearly full, as none can be mounted here: {told.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.long  # it takes the right to mount: .ci/run runs it, and says if it cannot
def test_a_disk_that_is_nearly_full(small_disk: Path) -> None:
    larger = ["mount", "-o", "remount,size=4g", str(small_disk)]
    with Mongod(small_disk / "db", fast=True) as mongod, running(mongod.uri("drill")) as stack:
        operator = Operator(well_begun(stack))

        assert rings(stack, "StripeSyncDiskNearlyFull")
        operator.sees("status", "the disk of MongoDB has only … MB left")
        operator.does("give MongoDB a larger disk", lambda: subprocess.run(larger, check=True))

        assert_well(operator)
