"""The changes of a document that have a name: each is one conditional update, and returns None when it came too late.

Whoever gets None reads the document again and decides anew: somebody else moved it meanwhile.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from stripe_mongo_sync.models.base.merge import Observation
from stripe_mongo_sync.models.rows.clock import LEASE, Expression, from_now
from stripe_mongo_sync.models.rows.scrub import scrub_row


class Status(StrEnum):
    """Where a document stands."""

    PENDING = "pending"  # written here; Stripe may or may not have it
    ACTIVE = "active"  # linked: `stripe_id` is known
    ROLLED_BACK = "rolled_back"  # given up; a tombstone whose key still finds a late twin at Stripe
    DELETED = "deleted"  # gone at Stripe, for ever


def new_operation(operation: dict[str, Any]) -> Expression:
    """Return the expression of an operation that starts now: its key is as old as this write."""
    blank = {"attempts": 1, "doubt": False, "stored_failure_at": None}
    return Expression({"$mergeObjects": [{"$literal": {**blank, **operation}}, _sent("since")]})


def _sent(*more: str) -> dict[str, Any]:
    return dict.fromkeys((*more, "sent_at"), from_now())


def patched_operation(**changes: Any) -> Expression:
    """Return the expression of the pending operation with some fields changed."""
    return Expression({"$mergeObjects": ["$operation", changes]})


def claimed() -> dict[str, Any]:
    """Return the changes of a claim: leased, and the attempt counted before it is made.

    Whoever held the lease may have sent the operation and died: the outcome of that attempt is unknown.
    """
    counted = patched_operation(attempts={"$add": ["$operation.attempts", 1]}, doubt=True)
    return {"lease": from_now(LEASE), "operation": Expression({"$cond": ["$operation", counted, None]})}


def due_after_operation() -> Expression:
    """Return the expression of the lease of a document whose operation ended: twins still to be undone keep it due."""
    return Expression({"$cond": [{"$eq": ["$orphans", []]}, None, from_now()]})


class Lifecycle:
    """The named changes, for `SyncedDocument`."""

    status: Status
    stripe_id: str | None
    orphans: list[str]
    undone: list[str]
    operation: Any
    undoing: Any
    review: str | None
    missing_since: Any
    seen_at: int | None
    doubt_until: int | None
    erased_at: Any

    def update_if_unchanged(self, by: str = "", /, *, notice: str | None = None, **changes: Any) -> Self | None:
        """Apply `changes` if the document is still as it was read."""
        raise NotImplementedError

    def claim(self) -> Self | None:
        """Take a document for a lease, counting the attempt before it is made."""
        return self.update_if_unchanged(**claimed())

    def begin(self, operation: dict[str, Any]) -> Self | None:
        """Stage an operation on an active document, leased to the caller; it replaces one that is pending."""
        return self.update_if_unchanged(operation=new_operation(operation), lease=from_now(LEASE), error=None)

    def hold(self, **changes: Any) -> Self | None:
        """Apply `changes` if nobody changed the document since it was claimed, and that lease still runs."""
        raise NotImplementedError

    def sending(self) -> Self | None:
        """Note that the operation is about to be sent again: from now on it may be under way."""
        return self.hold(operation=patched_operation(**_sent()))

    def begin_undo(self, orphan: str, way: str, key: str | None) -> Self | None:
        """Stage the undo of an orphan, with a new `key`; without one, note that the staged undo is about to be sent."""
        staged = {"$literal": {"orphan": orphan, "way": way, "key": key}}
        parts = ["$undoing", _sent()] if key is None else [staged, _sent("since")]
        return self.hold(undoing=Expression({"$mergeObjects": parts}))

    def spend_undo(self) -> Self | None:
        """Note that the key of the undo can teach nothing more: the next attempt has a new one."""
        return self.update_if_unchanged(undoing=Expression({"$mergeObjects": ["$undoing", {"key": None}]}))

    def defer(self, why: str, delay: timedelta, *, stored: bool = False) -> Self | None:
        """Leave the operation pending after an attempt with an unknown outcome, due again after `delay`."""
        changes: dict[str, Any] = {"doubt": True}
        if stored:
            changes["stored_failure_at"] = {"$ifNull": ["$operation.stored_failure_at", from_now()]}
        problem = {"type": "unknown", "code": None, "message": why}
        lease = from_now(delay) if self.review is None else None
        return self.update_if_unchanged(operation=patched_operation(**changes), lease=lease, error=problem)

    def release(self) -> Self | None:
        """Give the lease back: there is nothing to do."""
        settled: dict[str, Any] = (
            {"settled_at": from_now()} if self.status == Status.ROLLED_BACK and self.review is None else {}
        )
        return self.update_if_unchanged(lease=None, **settled)

    def finish(self) -> Self | None:
        """Note that nothing is left to do about a copy that is over."""
        return self.update_if_unchanged(lease=None, settled_at=from_now())

    def reschedule(self, delay: timedelta) -> Self | None:
        """Give the lease back: due again after `delay`."""
        return self.update_if_unchanged(lease=from_now(delay))

    def end_refused(self, problem: dict[str, Any], by: str) -> Self | None:
        """End the operation that Stripe refused: a creation is rolled back, else the document stays active."""
        if self.status == Status.PENDING:
            return self.roll_back(problem, by, in_doubt=False)
        ended = {**problem, "key": self.operation.key}
        return self.update_if_unchanged(
            operation=None, error=ended
        )  # the lease stays: the end of an operation looks again

    def roll_back(self, problem: dict[str, Any], by: str, *, in_doubt: bool) -> Self | None:
        """Roll a creation back: a tombstone that keeps its key, and its operation while an object may exist unseen."""
        changes: dict[str, Any] = {} if in_doubt else {"operation": None}
        return self.update_if_unchanged(
            by,
            status=Status.ROLLED_BACK,
            error=problem,
            lease=None,
            review=None,
            in_doubt=in_doubt,
            settled_at=from_now(),
            **changes,
        )

    def store_snapshot(self, evidence: Observation, **changes: Any) -> Self | None:
        """Store what a GET showed. It may be written only if nothing changed since before that GET was sent."""
        lease: dict[str, Any] = (
            {"lease": due_after_operation()} if self.operation is None or "operation" in changes else {}
        )
        return self.update_if_unchanged(**self._seen(evidence), **changes, **lease)

    def _seen(self, evidence: Observation) -> dict[str, Any]:
        snapshot = evidence.first_snapshot()
        del snapshot["confirmed_at"]
        if self.erased_at is not None:
            snapshot |= scrub_row(snapshot, ("links_seen_at", "seen_at", "doubt_until"))
        snapshot["seen_at"] = max(self.seen_at or 0, evidence.earliest)
        snapshot["doubt_until"] = max(self.doubt_until or 0, evidence.latest)
        found = {"missing_since": None, "review": None} if self.missing_since is not None else {}
        return {**snapshot, **found}

    def unerase(self) -> Self | None:
        """Let a document that was erased by mistake be due for a look, which takes again what Stripe shows."""
        return self.update_if_unchanged(erased_at=None, digest=None, lease=from_now())

    def miss(self, delay: timedelta) -> Self | None:
        """Note that a GET did not find its object, which proves nothing yet: due again after `delay`."""
        since = Expression({"$ifNull": ["$missing_since", from_now()]})
        return self.update_if_unchanged(missing_since=since, lease=from_now(delay))

    def bring_back(self, evidence: Observation) -> Self | None:
        """Make a deleted document active again, as a GET showed its object there; a look is due.

        Like `see`, it may be written only if nothing changed since before that GET. Raises DuplicateKeyError when its
        username was given to another.
        """
        times = {"seen_at": evidence.earliest, "doubt_until": evidence.latest}  # of a deletion they may be endless
        back = {"status": Status.ACTIVE, "review": None, "lease": from_now(), "settled_at": None, **times}
        return self.update_if_unchanged(evidence.source, **{**self._seen(evidence), **back})

    def send_to_review(self, reason: str, **changes: Any) -> Self | None:
        """Stop, and let a person decide."""
        return self.update_if_unchanged(
            **{"review": reason, "lease": None, "settled_at": None, "missing_since": None, **changes}
        )

    def requeue(self, delay: timedelta = timedelta()) -> Self | None:
        """Take it out of review: due after `delay`."""
        return self.update_if_unchanged(review=None, lease=from_now(delay))

    def suspect(self, second: int) -> Self | None:
        """Note that it changed, unseen, up to that second of Stripe's: what is not surely newer is looked at again.

        A reply to its own operation, if one is under way, may be older, too.
        """
        due = None if self.review is not None else Expression({"$ifNull": ["$lease", from_now()]})
        return self.update_if_unchanged(doubt_until=max(self.doubt_until or 0, second), lease=due)

    def record_undo(self, orphan: str) -> Self | None:
        """Note that an orphan is no longer usable. An active document stays due: its own object was not looked at."""
        left = [twin for twin in self.orphans if twin != orphan]
        settled = from_now() if self.status == Status.ROLLED_BACK and not left else None
        lease = {} if left or self.status == Status.ACTIVE else {"lease": None}
        return self.update_if_unchanged(
            orphans=left, undone=[*self.undone, orphan], undoing=None, settled_at=settled, **lease
        )
