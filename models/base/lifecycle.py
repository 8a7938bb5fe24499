"""A document that is its own outbox: its fields, and its transitions, each of which is one conditional update.

Its `operation` says what is still to be done, and is written before that is done. A document is inserted once
(`models/base/birth.py`), and then changes only by `update_if_unchanged`, by `claim_due`, and, to repair what was edited
by hand, by `restore`. A caller that gets None reads the document again, and then decides again.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar, Self

from bson import ObjectId
from mongoengine import BooleanField, DateTimeField, EmbeddedDocumentField, IntField, ObjectIdField, StringField
from mongoengine.base import BaseField
from pymongo import IndexModel, ReturnDocument

from stripe_mongo_sync.models.base.birth import SYNC_FIELDS, Birth, NewOperation, claimed, new_operation
from stripe_mongo_sync.models.base.embedded import Failure, Operation, Plain, Request
from stripe_mongo_sync.models.base.facts import Facts, Status, facts_of
from stripe_mongo_sync.models.base.notice import NoticeOutbox, append_notices
from stripe_mongo_sync.models.base.resource import register
from stripe_mongo_sync.models.base.whose import NAMING, owners_after
from stripe_mongo_sync.models.dry_run.run import require_meant
from stripe_mongo_sync.models.lists.listed import Listed
from stripe_mongo_sync.models.rows.claimable import Broken, Decided, claim_each, decided, tell_log
from stripe_mongo_sync.models.rows.clock import IDLE, LEASE, DueReason, due, from_now, leased, literal
from stripe_mongo_sync.models.rows.formerly import DOCUMENTS, UPGRADE
from stripe_mongo_sync.models.rows.indexes import A_DATE, A_STRING, SOME
from stripe_mongo_sync.models.rows.scrub import scrub_row
from stripe_mongo_sync.models.rows.sure import Impossible, sure

log = logging.getLogger("stripe_mongo_sync")
LIVE = (Status.PENDING, Status.ACTIVE)
STAGED = {"operation.staged_at": A_DATE}
STAGED_INDEX = IndexModel([("status", 1), ("operation.staged_at", 1), ("due_at", 1)], partialFilterExpression=STAGED)
REQUEST_KEYS_LAST = timedelta(days=45)  # a caller's Idempotency-Key is remembered at least this long


class StagedDocument(NoticeOutbox, Birth, Listed, Decided):
    """A document with a status, and with what is still to be done about it: an order, or a `SyncedDocument`."""

    meta: ClassVar = {"abstract": True, "strict": False, "auto_create_index": False, "index_cls": False}
    names = DOCUMENTS
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("creation_key", unique=True, partialFilterExpression={"creation_key": A_STRING}),
        IndexModel(
            [("stripe_id", 1), ("is_current", 1)],
            unique=True,
            partialFilterExpression={"stripe_id": A_STRING, "is_current": True},
        ),
        IndexModel("stripe_id", partialFilterExpression={"stripe_id": A_STRING}),
        IndexModel(
            [("request.caller", 1), ("request.route", 1), ("request.key", 1)],
            unique=True,
            partialFilterExpression={"request.key": A_STRING},
        ),
        IndexModel("due_at", partialFilterExpression={"due_at": A_DATE}),
        IndexModel("review_reason", partialFilterExpression={"review_reason": {"$type": "string"}}),
        *(IndexModel(name, partialFilterExpression={f"{name}.0": SOME}) for name in ("orphans", "undone_orphans")),
        IndexModel("in_doubt", partialFilterExpression={"in_doubt": True}),
        STAGED_INDEX,
        IndexModel(
            [("confirmed_at", 1), ("status", 1), ("created_at", 1)], partialFilterExpression={"confirmed_at": None}
        ),
        NoticeOutbox.notice_index,
    ]
    instead = "Call `update` (or `create`, `act`, `delete`) of stripe_mongo_sync: it changes both sides."
    rules: ClassVar[tuple[tuple[str, dict[str, Any], Any], ...]] = ()  # beside those of sync/runs/sound.py
    says: ClassVar[str]  # what the API says of the type; no docstring, which `python -OO` takes away

    id: ObjectId = ObjectIdField(primary_key=True)
    status: Status = StringField(choices=[str(status) for status in Status])
    is_current: bool = BooleanField()  # pending or active: only these occupy their username and object
    revision: int = IntField()  # counts the changes; every change requires the revision that was read
    creation_key: str | None = StringField()  # never cleared, because Stripe may create the object late
    operation: Operation | None = EmbeddedDocumentField(Operation)
    leased_until: datetime | None = DateTimeField()  # until then a worker has it, who sends nothing afterwards
    due_at: datetime | None = DateTimeField()  # since when there is something to do; None: nothing
    due_reason: str | None = StringField()  # a DueReason
    in_doubt: bool = BooleanField()  # an object of this document may exist that we have not seen
    review_reason: str | None = StringField()  # why an operator must decide
    error: Failure | None = EmbeddedDocumentField(Failure)
    request: Request | None = EmbeddedDocumentField(Request)
    confirmed_at: datetime | None = DateTimeField()  # when an event or a list first showed the object
    created_at: datetime = DateTimeField()
    updated_at: datetime = DateTimeField()
    finished_at: datetime | None = DateTimeField()  # since then nothing is left to do, and the row may expire
    status_changed_by: str | None = StringField()  # who changed the status last
    erased_at: datetime | None = DateTimeField()  # when all personal data was removed from it
    owners: list[str] = Plain(StringField())  # the ids that show whose it is: see `models/base/whose.py`

    # What a document that has no object at Stripe shows of it.
    stripe_id: str | None = None
    stripe: dict[str, Any] | None = None
    links_seen_at: datetime | None = None
    orphans: Sequence[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "resource" in vars(cls):
            register(cls)

    @classmethod
    def title(cls) -> str:
        """Return its kind."""
        return cls.resource.kind

    def identity(self) -> dict[str, Any]:
        """Return the fields that identify it in logs."""
        return {"status": self.status}

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return the indexes of its collection. A tombstone lasts as long as its request's key may be repeated."""
        return super().wanted(max(keep, REQUEST_KEYS_LAST))

    # --- conditional updates ---

    def update_if_unchanged(self, by: str = "", /, *, notices: Sequence[str] = (), **changes: Any) -> Self | None:
        """Apply `changes` if the document is unchanged since it was read; return the changed document, or None.

        The same update appends the notice of a new status and `notices`, which the resource must name.
        """
        return self._update({}, by, notices, changes)

    def _update(self, fence: dict[str, Any], by: str, notices: Sequence[str], changes: dict[str, Any]) -> Self | None:
        if not set(notices) <= set(self.resource.notices):
            raise Impossible(f"{notices} are not all notices of {self.resource.kind}")
        news = list(notices)
        if "status" in changes:
            news += [self.resource.notice_of(changes["status"])] if changes["status"] != self.status else []
            changes = {**changes, "is_current": changes["status"] in LIVE, "status_changed_by": by}
        if self.erased_at is not None and isinstance(changes.get("error"), dict):
            changes = {**changes, **scrub_row({"error": changes["error"]}, ())}  # the message may quote the person
        if UPGRADE:
            self.know_before([{name: getattr(self, name) for name in self._fields} | changes])
        merged = {name: literal(value) for name, value in (changes | self._owners_after(changes)).items()}
        changed = {**merged, **append_notices(*news), "revision": {"$add": ["$revision", 1]}, "updated_at": from_now()}
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "revision": self.revision, **fence},
            [{"$replaceWith": {"$mergeObjects": ["$$ROOT", changed, decided(self.id)]}}],
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            return None
        document = self._from_son(found)
        if "status" in changes:
            log.info("%s %s → %s (%s)", self.resource.kind, document.id, document.status, by)
        return document

    def _owners_after(self, changes: dict[str, Any]) -> dict[str, Any]:
        if NAMING.isdisjoint(changes):
            return {}
        row = {name: getattr(self, name) for name in (NAMING & self._fields.keys()) | {"owners"}}
        new = changes.get("operation")
        row["operation"] = new.staged if isinstance(new, NewOperation) else self.operation and self.operation.to_mongo()
        return owners_after(self.resource.kind, row, changes)

    def erase(self) -> Self | None:
        """Remove all personal data from a document that is at rest; return None if it changed meanwhile."""
        row = self.own_rows().find_one({"_id": self.id, "revision": self.revision})
        if row is None:
            return None
        left = scrub_row(row, SYNC_FIELDS)
        if self.erased_at is not None and all(row.get(name) == value for name, value in left.items()):
            return self
        left["in_doubt"] = False  # a tombstone without its parameters can have no candidate
        return self.update_if_unchanged(**left, erased_at=from_now())

    @classmethod
    def claim_due(cls, at: datetime, broken: Broken = tell_log) -> Iterator[Self]:
        """Claim the documents that are due at `at`, one after the other, the longest due first.

        One that cannot be claimed or read is set aside and passed to `broken`.
        """
        change = {**claimed(), "revision": {"$add": ["$revision", 1]}, "updated_at": from_now()}
        yield from claim_each(cls, at, [{"$set": change}], broken)

    @classmethod
    def restore(cls, id: Any, where: dict[str, Any], right: dict[str, Any]) -> None:
        """Set these fields of a row that was edited by hand, which may lack even our mark, while `where` selects it.

        The row becomes due, unless it is finished or in review.
        """
        is_open = {"$and": [{"$eq": ["$is_current", True]}, {"$ne": [{"$type": "$review_reason"}, "string"]}]}
        always = {name: {"$cond": [is_open, now, f"${name}"]} for name, now in due(DueReason.EDITED).items()}
        always |= {"revision": {"$add": ["$revision", 1]}, "updated_at": from_now()}
        changes = {**always, **{name: literal(value) for name, value in right.items()}}
        require_meant()
        cls._get_collection().update_one({**where, "_id": id}, [{"$set": changes}])

    # --- transitions ---

    def claim(self) -> Self | None:
        """Claim a document for one lease, and count the attempt before it is made."""
        return self.update_if_unchanged(**claimed())

    def begin(self, operation: dict[str, Any], **changes: Any) -> Self | None:
        """Stage an operation on an active document, leased to the caller; it replaces one that is pending."""
        return self.update_if_unchanged(operation=new_operation(operation), error=None, **leased(), **changes)

    def reschedule(self, delay: timedelta) -> Self | None:
        """Give the lease back: the document is due again after `delay`."""
        return self.update_if_unchanged(**due(DueReason.RETRY, delay))

    def end_refused(self, problem: dict[str, Any], by: str) -> Self | None:
        """End the operation that Stripe refused: a creation is rolled back, else the document stays active."""
        if self.status == Status.PENDING:
            return self.roll_back(problem, by, in_doubt=False)
        ended = {**problem, "key": sure(self.operation).key}
        # It stays due: a refresh follows the end of an operation.
        return self.update_if_unchanged(operation=None, error=ended)

    def roll_back(self, problem: dict[str, Any], by: str, *, in_doubt: bool) -> Self | None:
        """Turn a pending document into a tombstone with its key, and its operation while it is `in_doubt`."""
        changes: dict[str, Any] = {} if in_doubt else {"operation": None}
        return self.update_if_unchanged(
            by,
            status=Status.ROLLED_BACK,
            error=problem,
            review_reason=None,
            in_doubt=in_doubt,
            finished_at=from_now(),
            **IDLE,
            **changes,
        )

    def send_to_review(self, reason: str, **changes: Any) -> Self | None:
        """Block the document until an operator decides; `reason` says why."""
        return self.update_if_unchanged(
            **{"review_reason": reason, "finished_at": None, "missing_since": None, **IDLE, **changes}
        )

    def requeue(self, reason: DueReason) -> Self | None:
        """Take the document out of review: it is due now."""
        return self.update_if_unchanged(review_reason=None, **due(reason))

    # --- questions ---

    @classmethod
    @cache
    def own_fields(cls) -> Mapping[str, BaseField]:
        """Return the fields that a caller sees of this type, by name: its own, but those that are here only."""
        above = set[str]().union(*(getattr(base, "_fields", ()) for base in cls.__mro__[1:]))
        here = ("local_only", "internal")
        return {
            name: field
            for name, field in cls._fields.items()
            if name not in above and not any(getattr(field, each, False) for each in here)
        }  # of each class once, so nobody changes it

    @classmethod
    def edited(cls, row: Mapping[str, Any]) -> list[str]:
        """Return the fields that contradict the rest of a stored row."""
        return [] if cls._status_fits(row) else ["status"]

    @classmethod
    def _status_fits(cls, row: Mapping[str, Any]) -> bool:
        status, operation = row.get("status"), row.get("operation")
        staged = isinstance(operation, dict) and operation.get("verb") == "create"
        known = status in [*Status] and (staged or status != Status.PENDING)
        return known and row.get("is_current") is (status in LIVE)

    @classmethod
    def lookup(cls, reference: str) -> Self | None:
        """Return the document with our id, in any status; None if there is none."""
        found: Self | None = cls.objects(id=ObjectId(reference)).first() if ObjectId.is_valid(reference) else None
        return found

    def facts(self, now: datetime, installation: str | None = None) -> Facts:
        """Return what the decisions read of this document at a time of MongoDB's; `installation` is this database's."""
        return facts_of(self.resource, self, now, installation)

    @property
    def path(self) -> str:
        """Return the API path of this document's object."""
        return self.resource.object_path(sure(self.stripe_id), self)  # only a linked document has an object

    @property
    def claimed_at(self) -> datetime:
        """Return MongoDB's time when the running lease was taken, which stands for the present."""
        return sure(self.leased_until) - LEASE

    @property
    def is_idle(self) -> bool:
        """Whether no operation is pending. A tombstone keeps its operation only as a proof of what it sent."""
        return self.status != Status.PENDING and (self.operation is None or self.status == Status.ROLLED_BACK)

    def fetch_latest(self) -> Self:
        """Return the document as it is now."""
        found: Self = type(self).objects(id=self.id).get()
        return found

    def reread(self) -> Self:
        """Call `fetch_latest`, which was called so; this name goes with 0.3."""
        warnings.warn("reread is now called fetch_latest; the old name will be removed in 0.3", DeprecationWarning, 2)
        return self.fetch_latest()
