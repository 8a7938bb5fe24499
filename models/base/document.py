"""A document and its object at Stripe: the fields of what was seen there, and the transitions that concern it.

As every document (`models/base/lifecycle.py`), it changes only by conditional updates. MongoEngine's own `save()` is
closed, because it replaces, upserts and resurrects documents.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from mongoengine import DateTimeField, EmbeddedDocumentField, IntField, ListField, StringField
from pymongo import DESCENDING

from stripe_mongo_sync.models.base.birth import patched_operation, sent_now
from stripe_mongo_sync.models.base.decision import merge
from stripe_mongo_sync.models.base.embedded import JsonField, Undoing
from stripe_mongo_sync.models.base.facts import Observation, Status
from stripe_mongo_sync.models.base.queries import DocumentQueries
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import IDLE, DueReason, Expression, due, from_now
from stripe_mongo_sync.models.rows.scrub import scrub_row
from stripe_mongo_sync.models.rows.sure import Impossible


def due_after_operation() -> dict[str, Any]:
    """Return the changes of a document whose operation ended: orphans still to undo keep it due."""
    orphans = due(DueReason.ORPHAN)
    return {name: Expression({"$cond": [{"$eq": ["$orphans", []]}, None, orphans[name]]}) for name in IDLE}


def due_unless_it_is(reason: DueReason) -> dict[str, Any]:
    """Return the changes that make a document due now that is not due at any time; who holds it goes on."""
    return {"due_at": Expression({"$ifNull": ["$due_at", from_now()]}), "due_reason": reason}


class SyncedDocument(DocumentQueries):
    """A document and its object at Stripe."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}

    stripe_id: str | None = StringField()
    orphans: list[str] = ListField(StringField())  # objects that this document's key created and no document uses
    undone_orphans: list[str] = ListField(StringField())  # those of them that are no longer usable
    undoing: Undoing | None = EmbeddedDocumentField(Undoing)  # the undo that may be in flight
    missing_since: datetime | None = DateTimeField()  # when a GET first did not find it; cleared once it is seen
    stripe: dict[str, Any] | None = JsonField()  # the snapshot
    digest: str | None = StringField()  # of the snapshot's content; erased, of what stays of it
    links_seen_at: datetime | None = DateTimeField()  # when Stripe rendered the snapshot's links; None: it has none
    snapshot_earliest: int | None = IntField()  # Stripe's time, in seconds, that the snapshot is at least as new as
    snapshot_latest: int | None = IntField()  # up to this second an event may be older or newer than the snapshot

    as_of: datetime | None = None  # MongoDB's time of the `merge` that returned it, if known; not stored

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify it in logs."""
        return {"status": self.status, "stripe_id": self.stripe_id}

    # --- change ---

    def hold(self, by: str = "", /, **changes: Any) -> Self | None:
        """Apply `changes` if the document is unchanged since it was claimed and the lease still runs; else None."""
        return self._update({"$expr": {"$gt": ["$leased_until", from_now()]}}, by, (), changes)

    @classmethod
    def merge(cls, where: dict[str, Any], seen: Observation, held: Self | None = None) -> Self | None:
        """Merge an observation into the document that `where` selects, in any status; None if there is none.

        Idempotent, in any order: API replies, webhooks and reconcile all use it. It decides by what it read, and
        decides again if another writer was faster. Whoever holds the document's lease, and read it before, passes it as
        `held`: while the lease runs and nobody changed it, nothing is read. Raises DuplicateKeyError when another live
        document has that object.
        """
        if held is not None and (changes := merge(held.facts(held.updated_at), seen)) is not None:
            merged = held.hold(seen.source, **changes)
            if merged is not None:
                return merged
        # A chosen id may have had an earlier object.
        first = [("is_current", DESCENDING)] if cls.resource.accepts_custom_id else None
        while (
            found := cls.own_rows().find_one(where, {"_id": 0, "row": "$$ROOT", "at": "$$NOW"}, sort=first)
        ) is not None:
            document = cls._from_son(found["row"])
            changes = merge(document.facts(found["at"] + clock.TEST_OFFSET), seen)
            merged = document if changes is None else document.update_if_unchanged(seen.source, **changes)
            if merged is not None:
                merged.as_of = found["at"]
                return merged
        return None

    def remove_adopted(self) -> bool:
        """Delete this adopted row unless it changed: the only deletion of all. Raises Impossible if not adopted."""
        if not self.adopted:
            raise Impossible("only an adopted row that nobody used is ever removed")
        return bool(self.own_rows().find_one_and_delete({"_id": self.id, "revision": self.revision}))

    def sending(self) -> Self | None:
        """Record that the operation is about to be sent again: from now on a request may be in flight."""
        return self.hold(operation=patched_operation(**sent_now()))

    def defer(self, why: str, delay: timedelta, *, stored: bool = False) -> Self | None:
        """Keep the operation pending after an attempt with an unknown outcome, due again after `delay`."""
        changes: dict[str, Any] = {"outcome_unknown": True}
        if stored:
            changes["saved_error_at"] = {"$ifNull": ["$operation.saved_error_at", from_now()]}
        problem = {"type": "unknown", "code": None, "message": why}
        again = due(DueReason.RETRY, delay) if self.review_reason is None else IDLE
        return self.update_if_unchanged(operation=patched_operation(**changes), error=problem, **again)

    def begin_undo(self, orphan: str, way: str, key: str | None) -> Self | None:
        """Stage the undo of an orphan, with a new `key`; without one, record that the staged one is sent again."""
        staged = {"$literal": {"orphan": orphan, "way": way, "key": key}}
        parts = ["$undoing", sent_now()] if key is None else [staged, sent_now("staged_at")]
        return self.hold(undoing=Expression({"$mergeObjects": parts}))

    def spend_undo(self) -> Self | None:
        """Clear the key of the undo, because repeating it is useless: the next attempt uses a new key."""
        return self.update_if_unchanged(undoing=Expression({"$mergeObjects": ["$undoing", {"key": None}]}))

    def release(self) -> Self | None:
        """Give the lease back, because nothing is left to do."""
        settled: dict[str, Any] = (
            {"finished_at": from_now()} if self.status == Status.ROLLED_BACK and self.review_reason is None else {}
        )
        return self.update_if_unchanged(**settled, **IDLE)

    def finish(self) -> Self | None:
        """Record that nothing is left to do about a copy that is deleted."""
        return self.update_if_unchanged(finished_at=from_now(), **IDLE)

    def store_snapshot(self, evidence: Observation, **changes: Any) -> Self | None:
        """Store what a GET showed, if the document is unchanged since before that GET was sent.

        If another object has its id by now, the document is deleted.
        """
        if (facts := self.facts(self.updated_at)).age_of(evidence):
            return self.update_if_unchanged(evidence.source, **(merge(facts, evidence) or {}))
        rest: dict[str, Any] = {}
        if self.operation is None or "operation" in changes:
            rest = due_after_operation()
        elif self.missing_since is not None:  # its review ends, if that was the reason, and so the operation goes on
            rest = due_unless_it_is(DueReason.RETRY)
        return self.update_if_unchanged(**self._seen(evidence), **changes, **rest)

    def _seen(self, evidence: Observation) -> dict[str, Any]:
        snapshot = evidence.first_snapshot()
        del snapshot["confirmed_at"]
        if self.erased_at is not None:
            snapshot |= scrub_row(snapshot, ("links_seen_at", "snapshot_earliest", "snapshot_latest"))
        snapshot["snapshot_earliest"] = max(self.snapshot_earliest or 0, evidence.earliest)
        snapshot["snapshot_latest"] = max(self.snapshot_latest or 0, evidence.latest)
        found = {"missing_since": None, "review_reason": None} if self.missing_since is not None else {}
        return {**snapshot, **found}

    def miss(self, delay: timedelta) -> Self | None:
        """Record that a GET did not find its object. That proves nothing yet: it is due again after `delay`."""
        since = Expression({"$ifNull": ["$missing_since", from_now()]})
        return self.update_if_unchanged(missing_since=since, **due(DueReason.MISSING, delay))

    def bring_back(self, evidence: Observation) -> Self | None:
        """Make a deleted document active again, because a GET showed its object; a refresh is due.

        Like `store_snapshot`, it applies only if the document is unchanged since before that GET. Raises
        DuplicateKeyError when another document has its username now.
        """
        # Those of a deletion may be FOREVER.
        times = {"snapshot_earliest": evidence.earliest, "snapshot_latest": evidence.latest}
        back = {"status": Status.ACTIVE, "review_reason": None, "finished_at": None, **times, **due(DueReason.REFRESH)}
        return self.update_if_unchanged(evidence.source, **{**self._seen(evidence), **back})

    def suspect(self, second: int) -> Self | None:
        """Record that its object changed unseen up to this second of Stripe's: only a later observation is newer.

        Even the reply to an operation that is in flight may be older.
        """
        rest = IDLE if self.review_reason is not None else due_unless_it_is(DueReason.REFRESH)
        return self.update_if_unchanged(snapshot_latest=max(self.snapshot_latest or 0, second), **rest)

    def record_undo(self, orphan: str) -> Self | None:
        """Record that an orphan is no longer usable. An active document stays due, because its object was not read."""
        left = [other for other in self.orphans if other != orphan]
        settled = from_now() if self.status == Status.ROLLED_BACK and not left else None
        rest = {} if left or self.status == Status.ACTIVE else IDLE
        return self.update_if_unchanged(
            orphans=left, undone_orphans=[*self.undone_orphans, orphan], undoing=None, finished_at=settled, **rest
        )

    # --- questions ---

    def is_as(self, evidence: Observation) -> bool:
        """Whether this document has the content of the observation; of an erased document, what may stay of it."""
        return self.facts(self.updated_at).is_as(evidence)

    @property
    def adopted(self) -> bool:
        """Whether it was adopted and never used since: it has no key, operation, request or username."""
        used = (self.creation_key, self.operation, self.request)
        return used == (None, None, None) and not getattr(self, "username", None)
