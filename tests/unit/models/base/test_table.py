"""The table: every case of it has one answer, and the documentation says the same."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bson import ObjectId

from stripe_mongo_sync.models import Customer, Operation, Status
from stripe_mongo_sync.models.base.decision import TABLE, Remedy, RemoteState, diagnose
from stripe_mongo_sync.models.base.facts import IN_FLIGHT_LIMIT, KEY_REPLAY_WINDOW, MONEY_REPLAY_WINDOW, Facts
from stripe_mongo_sync.models.rows.keys import IdempotencyKey

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MINE, OTHER = "installation", "another"


def document(
    status: Status = Status.PENDING,
    verb: str | None = None,
    age: timedelta = timedelta(),
    stored: timedelta | None = None,
    installation: str = MINE,
    **fields: object,
) -> Facts:
    key = str(IdempotencyKey.generate(installation, "customer", ObjectId(), verb or "create"))
    operation = None
    if verb:
        failed = None if stored is None else NOW - stored
        operation = Operation(verb=verb, key=key, params={}, staged_at=NOW - age, saved_error_at=failed)
    return Customer(status=status, creation_key=key, operation=operation, **fields).facts(NOW, MINE)


def said(value: object) -> str:
    return f"{value.status} {value.verb}" if isinstance(value, Facts) else str(value)


DAY, YOUNG = timedelta(days=1), timedelta(minutes=1)
CASES = [
    (document(verb="create"), RemoteState.NOT_CHECKED, Remedy.SEND),
    (document(verb="create", age=KEY_REPLAY_WINDOW - YOUNG), RemoteState.NOT_CHECKED, Remedy.SEND),
    (document(verb="create", age=KEY_REPLAY_WINDOW), RemoteState.NOT_CHECKED, Remedy.FIND),
    (document(verb="create", stored=YOUNG), RemoteState.NOT_CHECKED, Remedy.FIND),
    (document(verb="create", stored=YOUNG), RemoteState.NEVER_CREATED, Remedy.WAIT),
    (document(verb="create", stored=IN_FLIGHT_LIMIT), RemoteState.NEVER_CREATED, Remedy.ROLL_BACK),
    (document(verb="create", age=KEY_REPLAY_WINDOW), RemoteState.NEVER_CREATED, Remedy.WAIT),
    (document(verb="create", age=KEY_REPLAY_WINDOW + IN_FLIGHT_LIMIT), RemoteState.NEVER_CREATED, Remedy.ROLL_BACK),
    (document(verb="create", age=DAY), RemoteState.CANDIDATE, Remedy.REVIEW),
    (document(verb="create", age=DAY), RemoteState.PRESENT, Remedy.LINK),
    (document(verb="create", review_reason="why"), RemoteState.NOT_CHECKED, Remedy.LEAVE),
    (document(verb="create", installation=OTHER), RemoteState.NOT_CHECKED, Remedy.REVIEW),
    (document(Status.ROLLED_BACK, orphans=["cus_1"]), RemoteState.NOT_CHECKED, Remedy.UNDO),
    (document(Status.ROLLED_BACK, orphans=["cus_1"], review_reason="why"), RemoteState.NOT_CHECKED, Remedy.LEAVE),
    (document(Status.ROLLED_BACK, orphans=["cus_1"], installation=OTHER), RemoteState.NOT_CHECKED, Remedy.REVIEW),
    (document(Status.ROLLED_BACK), RemoteState.NOT_CHECKED, Remedy.LEAVE),
    (document(Status.DELETED), RemoteState.NOT_CHECKED, Remedy.LEAVE),
    (document(Status.ACTIVE), RemoteState.NOT_CHECKED, Remedy.LOOK),
    (document(Status.ACTIVE, installation=OTHER), RemoteState.NOT_CHECKED, Remedy.LOOK),
    (document(Status.ACTIVE), RemoteState.PRESENT, Remedy.REFRESH),
    (document(Status.ACTIVE), RemoteState.DELETED, Remedy.MARK_DELETED),
    (document(Status.ACTIVE), RemoteState.MISSING, Remedy.MISS),
    (document(Status.ACTIVE, "update", age=DAY), RemoteState.MISSING, Remedy.MISS),
    (document(Status.ACTIVE), RemoteState.LOST, Remedy.REVIEW),
    (document(Status.ACTIVE, "update", age=DAY), RemoteState.LOST, Remedy.REVIEW),
    (document(Status.ACTIVE, orphans=["cus_2"]), RemoteState.NOT_CHECKED, Remedy.UNDO),
    (document(Status.ACTIVE, "update"), RemoteState.NOT_CHECKED, Remedy.SEND),
    (document(Status.ACTIVE, "update", age=DAY), RemoteState.NOT_CHECKED, Remedy.LOOK),
    (document(Status.ACTIVE, "update", stored=YOUNG), RemoteState.NOT_CHECKED, Remedy.LOOK),
    (document(Status.ACTIVE, "update", age=DAY), RemoteState.UP_TO_DATE, Remedy.DONE),
    (document(Status.ACTIVE, "update", stored=YOUNG), RemoteState.PRESENT, Remedy.WAIT),
    (document(Status.ACTIVE, "update", age=DAY), RemoteState.PRESENT, Remedy.EXPIRE),
    (document(Status.ACTIVE, "update", age=DAY), RemoteState.DELETED, Remedy.MARK_DELETED),
    (document(Status.ACTIVE, "delete", age=30 * DAY), RemoteState.NOT_CHECKED, Remedy.SEND),
]


@pytest.mark.parametrize(("facts", "remote_state", "remedy"), CASES, ids=said)
def test_the_table_decides(facts: Facts, remote_state: RemoteState, remedy: Remedy) -> None:
    assert diagnose(facts, remote_state) == remedy


def test_no_case_is_without_an_answer() -> None:
    for status, verb, age, stored, remote_state in itertools.product(
        Status, (None, "create", "update", "delete"), (YOUNG, DAY, 2 * DAY), (None, YOUNG, DAY), RemoteState
    ):
        if status == Status.PENDING and (verb != "create" or remote_state == RemoteState.DELETED):
            continue  # a pending document has a creation to be told, and what was never seen cannot be gone
        if status == Status.ACTIVE and (
            verb == "create" or remote_state in (RemoteState.CANDIDATE, RemoteState.NEVER_CREATED)
        ):
            continue
        diagnose(document(status, verb, age, stored), remote_state)


def test_the_documentation_has_this_table() -> None:
    page = Path("docs/ARCHITECTURE.md").read_text()
    shown = page.split("<!-- table -->")[1].split("<!-- /table -->")[0].strip().splitlines()[2:]

    assert shown == [f"| {row.local} | {row.remote} | `{row.remedy}` |" for row in TABLE]


@pytest.mark.parametrize(
    ("facts", "remote_state", "remedy"),
    [
        (document(verb="create", age=MONEY_REPLAY_WINDOW - YOUNG), RemoteState.NOT_CHECKED, Remedy.SEND),
        (document(verb="create", age=MONEY_REPLAY_WINDOW), RemoteState.NOT_CHECKED, Remedy.FIND),
        (document(verb="create", age=DAY), RemoteState.NEVER_CREATED, Remedy.REVIEW),
        (document(verb="create", age=DAY), RemoteState.PRESENT, Remedy.LINK),
        (document(Status.ACTIVE, "confirm", age=MONEY_REPLAY_WINDOW), RemoteState.NOT_CHECKED, Remedy.LOOK),
        (document(Status.ACTIVE, "confirm", age=DAY), RemoteState.PRESENT, Remedy.REVIEW),
        (document(Status.ACTIVE, "confirm", age=DAY), RemoteState.UP_TO_DATE, Remedy.DONE),
    ],
    ids=said,
)
def test_what_moves_money_is_sent_for_fifteen_minutes_and_never_given_up_on_a_guess(
    facts: Facts, remote_state: RemoteState, remedy: Remedy
) -> None:
    assert diagnose(replace(facts, moves_money=True), remote_state) == remedy


def test_a_key_that_was_edited_is_left_to_an_operator() -> None:
    operation = Operation(verb="create", key="edited", params={}, staged_at=NOW)
    edited = Customer(status=Status.PENDING, creation_key="edited", operation=operation).facts(NOW, MINE)

    assert diagnose(edited, RemoteState.NOT_CHECKED) == Remedy.REVIEW
