"""The base class of all documents: its fields, its indexes, and the only three ways in which a document changes.

A document is its own outbox: its `operation` holds the calls that Stripe must still get, and is written before Stripe
is called. A document is inserted once (`models/base/birth.py`), and then changes only through `update_if_unchanged`,
`merge` and `claim_due`, each a single conditional update. MongoEngine's own `save()` is closed, because it replaces,
upserts and resurrects documents.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from bson import ObjectId
from mongoengine import (
    BooleanField,
    DateTimeField,
    EmbeddedDocumentField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)
from pymongo import DESCENDING, IndexModel, ReturnDocument

from stripe_mongo_sync.models.base.birth import Birth
from stripe_mongo_sync.models.base.decision import merge
from stripe_mongo_sync.models.base.embedded import Failure, JsonField, Operation, Request, Undoing
from stripe_mongo_sync.models.base.facts import Facts, Observation, Status, facts_of
from stripe_mongo_sync.models.base.lifecycle import Lifecycle, claimed
from stripe_mongo_sync.models.base.notice import NoticeOutbox, append_notices
from stripe_mongo_sync.models.base.resource import Resource, register
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.claimable import Broken, claim_each, tell_log
from stripe_mongo_sync.models.rows.clock import LEASE, from_now, literal
from stripe_mongo_sync.models.rows.indexes import A_DATE, A_STRING, SOME
from stripe_mongo_sync.models.rows.scrub import scrub_row
from stripe_mongo_sync.models.rows.sure import Impossible, sure

log = logging.getLogger("stripe_mongo_sync")
REQUEST_KEYS_LAST = timedelta(days=45)  # a caller's Idempotency-Key is remembered at least this long


class SyncedDocument(Lifecycle, NoticeOutbox, Birth):
    """A document and its object at Stripe."""

    meta: ClassVar[dict[str, Any]] = {
        "abstract": True,
        "strict": False,
        "auto_create_index": False,
        "index_cls": False,
    }
    indexes: ClassVar[list[IndexModel]] = [
        IndexModel("key", unique=True, partialFilterExpression={"key": A_STRING}),
        IndexModel(
            [("stripe_id", 1), ("live", 1)],
            unique=True,
            partialFilterExpression={"stripe_id": A_STRING, "live": True},
        ),
        IndexModel("stripe_id", partialFilterExpression={"stripe_id": A_STRING}),
        IndexModel(
            [("request.token", 1), ("request.route", 1), ("request.key", 1)],
            unique=True,
            partialFilterExpression={"request.key": A_STRING},
        ),
        IndexModel("lease", partialFilterExpression={"lease": A_DATE}),
        IndexModel("review", partialFilterExpression={"review": {"$type": "string"}}),
        *(IndexModel(name, partialFilterExpression={f"{name}.0": SOME}) for name in ("orphans", "undone")),
        IndexModel("in_doubt", partialFilterExpression={"in_doubt": True}),
        IndexModel([("live", 1), ("created_at", -1), ("_id", -1)]),
        IndexModel([("status", 1), ("created_at", -1), ("_id", -1)]),
        IndexModel(
            [("status", 1), ("operation.since", 1), ("lease", 1)], partialFilterExpression={"operation.since": A_DATE}
        ),
        IndexModel(
            [("confirmed_at", 1), ("status", 1), ("created_at", 1)], partialFilterExpression={"confirmed_at": None}
        ),
        NoticeOutbox.notice_index,
    ]
    instead = "Call `update` (or `create`, `act`, `delete`) of stripe_mongo_sync: it changes both sides."
    says: ClassVar[str]  # what the API says of the type; no docstring, which `python -OO` takes away
    resource: ClassVar[Resource]

    id: ObjectId = ObjectIdField(primary_key=True)
    status: Status = StringField(choices=[str(status) for status in Status])
    live: bool = BooleanField()  # pending or active: only these occupy their username and object
    revision: int = IntField()  # counts the changes; every change requires the revision that was read
    stripe_id: str | None = StringField()
    key: str | None = StringField()  # key of the create call; never cleared, because Stripe may create the object late
    operation: Operation | None = EmbeddedDocumentField(Operation)
    lease: datetime | None = DateTimeField()  # until then a worker has it; in the past: due; None: nothing to do
    orphans: list[str] = ListField(StringField())  # objects that this document's key created and no document uses
    undone: list[str] = ListField(StringField())  # those of them that are no longer usable
    undoing: Undoing | None = EmbeddedDocumentField(Undoing)  # the undo that may be in flight
    missing_since: datetime | None = DateTimeField()  # when a GET first did not find it; cleared once it is seen
    in_doubt: bool = BooleanField()  # an object of this document may exist that we have not seen
    review: str | None = StringField()  # why an operator must decide
    error: Failure | None = EmbeddedDocumentField(Failure)
    request: Request | None = EmbeddedDocumentField(Request)
    stripe: dict[str, Any] | None = JsonField()  # the snapshot
    digest: str | None = StringField()  # of the snapshot's content; erased, of what stays of it
    links_seen_at: datetime | None = DateTimeField()  # when Stripe rendered the snapshot's links; None: it has none
    seen_at: int | None = IntField()  # Stripe's time, in seconds, that the snapshot is at least as new as
    doubt_until: int | None = IntField()  # up to this second an event may be older or newer than the snapshot
    confirmed_at: datetime | None = DateTimeField()  # when an event or a list first showed the object
    created_at: datetime = DateTimeField()
    updated_at: datetime = DateTimeField()
    settled_at: datetime | None = DateTimeField()  # since then nothing is left to do, and the row may expire
    moved_by: str | None = StringField()  # who changed the status last
    erased_at: datetime | None = DateTimeField()  # when all personal data was removed from it

    as_of: datetime | None = None  # MongoDB's time of the `merge` that returned it, if known; not stored

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
        return {"status": self.status, "stripe_id": self.stripe_id}

    @classmethod
    def wanted(cls, keep: timedelta) -> list[IndexModel]:
        """Return the indexes of its collection. A tombstone lasts as long as its request's key may be repeated."""
        return super().wanted(max(keep, REQUEST_KEYS_LAST))

    # --- change ---

    def update_if_unchanged(self, by: str = "", /, *, notices: Sequence[str] = (), **changes: Any) -> Self | None:
        """Apply `changes` if the document is unchanged since it was read; return the changed document, or None.

        The same update appends the notice of a new status and `notices`, which the resource must name.
        """
        return self._update({}, by, notices, changes)

    def hold(self, by: str = "", /, **changes: Any) -> Self | None:
        """Apply `changes` if the document is unchanged since it was claimed and the lease still runs; else None."""
        return self._update({"$expr": {"$gt": ["$lease", from_now()]}}, by, (), changes)

    def _update(self, fence: dict[str, Any], by: str, notices: Sequence[str], changes: dict[str, Any]) -> Self | None:
        news, named = list(notices), self.resource.notices
        if not set(news) <= set(named):
            raise Impossible(f"{news} are not all notices of {self.resource.kind}")
        if "status" in changes:
            news += [self.resource.notice_of(changes["status"])] if changes["status"] != self.status else []
            changes = {**changes, "live": changes["status"] in (Status.PENDING, Status.ACTIVE), "moved_by": by}
        if self.erased_at is not None and isinstance(changes.get("error"), dict):
            changes = {**changes, **scrub_row({"error": changes["error"]}, ())}  # the message may quote the person
        merged = {name: literal(value) for name, value in changes.items()}
        changed = {**merged, **append_notices(*news), "revision": {"$add": ["$revision", 1]}, "updated_at": from_now()}
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "revision": self.revision, **fence},
            [{"$replaceWith": {"$mergeObjects": ["$$ROOT", changed]}}],
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            return None
        document = self._from_son(found)
        if "status" in changes:
            log.info("%s %s → %s (%s)", self.resource.kind, document.id, document.status, by)
        return document

    @property
    def claimed_at(self) -> datetime:
        """Return MongoDB's time when the running lease was taken, which stands for the present."""
        return sure(self.lease) - LEASE

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
        first = [("live", DESCENDING)] if cls.resource.accepts_custom_id else None
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

    def remove_adopted(self) -> bool:
        """Delete this adopted row unless it changed: the only deletion of all. Raises Impossible if not adopted."""
        if not self.adopted:
            raise Impossible("only an adopted row that nobody used is ever removed")
        return bool(self.own_rows().find_one_and_delete({"_id": self.id, "revision": self.revision}))

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
        unreviewed = {"$ne": [{"$type": "$review"}, "string"]}
        due = {"$cond": [{"$and": [{"$eq": ["$live", True]}, unreviewed]}, from_now(), "$lease"]}
        always = {"lease": due, "revision": {"$add": ["$revision", 1]}, "updated_at": from_now()}
        changes = {**always, **{name: literal(value) for name, value in right.items()}}
        cls._get_collection().update_one({**where, "_id": id}, [{"$set": changes}])

    # --- questions ---

    def facts(self, now: datetime, installation: str | None = None) -> Facts:
        """Return what the decisions read of this document at a time of MongoDB's; `installation` is this database's."""
        return facts_of(self.resource, self, now, installation)

    def is_as(self, evidence: Observation) -> bool:
        """Whether this document has the content of the observation; of an erased document, what may stay of it."""
        return self.facts(self.updated_at).is_as(evidence)

    @property
    def path(self) -> str:
        """Return the API path of this document's object."""
        return self.resource.object_path(sure(self.stripe_id))  # only a linked document has an object

    def fetch_latest(self) -> Self:
        """Return the document as it is now."""
        found: Self = type(self).objects(id=self.id).get()
        return found

    def reread(self) -> Self:
        """Return the document as it is now, under the name that `fetch_latest` had; this one goes with 0.3."""
        warnings.warn("reread is now called fetch_latest; the old name will be removed in 0.3", DeprecationWarning, 2)
        return self.fetch_latest()

    @property
    def is_idle(self) -> bool:
        """Whether no operation is pending. A tombstone keeps its operation only as a proof of what it sent."""
        return self.status != Status.PENDING and (self.operation is None or self.status == Status.ROLLED_BACK)

    @property
    def adopted(self) -> bool:
        """Whether it was adopted and never used since: it has no key, operation, request or username."""
        return (
            self.key is None and self.operation is None and self.request is None and not getattr(self, "username", None)
        )


SYNC_FIELDS = frozenset({"_id", "notices", "payment_id", *SyncedDocument._fields} - {"stripe", "username"})
SyncedDocument.engine = SYNC_FIELDS
