"""The inbox as an operator sees it: what came, what became of it, and how it is applied again."""

import json
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Event
from stripe_mongo_sync.models.event import MAX_ATTEMPTS, EventState
from stripe_mongo_sync.sync.__main__ import main
from stripe_mongo_sync.sync.inbox.inbox import drain
from tests.support.answers import untouched
from tests.support.in_sync import assert_in_sync
from tests.support.run import Run
from tests.support.world import World

NAME = "user@here.com"


@pytest.fixture
def some(world: World) -> Customer:
    """A customer that was created and changed, and a product, with all their events applied."""
    customer = sync.create_customer(NAME, name="Ann Private")
    world.deliver()
    world.advance(minutes=1)
    world.stripe.dashboard.update("customer", customer.stripe_id, name="Bob Private")
    world.stripe.dashboard.create("product", name="thing")
    world.deliver()
    return customer.fetch_latest()


def types(told: tuple[int, Any]) -> list[str]:
    assert told[0] == 0
    return [one["type"] for one in told[1]]


# --- seeing ---


def test_the_list_is_newest_first_and_can_be_narrowed(world: World, run: Run, some: Customer) -> None:
    assert types(run("events list")) == ["product.created", "customer.updated", "customer.created"]
    assert types(run("events list --type customer.*")) == ["customer.updated", "customer.created"]
    assert types(run("events list --type *.created")) == ["product.created", "customer.created"]
    assert types(run("events list --type customer.updated")) == ["customer.updated"]
    assert types(run("events list --type customer")) == []
    assert types(run("events list --type .*")) == [], "a pattern is no regular expression"
    assert types(run("events list --type **.created")) == ["product.created", "customer.created"]
    assert run("events list --type a*b*c*d*e")[0] == 1, "it would cost the database seconds"
    assert types(run("events list --state applied --limit 1")) == ["product.created"]
    assert types(run("events list --state dead")) == []
    assert types(run("events list --object", some.stripe_id)) == ["customer.updated", "customer.created"]


def test_the_list_reads_the_index_and_not_the_whole_inbox(world: World, some: Customer) -> None:
    where = {"state": {"$in": [str(state) for state in EventState]}}
    plan = json.dumps(Event._get_collection().find(where).sort("received_at", -1).limit(5).explain(), default=str)

    assert "SORT_MERGE" in plan
    assert "COLLSCAN" not in plan


def test_the_body_is_shown_only_to_who_asks(world: World, run: Run, some: Customer) -> None:
    id = run("events list --type customer.created")[1][0]["id"]

    code, told = run("events show", id)
    assert (code, told["id"], told["object"], told["state"]) == (0, id, some.stripe_id, "applied")
    assert (told["via"], told["attempts"], told["replays"]) == ("webhook", 1, 0)
    assert "Private" not in json.dumps(told)
    assert "Private" not in json.dumps(run("events list")[1])

    assert run("events show", id, "--raw")[1]["raw"]["data"]["object"]["name"] == "Ann Private"


def test_it_says_what_came_by_no_webhook(world: World, run: Run) -> None:
    run("reconcile")
    sync.create_customer(NAME)
    world.webhooks()
    run("reconcile")

    assert [one["via"] for one in run("events list")[1]] == ["list"]


