"""The design, walked through completely within stated bounds; and every guard in it, shown to be needed.

Each claim explores every reachable state, judges it, and lets it recover without further faults (`Lifecycle.judge`).
Each mutant drops one guard, and must then be caught. `ordering.py` has no faults to recover from: there, a state in
which nothing is left to do must equal Stripe. `pytest -s` prints the sizes.
"""

from typing import Any

import pytest

from tests.model.explore import Exploration, explore
from tests.model.lifecycle import Lifecycle
from tests.model.ordering import Ordering

CREATE: dict[str, Any] = {"faults": 2}
SLEPT: dict[str, Any] = {"faults": 3}  # enough for a process that sleeps until Stripe has forgotten the key
ALIVE: dict[str, Any] = {"callers": ("update", "delete"), "begin": "linked"}
TWO_CALLS: dict[str, Any] = {"callers": ("update",), "begin": "linked", "two_calls": True}
AMONG_PEOPLE: dict[str, Any] = {"faults": 1, "people": 2, "edits": True}
CLAIMED: dict[str, Any] = {"callers": (), "faults": 1, "begin": "claimed"}
MISSING: dict[str, Any] = {"callers": ("update",), "begin": "linked", "ends": "404", "people": 1}
LASTING: dict[str, Any] = {"callers": ("update",), "begin": "linked", "ends": "never", "people": 1, "edits": True}
LOST: dict[str, Any] = {"callers": (), "begin": "lost", "ends": "404", "people": 1, "reconcilers": 2}
KEPT: dict[str, Any] = {"callers": (), "faults": 2, "people": 1, "begin": "twin", "reconcilers": 2}
ARCHIVED: dict[str, Any] = {"callers": (), "faults": 1, "begin": "archived", "archives": True, "edits": True}


def walk(world: Lifecycle | Ordering) -> Exploration:
    found = explore(world.start(), world.steps, world.judge, world.illegal)
    print(f"\n{world}: {found}")
    return found


LIVES = {
    "a_create_survives_three_faults": SLEPT,
    "two_reconcilers_share_the_work_of_a_create": {"reconcilers": 2},
    "a_create_ends_well_beside_an_operator": {"faults": 2, "people": 1},
    "a_create_ends_well_beside_people_in_the_dashboard": AMONG_PEOPLE,
    "what_cannot_be_deleted_is_archived_and_not_adopted_again": {"people": 1, "edits": True, "archives": True},
    "an_update_and_the_delete_that_replaces_it_end_well": ALIVE,
    "an_update_of_two_calls_is_done_when_both_are": TWO_CALLS,
    "create_update_and_delete_in_a_row_end_well": {"callers": ("create", "update", "delete"), "faults": 1},
    "a_twin_that_a_live_document_claims_is_left_to_the_operator": CLAIMED,
    "what_is_missing_for_a_while_is_not_taken_for_deleted": MISSING,
    "what_is_never_deleted_is_left_to_a_person": LASTING,
    "what_was_wrongly_taken_for_deleted_comes_back": LOST,
    "a_twin_that_the_operator_keeps_is_not_undone": KEPT,
    "an_archived_twin_stays_undone": ARCHIVED,
}


@pytest.mark.parametrize("bounds", LIVES.values(), ids=LIVES.keys())
def test_lifecycle(bounds: dict[str, Any]) -> None:
    found = walk(Lifecycle(**bounds))
    assert not found.wrong, str(found)


