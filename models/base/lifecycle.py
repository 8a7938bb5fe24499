"""The state transitions of a document. Each is one conditional update, and returns None if another writer was first.

A caller that gets None reads the document again, and then decides again.
"""

from datetime import timedelta
from typing import Any, Self

from stripe_mongo_sync.models.base.facts import Observation, Status
from stripe_mongo_sync.models.rows.clock import LEASE, Expression, from_now
from stripe_mongo_sync.models.rows.scrub import scrub_row


def new_operation(operation: dict[str, Any]) -> Expression:
    """Return the expression of an operation whose key is as old as this write."""
    blank = {"attempts": 1, "doubt": False, "stored_failure_at": None}
    return Expression({"$mergeObjects": [{"$literal": {**blank, **operation}}, _sent("since")]})


def _sent(*more: str) -> dict[str, Any]:
    return dict.fromkeys((*more, "sent_at"), from_now())


def patched_operation(**changes: Any) -> Expression:
    """Return the expression of the pending operation with some fields changed."""
    return Expression({"$mergeObjects": ["$operation", changes]})


def claimed() -> dict[str, Any]:
    """Return the changes of a claim: a lease, and an attempt that is counted before it is made.

    The worker that held the lease before may have sent the operation and died, so that attempt's outcome is unknown.
    """
    counted = patched_operation(attempts={"$add": ["$operation.attempts", 1]}, doubt=True)
    return {"lease": from_now(LEASE), "operation": Expression({"$cond": ["$operation", counted, None]})}


def due_after_operation() -> Expression:
    """Return the expression of the lease of a document whose operation ended: orphans still to undo keep it due."""
    return Expression({"$cond": [{"$eq": ["$orphans", []]}, None, from_now()]})


class Lifecycle:
    """The transitions, for `SyncedDocument`."""

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
        """Apply `changes` if the document is unchanged since it was read; else return None."""
        raise NotImplementedError

    def claim(self) -> Self | None:
        """Claim a document for one lease, and count the attempt before it is made."""
        return self.update_if_unchanged(**claimed())

    def begin(self, operation: dict[str, Any]) -> Self | None:
        """Stage an operation on an active document, leased to the caller; it replaces one that is pending."""
        return self.update_if_unchanged(operation=new_operation(operation), lease=from_now(LEASE), error=None)

    def hold(self, **changes: Any) -> Self | None:
        """Apply `changes` if the document is unchanged since it was claimed and the lease still runs; else None."""
        raise NotImplementedError

    def sending(self) -> Self | None:
        """Record that the operation is about to be sent again: from now on a request may be in flight."""
        return self.hold(operation=patched_operation(**_sent()))

    def begin_undo(self, orphan: str, way: str, key: str | None) -> Self | None:
        """Stage the undo of an orphan, with a new `key`; without one, record that the staged one is sent again."""
        staged = {"$literal": {"orphan": orphan, "way": way, "key": key}}
        parts = ["$undoing", _sent()] if key is None else [staged, _sent("since")]
        return self.hold(undoing=Expression({"$mergeObjects": parts}))

    def spend_undo(self) -> Self | None:
        """Clear the key of the undo, because repeating it is useless: the next attempt uses a new key."""
        return self.update_if_unchanged(undoing=Expression({"$mergeObjects": ["$undoing", {"key": None}]}))

    def defer(self, why: str, delay: timedelta, *, stored: bool = False) -> Self | None:
        """Keep the operation pending after an attempt with an unknown outcome, due again after `delay`."""
        changes: dict[str, Any] = {"doubt": True}
        if stored:
            changes["stored_failure_at"] = {"$ifNull": ["$operation.stored_failure_at", from_now()]}
        problem = {"type": "unknown", "code": None, "message": why}
        lease = from_now(delay) if self.review is None else None
        return self.update_if_unchanged(operation=patched_operation(**changes), lease=lease, error=problem)

    def release(self) -> Self | None:
        """Give the lease back, because nothing is left to do."""
        settled: dict[str, Any] = (
            {"settled_at": from_now()} if self.status == Status.ROLLED_BACK and self.review is None else {}
        )
        return self.update_if_unchanged(lease=None, **settled)

    def finish(self) -> Self | None:
        """Record that nothing is left to do about a copy that is deleted."""
        return self.update_if_unchanged(lease=None, settled_at=from_now())

    def reschedule(self, delay: timedelta) -> Self | None:
        """Give the lease back: the document is due again after `delay`."""
        return self.update_if_unchanged(lease=from_now(delay))

    def end_refused(self, problem: dict[str, Any], by: str) -> Self | None:
        """End the operation that Stripe refused: a creation is rolled back, else the document stays active."""
        if self.status == Status.PENDING:
            return self.roll_back(problem, by, in_doubt=False)
        ended = {**problem, "key": self.operation.key}
        return self.update_if_unchanged(
            operation=None, error=ended
        )  # the lease stays: a refresh follows the end of an operation

    def roll_back(self, problem: dict[str, Any], by: str, *, in_doubt: bool) -> Self | None:
        """Turn a pending document into a tombstone with its key, and its operation while it is `in_doubt`."""
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
        """Store what a GET showed, if the document is unchanged since before that GET was sent."""
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
        """Reopen a document that was erased by mistake: it is due for a refresh, which stores the object again."""
        return self.update_if_unchanged(erased_at=None, digest=None, lease=from_now())

    def miss(self, delay: timedelta) -> Self | None:
        """Record that a GET did not find its object. That proves nothing yet: it is due again after `delay`."""
        since = Expression({"$ifNull": ["$missing_since", from_now()]})
        return self.update_if_unchanged(missing_since=since, lease=from_now(delay))

    def bring_back(self, evidence: Observation) -> Self | None:
        """Make a deleted document active again, because a GET showed its object; a refresh is due.

        Like `store_snapshot`, it applies only if the document is unchanged since before that GET. Raises
        DuplicateKeyError when another document has its username now.
        """
        times = {"seen_at": evidence.earliest, "doubt_until": evidence.latest}  # those of a deletion may be FOREVER
        back = {"status": Status.ACTIVE, "review": None, "lease": from_now(), "settled_at": None, **times}
        return self.update_if_unchanged(evidence.source, **{**self._seen(evidence), **back})

    def send_to_review(self, reason: str, **changes: Any) -> Self | None:
        """Block the document until an operator decides; `reason` says why."""
        return self.update_if_unchanged(
            **{"review": reason, "lease": None, "settled_at": None, "missing_since": None, **changes}
        )

    def requeue(self, delay: timedelta = timedelta()) -> Self | None:
        """Take the document out of review: it is due after `delay`."""
        return self.update_if_unchanged(review=None, lease=from_now(delay))

    def suspect(self, second: int) -> Self | None:
        """Record that its object changed unseen up to this second of Stripe's: only a later observation is newer.

        Even the reply to an operation that is in flight may be older.
        """
        due = None if self.review is not None else Expression({"$ifNull": ["$lease", from_now()]})
        return self.update_if_unchanged(doubt_until=max(self.doubt_until or 0, second), lease=due)

    def record_undo(self, orphan: str) -> Self | None:
        """Record that an orphan is no longer usable. An active document stays due, because its object was not read."""
        left = [other for other in self.orphans if other != orphan]
        settled = from_now() if self.status == Status.ROLLED_BACK and not left else None
        lease = {} if left or self.status == Status.ACTIVE else {"lease": None}
        return self.update_if_unchanged(
            orphans=left, undone=[*self.undone, orphan], undoing=None, settled_at=settled, **lease
        )
