"""The two decisions about a document, which have no effect: what an observation changes in it, and what it needs.

`merge` and `diagnose` read facts, and touch neither MongoDB nor Stripe. The engine calls them between a read and a
conditional update, and decides again if another writer was faster; `tests/model` calls the very same functions in
every state that the model can reach. Read both from the top: the first case that fits is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from stripe_mongo_sync.models.base.facts import Facts, Observation, Status
from stripe_mongo_sync.models.rows.clock import IDLE, LEASE, DueReason, from_now

Changes = dict[str, Any]  # the new values of fields; a time is an expression, so that MongoDB's clock gives it


# --- what an observation changes ---


def merge(facts: Facts, seen: Observation) -> Changes | None:
    """Return what an observation changes in a document, whatever its status. None: nothing, as it shows nothing new.

    Webhooks, API replies and reconcile may come in any order, twice, or at the same time. {} is a change, too: the
    revision, by which a read of the object that is in progress starts over.
    """
    if seen.deleted:
        return _merge_deletion(facts, seen)
    if seen.stripe_id in facts.orphans or seen.stripe_id in facts.undone_orphans:
        return None
    if facts.status == Status.PENDING:
        return _linked(facts, seen) | _snapshot(facts, seen) | _confirmed(facts, seen)
    if not facts.has(seen.stripe_id):
        return _orphan(facts, seen)
    if facts.status == Status.DELETED:
        return None
    if later := facts.age_of(seen):  # that its id has a later object proves that its own was deleted
        return _ended(facts) | _confirmed(facts, seen) if later > 0 else None
    if seen.event and _is_older(facts, seen) and not _completes(facts, seen):
        return None if facts.confirmed_at else _confirmed(facts, seen)
    if seen.remote is not None and not facts.may_be_of_another(seen):
        rest = _work(facts, seen) | _confirmed(facts, seen) | _found(facts)
        if _is_newer(facts, seen) and not facts.erased:  # equal content, too: its links are newer
            return _snapshot(facts, seen) | rest
        if facts.digest == (seen.scrubbed_digest if facts.erased else seen.digest):
            lacking = not (facts.erased or facts.is_as(seen))  # what an event cannot show, and no digest counts
            return (_content(facts, seen) if lacking else {}) | _times(facts, seen) | rest
    if seen.events_only:
        if (seen.digest or "") > (facts.digest or "") and not facts.erased:
            return _snapshot(facts, seen) | _confirmed(facts, seen)
        return None
    return _in_doubt(facts, seen)


def leaves_doubt(facts: Facts, seen: Observation) -> bool:
    """Whether the content of a document is still in doubt after it has merged an observation: a refresh is due."""
    older = seen.event and _is_older(facts, seen)
    return facts.stripe_id == seen.stripe_id and facts.is_current and not facts.is_as(seen) and not older


def _merge_deletion(facts: Facts, seen: Observation) -> Changes | None:
    if seen.stripe_id in facts.orphans:
        return _undone(facts, seen.stripe_id)
    if facts.status == Status.PENDING:
        return _linked(facts, seen) | _ended(facts)
    if not facts.has(seen.stripe_id) or facts.status == Status.DELETED or _is_older(facts, seen):
        return None
    # A deletion in the same seconds may be of an earlier object with a chosen id, or of one linked unseen.
    if not seen.event or (_is_newer(facts, seen) and facts.digest is not None):
        content = {} if seen.remote is None or facts.erased else _content(facts, seen)
        return _ended(facts) | _confirmed(facts, seen) | content
    return _in_doubt(facts, seen)


def _is_older(facts: Facts, seen: Observation) -> bool:
    return facts.snapshot_earliest is not None and seen.latest < facts.snapshot_earliest


def _is_newer(facts: Facts, seen: Observation) -> bool:
    return facts.snapshot_latest is None or seen.earliest > facts.snapshot_latest


def _completes(facts: Facts, seen: Observation) -> bool:
    """Whether it proves that the pending operation was carried out."""
    return seen.completed_key is not None and facts.key == seen.completed_key


def _due(facts: Facts, reason: DueReason, delay: timedelta = timedelta()) -> Changes:
    """Return what makes a document due that is not."""
    return {} if facts.due_at is not None else {"due_at": from_now(delay), "due_reason": reason}


def _rest(facts: Facts, seen: Observation) -> Changes:
    """Return what stays due. Only Stripe's reply to the first attempt is complete, and ends the work of its sender;
    after anything else, after its sender's lease, or where something else is due, a refresh follows.
    """
    if seen.event or seen.remote is None:
        return _due(facts, DueReason.REFRESH, LEASE)
    in_time = seen.lease is not None and facts.leased_until == seen.lease and seen.lease > facts.now
    complete = in_time and facts.due_reason == DueReason.UNFINISHED and not facts.orphans
    return IDLE if complete else _due(facts, DueReason.REFRESH)


def _review(facts: Facts) -> str | None:
    """Return the review that stays: one about an orphan, of which this shows nothing."""
    return facts.review_reason if facts.orphans else None


def _work(facts: Facts, seen: Observation) -> Changes:
    if _completes(facts, seen):
        return {"operation": None, "error": seen.error, "review_reason": _review(facts), **_rest(facts, seen)}
    late = not seen.event and seen.remote is not None and facts.key is None and facts.due_at is not None
    return _rest(facts, seen) if late else {}  # its reply comes after its event


def _confirmed(facts: Facts, seen: Observation) -> Changes:
    return {"confirmed_at": from_now()} if seen.event and facts.confirmed_at is None else {}


def _found(facts: Facts) -> Changes:
    """Return the end of a search: the object was not found before and is seen now, so a refresh is due."""
    found = {"missing_since": None, "review_reason": None, **_due(facts, DueReason.REFRESH)}
    return found if facts.missing_since else {}


def _in_doubt(facts: Facts, seen: Observation) -> Changes:
    """Return what makes a refresh due: also after the reply to a request that is in flight."""
    soon = facts.due_at is not None and facts.due_at <= facts.now + LEASE
    due = {"due_at": facts.due_at if soon else from_now(LEASE), "due_reason": DueReason.REFRESH}
    return _work(facts, seen) | _confirmed(facts, seen) | _found(facts) | due


def _times(facts: Facts, seen: Observation) -> Changes:
    earliest = max(facts.snapshot_earliest or seen.earliest, seen.earliest)
    return {"snapshot_earliest": earliest, "snapshot_latest": max(facts.snapshot_latest or seen.latest, seen.latest)}


def _content(facts: Facts, seen: Observation) -> Changes:
    stored = facts.snapshot or {}
    unshown = {name: stored[name] for name in seen.unshown if name in stored}
    remote = {**unshown, **seen.remote} if unshown and seen.remote is not None else seen.remote
    return {"stripe": remote, "digest": seen.digest, "links_seen_at": seen.links_seen_at}


def _snapshot(facts: Facts, seen: Observation) -> Changes:
    return seen.fields | _content(facts, seen) | _times(facts, seen)


def _linked(facts: Facts, seen: Observation) -> Changes:
    ended = {"operation": None, "error": seen.error, "review_reason": None, **_rest(facts, seen)}
    return {"status": Status.ACTIVE, "stripe_id": seen.stripe_id, "in_doubt": False, **ended}


def _ended(facts: Facts) -> Changes:
    ended = {"operation": None, "in_doubt": False, "missing_since": None, "review_reason": _review(facts)}
    return {"status": Status.DELETED, **ended, **({} if facts.orphans else IDLE)}


def _orphan(facts: Facts, seen: Observation) -> Changes:
    due = {} if facts.review_reason else _due(facts, DueReason.ORPHAN)
    return {"orphans": [*facts.orphans, seen.stripe_id], "finished_at": None, **due}


def _undone(facts: Facts, orphan: str) -> Changes:
    left = [one for one in facts.orphans if one != orphan]
    undoing = {"undoing": None} if facts.undoing == orphan else {}
    review = {} if left else {"review_reason": None}
    undone = [*facts.undone_orphans, *([] if orphan in facts.undone_orphans else [orphan])]
    return {"orphans": left, "undone_orphans": undone, **_due(facts, DueReason.REFRESH), **undoing, **review}


# --- what a document needs ---


class RemoteState(StrEnum):
    """What a check of the object found."""

    NOT_CHECKED = "not looked"
    PRESENT = "there"
    UP_TO_DATE = "there, as the operation wants it"
    DELETED = "proved gone"
    MISSING = "not found"
    LOST = "not found, and never deleted"
    CANDIDATE = "something that may be it"
    NEVER_CREATED = "proved never there"


class Remedy(StrEnum):
    """What to do. The values are the names of the counts in reports."""

    SEND = "send"  # the operation, with its own key and frozen parameters
    FIND = "find"  # search Stripe for an object of this key
    LOOK = "look"  # read the object as it is
    LINK = "link"
    REFRESH = "refresh"
    DONE = "done"  # complete the operation, which Stripe has done
    EXPIRE = "expire"  # abandon the operation, which Stripe has not done and which is too old to send
    ROLL_BACK = "roll_back"
    MISS = "missing"  # record that it was not found, and check again in a later run
    MARK_DELETED = "mark_deleted"
    UNDO = "undo"
    WAIT = "wait"
    REVIEW = "review"
    LEAVE = "leave"


@dataclass(frozen=True)
class Rule:
    """One line of the table. `local` and `remote` are its words in docs/ARCHITECTURE.md."""

    local: str
    remote_states: tuple[RemoteState, ...]  # none: whatever it is
    remedy: Remedy
    conditions: tuple[Callable[[Facts], bool], ...]

    @property
    def remote(self) -> str:
        """Return the words for the remote state."""
        return self.remote_states[0] if self.remote_states else "whatever"

    def fits(self, facts: Facts, remote_state: RemoteState) -> bool:
        """Whether this line is about such a document."""
        checked = not self.remote_states or remote_state in self.remote_states
        return checked and all(condition(facts) for condition in self.conditions)


def _pending(facts: Facts) -> bool:
    return facts.status == Status.PENDING


def _active(facts: Facts) -> bool:
    return facts.status == Status.ACTIVE


def _live(facts: Facts) -> bool:
    return facts.is_current


def _deleting(facts: Facts) -> bool:
    return _active(facts) and facts.verb == "delete"


def _updating(facts: Facts) -> bool:
    return _active(facts) and facts.verb not in (None, "delete")


def _replayable(facts: Facts) -> bool:
    return facts.replayable


def _quiet(facts: Facts) -> bool:
    return facts.nothing_in_flight


def _busy(facts: Facts) -> bool:
    return not facts.nothing_in_flight


def _money(facts: Facts) -> bool:
    return facts.moves_money


def _rule(local: str, remote_states: tuple[RemoteState, ...], remedy: Remedy, *when: Callable[[Facts], bool]) -> Rule:
    return Rule(local, remote_states, remedy, when)


S, R = RemoteState, Remedy
TABLE: tuple[Rule, ...] = (
    _rule("in review", (), R.LEAVE, lambda facts: facts.review_reason is not None),
    _rule("a key of another installation", (), R.REVIEW, lambda facts: facts.other_installation),
    _rule("an orphan to undo", (), R.UNDO, lambda facts: bool(facts.orphans)),
    _rule("pending", (S.PRESENT, S.UP_TO_DATE), R.LINK, _pending),
    _rule("pending", (S.CANDIDATE,), R.REVIEW, _pending),
    _rule("pending, key replayable", (S.NOT_CHECKED,), R.SEND, _pending, _replayable),
    _rule("pending, key not replayable", (S.NOT_CHECKED,), R.FIND, _pending),
    _rule("pending, moves money", (S.NEVER_CREATED,), R.REVIEW, _pending, _money),
    _rule("pending, nothing under way", (S.NEVER_CREATED,), R.ROLL_BACK, _pending, _quiet),
    _rule("pending, something may be under way", (S.NEVER_CREATED,), R.WAIT, _pending),
    _rule("active", (S.DELETED,), R.MARK_DELETED, _active),
    _rule("active, not found a run ago", (S.MISSING,), R.MARK_DELETED, _active, lambda facts: facts.missed),
    _rule("live", (S.MISSING,), R.MISS, _live),
    _rule("live", (S.LOST,), R.REVIEW, _live),
    _rule("active, delete pending", (), R.SEND, _deleting),
    _rule("active, update pending, key replayable", (S.NOT_CHECKED,), R.SEND, _updating, _replayable),
    _rule("active, update pending, key not replayable", (S.NOT_CHECKED,), R.LOOK, _updating),
    _rule("active, update pending", (S.UP_TO_DATE,), R.DONE, _updating),
    _rule("active, update pending, moves money", (S.PRESENT,), R.REVIEW, _updating, _money),
    _rule("active, update pending, something may be under way", (S.PRESENT,), R.WAIT, _updating, _busy),
    _rule("active, update pending", (S.PRESENT,), R.EXPIRE, _updating),
    _rule("active", (S.NOT_CHECKED,), R.LOOK, _active),
    _rule("active", (S.PRESENT, S.UP_TO_DATE), R.REFRESH, _active),
    _rule("rolled back or deleted", (), R.LEAVE, lambda facts: not _live(facts)),
)


def diagnose(facts: Facts, remote_state: RemoteState) -> Remedy:
    """Return the remedy for a claimed document and the remote state of its object."""
    return next(rule.remedy for rule in TABLE if rule.fits(facts, remote_state))