# What goes wrong, when a guard is missing: the words that the story of the failure must begin with.
MUTANTS: dict[str, tuple[dict[str, Any], str]] = {
    # who may have which object
    "blind link": (SLEPT, "usable at Stripe"),
    "terminal ignores a late object": (CREATE, "usable at Stripe"),
    "active ignores a duplicate": (SLEPT, "usable at Stripe"),
    "purge instead of a tombstone": (CREATE, "a document is forgotten"),
    "a tombstone keeps the username": (CREATE, "the username is held by the dead"),
    "send before the document is written": (CREATE, "usable at Stripe"),
    # sending
    "new key on retry": (CREATE, "carried out twice"),
    "replay past 23 h": (CREATE, "carried out twice"),
    "keep replaying a stored 5xx": (CREATE, "unfinished for ever"),
    "a doubtful refusal does not spend the key": (CREATE, "unfinished for ever"),
    # giving up
    "roll back without find": (CREATE, "without proof"),
    "roll back at once on a stored 5xx": (CREATE, "without proof"),
    "roll back while a send may be under way": (CREATE, "without proof"),
    "roll back on a refusal after an unknown attempt": (CREATE, "without proof"),
    "a hidden retry hides the doubt": (CREATE, "without proof"),
    "a refusal overlooks another attempt": (CREATE, "usable at Stripe"),
    "settle without the revision guard": (CREATE, "active became pending"),
    "a refused update rolls back the document": (ALIVE, "what was active is rolled back"),
    "a reply clears another operation": (ALIVE, "a deletion was forgotten"),
    "the event of a first call ends the operation": (TWO_CALLS, "half of an update"),
    "a late event undoes the deletion": (ALIVE, "deleted became active"),
    # undoing
    "undo without a tombstone": (AMONG_PEOPLE, "undone although somebody wants it"),
    "one 404 is proof": (MISSING, "marked as deleted, and still there"),
    "what is never deleted is taken for deleted": (LASTING, "marked as deleted, and still there"),
    "brought back by the list alone": (LOST, "brought back without a look"),
    "brought back and not looked at again": (LOST, "usable at Stripe"),
    "undo after the lease": (KEPT, "undone although somebody wants it"),
    "an undo is sent and not written": (KEPT, "undone although somebody wants it"),
    "an undo is written without the revision guard": (KEPT, "undone although somebody wants it"),
    "keep what is being undone": (KEPT, "undone although somebody wants it"),
    "undo what a live document claims": (CLAIMED, "undone although somebody wants it"),
    "events about twins are not located": (ARCHIVED, "undone although somebody wants it"),
    # events
    "an event counts as applied before its effect": (CREATE, "usable at Stripe"),
    "no event sweep": (CREATE, "events never applied"),
    "adopt while in doubt": (CREATE, "usable at Stripe"),
    "adopt from an old event without a look": (AMONG_PEOPLE, "made by others"),
    "a candidate's event counts as applied": (AMONG_PEOPLE, "made by others"),
    "a deletion of something unknown is dropped": (AMONG_PEOPLE, "made by others"),
    "a link by an event needs no look": (AMONG_PEOPLE, "usable at Stripe"),
    "a reply gives back a lease that ran out": (AMONG_PEOPLE, "usable at Stripe"),
}


@pytest.mark.parametrize("broken", MUTANTS)
def test_lifecycle_needs_its_guard_against(broken: str) -> None:
    bounds, wrong = MUTANTS[broken]
    found = walk(Lifecycle(broken=broken, **bounds))
    assert wrong in found.wrong, str(found)


@pytest.mark.parametrize(
    "bounds", [{"faults": 1, "reconcilers": 2}, ALIVE | {"faults": 1}], ids=["create", "update_and_delete"]
)
def test_leases_save_calls_and_nothing_else(bounds: dict[str, Any]) -> None:
    """Without them two processes may send the same key at once, which Stripe makes one: revisions carry the safety."""
    found = walk(Lifecycle(broken="lease ignored", **bounds))
    assert not found.wrong, str(found)