def test_text_is_for_people(world: World, some: Customer, capsys: pytest.CaptureFixture[str], dead: Event) -> None:
    assert main(["events", "list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{dead.id} customer.updated {dead.object_id} dead: attempts 15" in line
    assert main(["events", "show", dead.id, "--raw"]) == 0
    out = capsys.readouterr().out
    assert "state: dead" in out
    assert '"previous_attributes"' in out
    assert main(["events", "list", "--state", "stale"]) == 0
    assert capsys.readouterr().out == "no such event was received\n"


def test_what_is_not_there_is_said_and_exits_1(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with untouched(world):
        for line in ("show", "replay", "ignore"):
            for id in ("evt_nowhere", "nonsense", "$where"):
                assert main(["events", line, id]) == 1
                assert "no such event" in capsys.readouterr().err, (line, id)


def test_what_cannot_be_meant_exits_2(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "list --limit 0",
        "list --limit x",
        "list --state odd",
        "replay",
        "replay evt_1 --dead",
        "replay evt_1 --since 2026-01-01",
        "replay --dead --since yesterday",
    ]
    with untouched(world):
        for line in lines:
            with pytest.raises(SystemExit) as ended:
                main(["events", *line.split()])
            assert ended.value.code == 2, line
            assert "usage" in capsys.readouterr().err, line


# --- replaying ---


@pytest.mark.fault("39")
def test_a_dead_event_is_listed_and_can_be_replayed(world: World, run: Run, dead: Event) -> None:
    assert run("reconcile")[0] == 1
    ((listed),) = run("operations list")[1]
    assert (listed["kind"], listed["id"], listed["status"]) == ("event", dead.id, "dead")
    assert listed["error"]

    code, told = run("events replay", dead.id)

    assert (code, told["state"], told["replays"]) == (0, "applied", 1)
    assert told["replayed_at"]
    assert Customer.objects.get().name == "new"
    assert run("reconcile")[0] == 0
    assert_in_sync(world)


def test_a_replay_that_fails_is_tried_again_like_a_new_event(world: World, run: Run, dead: Event) -> None:
    world.stripe.fault("cut_before", method="GET", times=None)

    code, told = run("events replay", dead.id)

    assert (code, told["state"], told["attempts"], told["replays"]) == (1, "received", 1, 1)
    for _ in range(MAX_ATTEMPTS + 1):
        world.advance(hours=2)
        drain()
    assert Event.objects.get().state == "dead"
    world.stripe.clear_faults()
    code, told = run("events replay", dead.id)
    assert (code, told["state"], told["replays"]) == (0, "applied", 2)
    assert_in_sync(world)


def test_an_event_that_stays_dead_can_be_given_up(world: World, run: Run, dead: Event) -> None:
    code, told = run("events ignore", dead.id)

    assert (code, told["state"]) == (0, "ignored")
    assert "given up by an operator" in told["error"]
    assert run("reconcile")[0] == 0
    with untouched(world):
        assert main(["events", "ignore", dead.id]) == 1


def test_any_event_can_be_replayed(world: World, run: Run, some: Customer) -> None:
    for row in Event.objects(object_id=some.stripe_id):
        code, told = run("events replay", row.id)
        assert (code, told["replays"]) == (0, 1)

    assert some.fetch_latest().stripe == some.stripe
    assert_in_sync(world)


@pytest.mark.fault("38")
def test_a_replay_that_dies_is_finished_by_reconcile(world: World, dead: Event) -> None:
    claimed = dead.replay()
    assert claimed is not None
    assert dead.replay() is None, "only one of two operators gets it"

    world.advance(minutes=5)
    drain()

    assert (Event.objects.get().state, Event.objects.get().replays) == ("applied", 1)


@pytest.fixture
def many(world: World) -> list[str]:
    """Three dead events of three customers, an hour apart."""
    customers = [sync.create_customer(name) for name in ("one", "two", "three")]
    world.deliver()
    world.stripe.fault("cut_before", method="GET", times=None)
    world.settings["REVALIDATE"] = "all"
    world.start()
    for customer in customers:
        world.advance(hours=1)
        world.stripe.dashboard.update("customer", customer.stripe_id, name="new")
        world.deliver()
    for _ in range(20):
        world.advance(hours=2)
        drain()
    return [row.id for row in Event.objects(state="dead").order_by("received_at")]


def test_all_dead_ones_are_replayed(world: World, run: Run, many: list[str]) -> None:
    world.stripe.clear_faults()

    code, told = run("events replay --dead")

    assert (code, told["failed"], sum(told["counts"].values())) == (0, [], 3)
    assert {customer.name for customer in Customer.objects} == {"new"}
    assert {row.replays for row in Event.objects(id__in=many)} == {1}
    assert run("events replay --dead") == (0, {"counts": {}, "failed": []})
    world.converge()
    assert_in_sync(world)


def test_only_those_that_came_since_are_replayed(world: World, run: Run, many: list[str]) -> None:
    world.stripe.clear_faults()
    since = Event.objects.get(id=many[1]).received_at

    code, told = run("events replay --dead --since", since.isoformat())

    assert (code, sum(told["counts"].values())) == (0, 2)
    assert [row.id for row in Event.objects(state="dead")] == many[:1]
    assert run("events replay --dead --since 2999-01-01")[1]["counts"] == {}


def test_what_fails_again_is_named_and_exits_1(world: World, run: Run, many: list[str]) -> None:
    code, told = run("events replay --dead")

    assert (code, told["counts"]) == (1, {"received": 3})
    assert [one["id"] for one in told["failed"]] == many
    assert all("GET" in one["error"] for one in told["failed"])


def test_when_everything_fails_the_rest_is_left_dead(
    world: World, run: Run, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stripe_mongo_sync.sync.operator.inbox_admin.MAX_FAILURES_IN_A_ROW", 2)

    code, told = run("events replay --dead")

    assert (code, told["counts"]) == (1, {"received": 2, "dead": 1})
    assert Event.objects(state="dead").count() == 1
