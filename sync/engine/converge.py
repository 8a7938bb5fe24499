"""The decision table: it chooses the one remedy for a document and the remote state of its object.

`diagnose` has no effect: it reads the table below from the top. `resolve.py` checks the object if the table says so,
and applies the remedy, for every overdue document.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from stripe_mongo_sync.models import Status, SyncedDocument
from stripe_mongo_sync.models.rows.sure import sure

KEY_REPLAY_WINDOW = timedelta(hours=23)  # Stripe may forget a key after 24 h: a replay would then create another object
MONEY_REPLAY_WINDOW = timedelta(minutes=15)  # a payment that is made later would surprise its buyer
MAX_EVENT_DISTANCE = timedelta(minutes=5)  # between two 404s that prove an object deleted: one run
IN_FLIGHT_LIMIT = timedelta(minutes=15)  # far longer than a request of ours can be in flight


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
    FOLLOW = "follow"  # recompute a composite document: see sync/engine/composite.py


@dataclass(frozen=True)
class Facts:
    """The conditions that the table reads of a claimed document. Times are MongoDB's."""

    document: SyncedDocument
    now: datetime
    installation: str

    @property
    def verb(self) -> str | None:
        """The verb of the pending operation, if there is one."""
        return self.document.operation.verb if self.document.operation else None

    @property
    def missed(self) -> bool:
        """Whether the object was not found at least one run ago, and has not been seen since."""
        since = self.document.missing_since
        return since is not None and self.now - since >= MAX_EVENT_DISTANCE

    @property
    def other_installation(self) -> bool:
        """Whether another installation staged the operation, so that this database is a clone."""
        operation, orphans = self.document.operation, self.document.orphans
        key = operation.key if operation else self.document.key if orphans else None
        return key is not None and key.split(":")[1] != self.installation

    @property
    def moves_money(self) -> bool:
        """Whether the operation moves money."""
        operation = self.document.operation
        return operation is not None and self.document.resource.moves_money(operation.verb, operation.params)

    @property
    def replayable(self) -> bool:
        """Whether a resend with the same key is safe and can still change something."""
        operation = sure(self.document.operation)
        lasts = MONEY_REPLAY_WINDOW if self.moves_money else KEY_REPLAY_WINDOW
        return operation.stored_failure_at is None and self.now - operation.since < lasts

    @property
    def nothing_in_flight(self) -> bool:
        """Whether no request with this key can still be in flight."""
        operation = sure(self.document.operation)
        lasts = MONEY_REPLAY_WINDOW if self.moves_money else KEY_REPLAY_WINDOW
        since = operation.stored_failure_at or operation.since + lasts
        return self.now - since >= IN_FLIGHT_LIMIT


@dataclass(frozen=True)
class Rule:
    """One line of the table: `local` and `remote` are its words in docs/ARCHITECTURE.md."""

    local: str
    remote: str
    remedy: Remedy
    condition: Callable[[Facts], bool]
    remote_states: frozenset[RemoteState] = frozenset(RemoteState)


def _is(*statuses: Status) -> Callable[[Facts], bool]:
    return lambda facts: facts.document.status in statuses


def _pending(facts: Facts) -> bool:
    return facts.document.status == Status.PENDING


def _operation(*verbs: str) -> Callable[[Facts], bool]:
    return lambda facts: facts.document.status == Status.ACTIVE and facts.verb in verbs


def _updating(facts: Facts) -> bool:
    return facts.document.status == Status.ACTIVE and facts.verb not in (None, "delete")


def _see(*sights: RemoteState) -> frozenset[RemoteState]:
    return frozenset(sights)


S, R = RemoteState, Remedy
TABLE: tuple[Rule, ...] = (
    Rule("in review", "whatever", R.LEAVE, lambda f: f.document.review is not None),
    Rule("a key of another installation", "whatever", R.REVIEW, lambda f: f.other_installation),
    Rule("an orphan to undo", "whatever", R.UNDO, lambda f: bool(f.document.orphans)),
    Rule("pending", "there", R.LINK, _pending, _see(S.PRESENT, S.UP_TO_DATE)),
    Rule("pending", "something that may be it", R.REVIEW, _pending, _see(S.CANDIDATE)),
    Rule("pending, key replayable", "not looked", R.SEND, lambda f: _pending(f) and f.replayable, _see(S.NOT_CHECKED)),
    Rule("pending, key not replayable", "not looked", R.FIND, _pending, _see(S.NOT_CHECKED)),
    Rule(
        "pending, moves money",
        "proved never there",
        R.REVIEW,
        lambda f: _pending(f) and f.moves_money,
        _see(S.NEVER_CREATED),
    ),
    Rule(
        "pending, nothing under way",
        "proved never there",
        R.ROLL_BACK,
        lambda f: _pending(f) and f.nothing_in_flight,
        _see(S.NEVER_CREATED),
    ),
    Rule("pending, something may be under way", "proved never there", R.WAIT, _pending, _see(S.NEVER_CREATED)),
    Rule("active", "proved gone", R.MARK_DELETED, _is(Status.ACTIVE), _see(S.DELETED)),
    Rule(
        "active, not found a run ago",
        "not found",
        R.MARK_DELETED,
        lambda f: f.document.status == Status.ACTIVE and f.missed,
        _see(S.MISSING),
    ),
    Rule("live", "not found", R.MISS, _is(Status.PENDING, Status.ACTIVE), _see(S.MISSING)),
    Rule("live", "not found, and never deleted", R.REVIEW, _is(Status.PENDING, Status.ACTIVE), _see(S.LOST)),
    Rule("active, delete pending", "whatever", R.SEND, _operation("delete")),
    Rule(
        "active, update pending, key replayable",
        "not looked",
        R.SEND,
        lambda f: _updating(f) and f.replayable,
        _see(S.NOT_CHECKED),
    ),
    Rule("active, update pending, key not replayable", "not looked", R.LOOK, _updating, _see(S.NOT_CHECKED)),
    Rule("active, update pending", "there, as the operation wants it", R.DONE, _updating, _see(S.UP_TO_DATE)),
    Rule(
        "active, update pending, moves money",
        "there",
        R.REVIEW,
        lambda f: _updating(f) and f.moves_money,
        _see(S.PRESENT),
    ),
    Rule(
        "active, update pending, something may be under way",
        "there",
        R.WAIT,
        lambda f: _updating(f) and not f.nothing_in_flight,
        _see(S.PRESENT),
    ),
    Rule("active, update pending", "there", R.EXPIRE, _updating, _see(S.PRESENT)),
    Rule("active", "not looked", R.LOOK, _is(Status.ACTIVE), _see(S.NOT_CHECKED)),
    Rule("active", "there", R.REFRESH, _is(Status.ACTIVE), _see(S.PRESENT, S.UP_TO_DATE)),
    Rule("rolled back or deleted", "whatever", R.LEAVE, _is(Status.ROLLED_BACK, Status.DELETED)),
)


def diagnose(facts: Facts, remote_state: RemoteState) -> Remedy:
    """Return the remedy for a claimed document and the remote state of its object. It has no side effect."""
    return next(rule.remedy for rule in TABLE if remote_state in rule.remote_states and rule.condition(facts))
