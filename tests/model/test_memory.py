"""The simulation in memory: histories hold, a seed is one history, and what is wrong with an engine is found.

`make simulate` runs ten million operations of it, and `python -m tests.model --mutants` says what finds each mutant.
"""

from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient, ReturnDocument

from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.rows.clock import DueReason, from_now, literal
from tests.model.history import run
from tests.model.memory import Store
from tests.model.mutants import MUTANTS, caught
from tests.model.planting import AS_IT_IS, Mutant
from tests.model.remote import KINDS

SEEN = Observation("a GET", "cus_1", {"id": "cus_1", "name": "Ann"}, {"name": "Ann"}, 1, 2)
TRANSITIONS = {
    "claim": lambda row: row.claim(),
    "begin": lambda row: row.begin({"verb": "update", "key": "a key"}),
    "sending": lambda row: row.sending(),
    "defer": lambda row: row.defer("no answer", timedelta(seconds=30)),
    "defer_as_saved": lambda row: row.defer("no answer", timedelta(seconds=30), stored=True),
    "begin_undo": lambda row: row.begin_undo("cus_2", "delete", "a key"),
    "undo_again": lambda row: row.begin_undo("cus_2", "delete", None),
    "spend_undo": lambda row: row.spend_undo(),
    "record_undo": lambda row: row.record_undo("cus_2"),
    "store_snapshot": lambda row: row.store_snapshot(SEEN, operation=None),
    "miss": lambda row: row.miss(timedelta(minutes=5)),
    "bring_back": lambda row: row.bring_back(SEEN),
    "release": lambda row: row.release(),
    "reschedule": lambda row: row.reschedule(timedelta(minutes=5)),
    "roll_back": lambda row: row.roll_back({"type": "rolled-back"}, "a test", in_doubt=True),
    "send_to_review": lambda row: row.send_to_review("a reason"),
    "requeue": lambda row: row.requeue(DueReason.OPERATOR),
}


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_histories_hold(first: int) -> None:
    for seed in range(first, first + 50):
        outcome = run(seed)

        assert outcome.violation is None, outcome.command


def test_the_same_seed_is_the_same_history_to_the_last_effect() -> None:
    first, second = (run(7, tell=True) for _ in range(2))

    assert len(first.trace) > 100
    assert first.trace == second.trace
    assert first.faults == second.faults


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found(mutant: Mutant) -> None:
    assert caught(mutant, mutant.seed) is not None, f"{mutant.name} lives"


def test_a_mutant_leaves_the_engine_as_it_is() -> None:
    before = run(0, tell=True).trace
    MUTANTS[0].plant()

    assert run(0, tell=True).trace == before


@pytest.mark.parametrize("full", [True, False], ids=["with_everything", "with_nothing"])
def test_an_update_does_in_memory_what_it_does_in_mongodb(full: bool, database: str) -> None:
    row, updates = Store(AS_IT_IS).insert(1, KINDS["customer"], status="pending", operation=None), []
    row.store.update = lambda read, changes, by: updates.append({**changes, "at": from_now()})
    now = row.store.now
    if full:
        work = {
            "verb": "create",
            "key": "sms1:ours:customer:1:create:1",
            "attempts": 1,
            "outcome_unknown": False,
            "saved_error_at": None,
            "staged_at": now,
        }
        undo = {"orphan": "cus_2", "way": "delete", "key": "a key", "staged_at": now}
        row.operation, row.undoing, row.orphans, row.missing_since = work, undo, ["cus_2"], now
    row.due_at = row.leased_until = now + timedelta(days=36500)
    fields = {name: value for name, value in vars(row).items() if name not in ("id", "store", "resource")}
    with MongoClient[Any](database, tz_aware=True) as client:
        rows = client.get_default_database()["rows_of_a_test"]
        for name, transition in TRANSITIONS.items():
            if not full and name == "undo_again":
                continue
            transition(row)
            update = updates.pop()
            rows.replace_one({"_id": 1}, fields, upsert=True)
            merged = {name: literal(value) for name, value in update.items()}
            pipeline = [{"$replaceWith": {"$mergeObjects": ["$$ROOT", merged]}}]
            real = rows.find_one_and_update({"_id": 1}, pipeline, return_document=ReturnDocument.AFTER)
            row.store.now = real.pop("at")
            memory = {**vars(row.changed(update)), "_id": 1}

            assert {field: memory[field] for field in real} == real, name
        rows.drop()
