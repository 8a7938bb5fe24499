"""What `status` asks of MongoDB: an index answers each of its questions, and its alarms are no false ones."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.monitoring import CommandStartedEvent

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, Status, created_kinds, kinds
from stripe_mongo_sync.models.base.birth import DEFAULTS
from stripe_mongo_sync.models.event import EventState
from stripe_mongo_sync.models.rows import clock, tally
from stripe_mongo_sync.sync.operator.status import AGES, status
from stripe_mongo_sync.sync.operator.views.figures import figures
from stripe_mongo_sync.sync.operator.views.gauges import exposition
from tests.support import samples
from tests.support.events import event
from tests.support.heard import Listener
from tests.support.mongo import our_database
from tests.support.run import Run
from tests.support.scraped import Scrape
from tests.support.world import World

READS = ("find", "count", "aggregate", "distinct")
HEARD = ("command", "lsid", "$db", "$clusterTime", "maxTimeMS", "$readPreference", "txnNumber")
BY_AN_INDEX = {"IXSCAN", "COUNT_SCAN", "IDHACK", "EXPRESS_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN"}
NOTHING_READ = {"LIMIT", "COUNT", "OR", "RETURN_KEY", "PROJECTION_COVERED", "PROJECTION_DEFAULT", "PROJECTION_SIMPLE"}
FAST = {"RECORD_STORE_FAST_COUNT", "EOF"}


class Questions(Listener):
    """Notes what is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.listening = False

    @contextmanager
    def noted(self) -> Iterator[list[dict[str, Any]]]:
        self.asked, self.listening = [], True
        try:
            yield self.asked
        finally:
            self.listening = False

    def started(self, event: CommandStartedEvent) -> None:
        if self.listening:
            self.asked.append({name: value for name, value in event.command.items() if name not in HEARD})