BACK_AGAIN: dict[str, Any] = {"contents": "BA"}  # others change the object, and change it back
LISTED: dict[str, Any] = {"lists": 1, "lookers": 1}  # a backfill or a full comparison reads the list meanwhile
ERASED: dict[str, Any] = {"contents": "B", "erases": True, "lookers": 1}
UNREAD: dict[str, Any] = BACK_AGAIN | {"events_only": True, "seconds": 3}
CHOSEN_ID: dict[str, Any] = {"contents": "", "earlier_life": True, "deletes": True}
SIGHTS: dict[str, dict[str, Any]] = {
    "a_document_ends_as_stripe_has_it_whatever_the_order_of_events": BACK_AGAIN,
    "three_seconds_and_one_looker": BACK_AGAIN | {"seconds": 3, "lookers": 1},
    "our_own_update_beside_the_events": {"contents": "", "posts": 2, "seconds": 3, "lookers": 1},
    "deletion_is_final": {"contents": "B", "deletes": True, "lookers": 1},
    "the_deletion_of_an_earlier_life_of_a_chosen_id_is_not_this_one": CHOSEN_ID,
    "a_page_of_the_list_beside_the_events": BACK_AGAIN | LISTED,
    "two_readers_of_the_list": LISTED | {"contents": "B", "lists": 2},
    "deletion_is_final_beside_a_page_of_the_list": LISTED | {"contents": "B", "deletes": True},
    "a_chosen_id_lives_again_beside_a_page_of_the_list": LISTED | CHOSEN_ID,
    "what_is_erased_stays_erased_and_in_step": ERASED,
    "what_is_erased_stays_so_beside_a_page_of_the_list": LISTED | ERASED | {"contents": ""},
    "what_no_get_reads_ends_as_the_same_in_every_order": UNREAD,
}


@pytest.mark.parametrize("bounds", SIGHTS.values(), ids=SIGHTS.keys())
def test_ordering(bounds: dict[str, Any]) -> None:
    found = walk(Ordering(**bounds))
    assert not found.wrong, str(found)


SHORT_SIGHTED: dict[str, tuple[dict[str, Any], str]] = {
    "a tie is dropped": (BACK_AGAIN, "ends behind Stripe"),
    "a tie leaves the revision": (BACK_AGAIN, "ends behind Stripe"),
    "the same content leaves the revision": (BACK_AGAIN, "ends behind Stripe"),
    "the same content does not advance snapshot_earliest": (BACK_AGAIN, "ends behind Stripe"),
    "an older event is taken": (BACK_AGAIN, "ends behind Stripe"),
    "an event in the doubt is taken": (BACK_AGAIN, "ends behind Stripe"),
    "a replayed reply is trusted": (BACK_AGAIN, "ends behind Stripe"),
    "a reply older than the snapshot is taken": (BACK_AGAIN, "ends behind Stripe"),
    "a reply that overlaps the snapshot is taken": (BACK_AGAIN, "ends behind Stripe"),
    "a page older than the snapshot is taken": (BACK_AGAIN | LISTED, "ends behind Stripe"),
    "a page that overlaps the snapshot is taken": (BACK_AGAIN | LISTED, "ends behind Stripe"),
    "a GET is written without the revision guard": (BACK_AGAIN, "ends behind Stripe"),
    "the revision is read after the GET": (BACK_AGAIN, "ends behind Stripe"),
    "a look that missed is not repeated": (BACK_AGAIN, "ends behind Stripe"),
    "an event in the doubt asks for no look after the reply": (BACK_AGAIN, "ends behind Stripe"),
    "a deletion in the doubt is taken": (CHOSEN_ID, "marked as deleted, and still there"),
    "an erased person's content is taken": (ERASED, "what was erased came back"),
    "the last told of a second is taken": (UNREAD, "ends behind Stripe"),
    "a deletion is taken by a document without a sight": (CHOSEN_ID, "marked as deleted, and still there"),
}


@pytest.mark.parametrize("broken", SHORT_SIGHTED)
def test_ordering_needs_its_guard_against(broken: str) -> None:
    bounds, wrong = SHORT_SIGHTED[broken]
    found = walk(Ordering(broken=broken, **bounds))
    assert wrong in found.wrong, str(found)
