"""Export: what is kept of a person is printed as JSON, all of it, and nothing of anybody else."""

import json

from stripe_mongo_sync import sync
from stripe_mongo_sync.sync.notices.deliver import deliver
from stripe_mongo_sync.sync.personal.erase import erase
from stripe_mongo_sync.sync.personal.export import export
from tests.support import person
from tests.support.answers import untouched
from tests.support.mongo import our_database
from tests.support.person import NAME, TRACES, USERNAME, traces
from tests.support.run import Run
from tests.support.scenes import begin
from tests.support.world import World

KEYS = ("_secret_",)


def test_all_that_an_erasure_would_take_is_printed_but_keys(world: World, run: Run) -> None:
    begin(world, person.live)
    deliver()
    asked = {trace for found in traces(our_database()).values() for trace in found}
    assert asked == set(TRACES)

    with untouched(world):
        code, told = run("export", USERNAME)

    assert code == 0
    assert {name: len(rows) for name, rows in told["kept"].items()} == erase(USERNAME, dry=True).counts
    text = json.dumps(told).lower()
    assert {trace for trace in TRACES if trace in text} == set(TRACES) - {*KEYS}


def test_each_row_is_as_it_is_stored(world: World) -> None:
    customer = sync.create_customer(USERNAME, name=NAME)
    world.deliver()

    told = export(USERNAME)

    (row,) = told["kept"]["customers"]
    assert (row["id"], row["username"], row["name"]) == (str(customer.id), USERNAME, NAME)
    assert row["stripe"]["email"] == USERNAME
    assert row["created_at"].endswith("Z")
    (event,) = told["kept"]["stripe_events"]
    assert event["raw"]["data"]["object"]["name"] == NAME
    assert told["stripe_ids"] == [customer.stripe_id]


def test_nobody_else_is_in_it(world: World) -> None:
    begin(world, person.live)
    other = sync.create_customer("bystander@here.com", description=f"a friend of {USERNAME}")

    told = export("bystander@here.com")

    assert told["customer"] == str(other.id)
    assert [*told["kept"]] == ["customers"]
    assert str(other.id) not in json.dumps(export(USERNAME))


def test_after_an_erasure_it_has_only_what_stays(world: World, run: Run) -> None:
    customer = begin(world, person.live)
    erase(USERNAME)

    code, told = run("export", str(customer.id))

    assert (code, told["customer"]) == (0, str(customer.id))
    assert not [trace for trace in TRACES if trace in json.dumps(told).lower()]


def test_a_name_of_nobody_is_said(world: World, run: Run) -> None:
    assert run("export", "nobody@here.com")[0] == 1