def stages(plan: Any) -> Iterator[str]:
    """Yield every stage of a plan."""
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan["stage"]
        for inner in plan.values():
            yield from stages(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from stages(inner)


def parts(read: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what one round trip asks, one by one: each collection answers its part by itself."""
    if "aggregate" not in read:
        return [read]
    own = [stage for stage in read["pipeline"] if "$unionWith" not in stage]
    unions = [stage["$unionWith"] for stage in read["pipeline"] if "$unionWith" in stage]
    asked = [(read["aggregate"], own), *((union["coll"], union["pipeline"]) for union in unions)]
    return [{"aggregate": name, "pipeline": pipeline, "cursor": {}} for name, pipeline in asked]


def fill(many: int) -> None:
    """Put rows of every sort there, as a large shop has them after an outage: raw, as only their number counts."""
    now = clock.now()

    def old(number: int) -> Any:
        return now - timedelta(hours=2 + number)

    for kind in ("customer", "order", "product", "charge"):
        rows = [
            {
                **DEFAULTS,
                **{
                    "_id": ObjectId(),
                    "status": state,
                    "is_current": state in ("active", "pending"),
                    "created_at": old(number),
                },
                **{"revision": 1, "stripe_id": f"{kind}_{state}_{number}", "stripe": {"a": "b" * 100}},
                "confirmed_at": now if number % 2 else None,
                "due_at": old(number) if number % 3 else None,
                "review_reason": "look" if number % 7 == 0 and kind != "charge" else None,
                "operation": {"staged_at": old(number), "verb": "update"} if number % 5 else None,
                **(
                    {"notices": [{"id": f"{number}:{n}", "at": old(number + n)} for n in range(2)]}
                    if number % 4 == 0
                    else {}
                ),
            }
            for state in (Status if kind != "charge" else (Status.ACTIVE, Status.DELETED))
            for number in range(many)
        ]
        model = kinds()[kind]
        model.insert_collection().insert_many(rows)
    Event.insert_collection().insert_many(
        {
            "_id": f"evt_{state}_{number}",
            "state": state,
            "received_at": old(number),
            "raw": b"x" * 1000,
            "via": "webhook",
        }
        | ({"due_at": old(number)} if state in ("received", "waiting") else {})
        | ({"notices": [{"id": f"{number}", "at": old(number)}]} if number % 4 == 0 else {})
        for state in EventState
        for number in range(many)
    )
    Delivery.insert_collection().insert_many(
        {"_id": f"{state}:{number}", "state": state, "occurred_at": old(number), "event_body": b"x" * 1000}
        | ({"due_at": old(number)} if state == "pending" else {})
        for state in ("pending", "done", "dead")
        for number in range(many)
    )
    Erasure.insert_collection().insert_many(
        {
            "_id": ObjectId(),
            "stripe_ids": [f"cus_{number}"],
            "requested_at": old(number),
            "scrubbed_at": now if number else None,
        }
        | {"due_at": now}
        for number in range(many)
    )


def by_indexes(asked: list[dict[str, Any]]) -> tuple[int, set[str]]:
    """Check that an index answers each of these questions; return how many there are, and by which stages."""
    assert {next(iter(each)) for each in asked} <= {*READS, "hello", "listCollections", "dbStats"}
    reads = [part for each in asked if next(iter(each)) in READS for part in parts(each)]
    seen: set[str] = set()
    for read in reads:
        told = our_database().command(
            "explain",
            read,
            verbosity="executionStats",
            codec_options=CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO),
        )
        read_first = told["stages"][0]["$cursor"] if "stages" in told else told
        plan = {*stages(read_first["queryPlanner"]["winningPlan"])}
        seen |= plan
        if "aggregate" in read and not read["pipeline"][0]["$match"]:  # whether there is any row at all
            assert read["pipeline"][1] == {"$limit": 1}
            continue
        assert plan <= BY_AN_INDEX | NOTHING_READ | FAST, (read, plan)
        by_its_id = plan <= {"IDHACK", "EXPRESS_IXSCAN", "LIMIT", "PROJECTION_SIMPLE"}
        assert read_first["executionStats"]["totalDocsExamined"] <= by_its_id, read
        if "count" in read:
            assert read.get("limit") == tally.MOST or "query" not in read
        elif "aggregate" in read:
            assert read["pipeline"][1]["$limit"] in (1, tally.MOST), read
        elif not by_its_id:
            assert (read["limit"], told["executionStats"]["totalKeysExamined"] <= 3) == (1, True), read
    return len(reads), seen


@pytest.mark.parametrize("heartbeat", ["never ran", "ran"])
def test_an_index_answers_every_question_of_status(new_database: str, heartbeat: str) -> None:
    questions = Questions()
    world = World(new_database, listeners=(questions,))
    try:
        if heartbeat == "ran":
            world.reconcile()
        fill(60)

        with questions.noted() as asked:
            health = status()

        assert len(health.findings) >= 7, "everything was there to be found"
        assert len(asked) < 60, "each is one more wait"
        reads, seen = by_indexes(asked)
        assert reads > 90
        assert "COUNT_SCAN" in seen
    finally:
        world.stop()


def test_what_status_says_is_what_is_there(new_database: str) -> None:
    world = World(new_database)
    try:
        fill(60)
        facts = status().facts

        assert facts["documents"]["customers"] == dict.fromkeys(map(str, Status), 60)
        assert facts["documents"]["charges"] == {"active": 60, "deleted": 60}
        assert facts["documents"]["coupons"] == {}
        assert facts["events"] == dict.fromkeys(map(str, EventState), 60)
        assert facts["review"] == Customer.objects(review_reason__type="string").count() * 3
        assert facts["overdue"] == 40 * (4 * 3 + 2)
        assert facts["overdue_events"] == 120
        assert facts["unconfirmed"] == 30 * 2, "no webhook confirms an order"
        assert facts["hooks"] == {"pending": 60 + 15 * (4 * 3 + 2 + 6), "dead": 60}
        near = timedelta(minutes=5)
        assert abs(facts["oldest_operation"] - timedelta(hours=2 + 59)) < near
        assert abs(facts["oldest_notice"] - timedelta(hours=2 + 59)) < near
        assert abs(facts["oldest_overdue"] - timedelta(hours=2 + 59)) < near
        assert abs(facts["oldest_open_event"] - timedelta(hours=2 + 59)) < near
    finally:
        world.stop()


@pytest.mark.parametrize("state", ["pending", "dead"])
def test_a_delivery_without_a_time_ends_no_status(world: World, state: str) -> None:
    Delivery._get_collection().insert_one({"_id": "of others", "state": state})

    assert status().facts["hooks"][state] == 1


def test_a_count_reads_no_more_than_so_many_entries(new_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST", 20)
    questions = Questions()
    world = World(new_database, listeners=(questions,))
    try:
        rows = [
            {**DEFAULTS, "_id": ObjectId(), "status": "active" if n else "pending", "created_at": clock.now()}
            for n in range(90)
        ]
        Customer._get_collection().insert_many(rows)

        with questions.noted() as asked:
            facts = status().facts

        assert facts["documents"]["customers"] == {"active": 89, "pending": 1}, "about as many as there are"
        reads = [part for each in asked if "aggregate" in each for part in parts(each)]
        limits = {part["pipeline"][1]["$limit"] for part in reads if "$count" in str(part)}
        assert limits == {20}
    finally:
        world.stop()


def test_open_carts_and_what_no_webhook_confirms_are_no_sign_that_webhooks_do_not_arrive(
    world: World, run: Run
) -> None:
    run("reconcile")
    unannounced = [kind for kind, model in created_kinds().items() if not model.resource.has_created_event]
    assert {"checkout.session", "order", "payment_method", "shipping_rate"} <= {*unannounced}
    for kind in unannounced:
        for number in range(4):
            samples.create(kind, f"{number}")
    world.deliver()
    world.advance(days=2)
    run("reconcile")

    code, told = run("status")

    assert (code, told["unconfirmed"], told["problems"]) == (0, 0, [])


def test_what_a_webhook_should_have_confirmed_counts(world: World, run: Run) -> None:
    has_created_event = {kind: model for kind, model in created_kinds().items() if model.resource.has_created_event}
    for kind in has_created_event:
        assert samples.create(kind, kind.replace("_", "-")).confirmed_at is None
    world.webhooks()  # which never arrive
    allow_unknown = [model.objects(confirmed_at=None, status="active").count() for model in has_created_event.values()]
    world.advance(hours=2)

    assert all(allow_unknown)
    assert run("status")[1]["unconfirmed"] == sum(allow_unknown)


# --- whether webhooks arrive ---


def warned(run: Run) -> list[str]:
    return [told for told in run("status")[1]["warnings"] if "webhook" in told]


def runs_pass(world: World) -> None:
    """Let reconcile run as it should."""
    for _ in range(3):
        world.advance(minutes=5)
        world.reconcile()


def dropped(world: World, count: int) -> None:
    """Create customers of whom no webhook tells."""
    for number in range(count):
        sync.create_customer(f"dropped{number}@here.com")
    world.webhooks()  # which never arrive
    runs_pass(world)


def test_webhooks_that_do_not_arrive_are_noticed_though_reconcile_reads_their_events(world: World, run: Run) -> None:
    world.reconcile()
    dropped(world, 20)

    code, told = run("status")

    assert told["unconfirmed"] == 0, "reconcile has confirmed them"
    assert (code, len(warned(run))) == (0, 1)
    assert "100% of the newest events came by no webhook" in warned(run)[0]
    assert Scrape(exposition().decode()).value("events_without_webhook_ratio") == 1
    assert sum(figures().events) == 0

    for number in range(20):
        sync.create_customer(f"arrived{number}@here.com")
    world.deliver()
    runs_pass(world)
    assert warned(run) == []
    assert sum(figures().events) == 20


@pytest.mark.parametrize("case", ["few", "late", "old", "ignored", "undated"])
def test_what_says_nothing_about_webhooks_is_no_sign_that_they_do_not_arrive(world: World, run: Run, case: str) -> None:
    world.reconcile()
    match case:
        case "few":
            dropped(world, 4)
        case "late":  # by then, each has come after all
            for number in range(20):
                sync.create_customer(f"late{number}@here.com")
            late = world.webhooks()
            world.advance(minutes=5)
            world.reconcile()
            world.deliver(late)
            runs_pass(world)
        case "old":  # the first run of all, or one after a long outage
            for number in range(20):
                sync.create_customer(f"old{number}@here.com")
            world.webhooks()
            world.advance(hours=2)
            runs_pass(world)
        case "ignored":  # an endpoint need not send what is of no kind here
            for _ in range(20):
                told = event("balance.available", {"object": "balance"}, int(clock.now().timestamp()))
                Event.record(json.loads(told), told, EventState.IGNORED)
            runs_pass(world)
        case "undated":  # as somebody may have edited it
            dropped(world, 20)
            Event.own_rows().update_many({}, {"$set": {"created": "text"}})
            runs_pass(world)

    assert warned(run) == []


# --- what MongoDB needs ---


def test_a_disk_that_is_nearly_full_is_told(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Scrape(exposition().decode()).value("mongodb_disk_free_bytes")
    monkeypatch.setattr("stripe_mongo_sync.sync.operator.mongodb.LITTLE", left * 2)

    code, told = run("status")

    assert code == 1
    assert "the disk of MongoDB has only" in told["problems"][0]


def test_json_tells_times_as_the_api_does_and_durations_in_seconds_too(world: World, run: Run) -> None:
    world.reconcile()
    told = run("status")[1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["last_reconcile"])
    assert {name: told[f"{name}_seconds"] for name in AGES} == dict.fromkeys(AGES)
    world.stripe.fault("cut_before", method="POST", times=2)
    sync.create_customer("user@here.com")
    world.advance(hours=26)

    assert run("status")[1]["oldest_operation_seconds"] == pytest.approx(26 * 3600, abs=60)
