"""Values of the installation that were edited by hand in MongoDB: found out again, or refused with what to do."""

from typing import Any

import pytest
from pymongo.database import Database

from stripe_mongo_sync import sync
from stripe_mongo_sync.models.state import INSTALLATION, REMEDY, SHAPES, STRIPE, State
from stripe_mongo_sync.sync.database.schema import settle
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.runs.migrations import migrate
from stripe_mongo_sync.sync.runs.progress import no_progress
from tests.support.in_sync import assert_in_sync
from tests.support.mongo import our_database
from tests.support.world import World


@pytest.fixture
def beside(_worker_database: Database[Any]) -> Database[Any]:
    """The database, by a connection that is not ours."""
    return _worker_database


WRONG = ("text", None, {"a": 1}, 1.5, [7])


def edit(name: str, **changes: Any) -> None:
    our_database().sync_state.update_one({"_id": name}, {"$set": changes}, upsert=True)


def test_what_can_be_found_out_again_is(world: World) -> None:
    sync.create_customer("user@here.com")
    world.deliver()
    world.reconcile(full=True)
    for name in sorted(SHAPES.keys() - REMEDY.keys()):
        shape = SHAPES[name]
        for wrong in WRONG:
            edit(name, value={part: wrong for part, types in shape.items() if not isinstance(wrong, types)})
            our_database().sync_state.update_one({"_id": name}, {"$unset": {"at": ""}})
        edit(name, **{f"value.{part}": None for part, types in shape.items() if type(None) not in types})

    world.start()
    status()
    assert world.reconcile(full=True).exit_code == 0
    migrate(no_progress)
    settle(sync.current().settings)
    assert (State.read("schema") or {}).get("indexes"), "every index was looked at again"
    assert world.reconcile().exit_code == 0
    assert_in_sync(world)


@pytest.mark.parametrize("name", [INSTALLATION, STRIPE])
def test_what_nobody_else_knows_refuses_the_start_and_says_what_to_do(
    world: World, beside: Database[Any], name: str
) -> None:
    world.reconcile()
    part, before = next(iter(SHAPES[name])), State.read(name) or {}
    for value in ({}, {**before, part: 7}):
        beside.sync_state.update_one({"_id": name}, {"$set": {"value": value}})
        with pytest.raises(
            sync.BadSettings, match=f"{name} was edited in MongoDB .*delete it, and {REMEDY[name][:20]}"
        ):
            world.start()


def test_the_time_of_a_value_may_be_missing(world: World) -> None:
    world.reconcile()
    for name in (INSTALLATION, STRIPE, "schema", "migrations", "checkpoint", "heartbeat"):
        our_database().sync_state.update_one({"_id": name}, {"$unset": {"at": ""}})

    world.start()
    status()
    assert world.reconcile().exit_code == 0
