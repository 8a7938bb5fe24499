"""The inserts of a document: staged before its object exists, adopted for an existing object, or as a tombstone.

Each is one insert, which can neither replace nor restore a document.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self, TypeVar

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from stripe_mongo_sync.models.base.facts import Observation, Status
from stripe_mongo_sync.models.base.notice import append_notices, initial_notice
from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.base.whose import listed, owners, owners_of_document, uses
from stripe_mongo_sync.models.rows.clock import DueReason, Expression, from_now, leased, literal
from stripe_mongo_sync.models.rows.own_rows import OwnRows
from stripe_mongo_sync.models.rows.scrub import scrub_row
from stripe_mongo_sync.models.rows.sure import sure

log = logging.getLogger("stripe_mongo_sync")


class Memory(Protocol):
    """The class that knows who was erased."""

    @classmethod
    def concerns(cls, ids: set[str]) -> bool:
        """Whether any of these objects belongs to a person who was erased."""

    @classmethod
    def include_if_related(cls, owners: set[str], more: set[str]) -> bool:
        """Whether one of the `owners` belongs to a person who was erased; if so, record that `more` does, too."""


Remembering = TypeVar("Remembering", bound=type[Memory])

_memory: type[Memory] | None = None


def remembers(memory: Remembering) -> Remembering:
    """Register the class that knows who was erased."""
    global _memory
    _memory = memory
    return memory


def forgotten() -> type[Memory]:
    """Return that class. Raises Impossible while none is registered, so that nothing is inserted without it."""
    return sure(_memory)


def sent_now(*more: str) -> dict[str, Any]:
    """Return the changes of an operation that is about to be sent: the times with these names, and `sent_at`."""
    return dict.fromkeys((*more, "sent_at"), from_now())


class NewOperation(Expression):
    """The expression of an operation; `staged` is what it says without the times."""

    staged: dict[str, Any]


def new_operation(operation: dict[str, Any]) -> NewOperation:
    """Return the expression of an operation whose key is as old as this write."""
    blank = {"attempts": 1, "outcome_unknown": False, "saved_error_at": None}
    new = NewOperation({"$mergeObjects": [{"$literal": {**blank, **operation}}, sent_now("staged_at")]})
    new.staged = operation
    return new


def patched_operation(**changes: Any) -> Expression:
    """Return the expression of the pending operation with some fields changed."""
    return Expression({"$mergeObjects": ["$operation", changes]})


def claimed() -> dict[str, Any]:
    """Return the changes of a claim: a lease, and an attempt that is counted before it is made.

    The worker that held the lease before may have sent the operation and died, so that attempt's outcome is unknown.
    """
    counted = patched_operation(attempts={"$add": ["$operation.attempts", 1]}, outcome_unknown=True)
    return {**leased(), "operation": Expression({"$cond": ["$operation", counted, None]})}


class Birth(OwnRows):
    """The inserts of a document that is made here, for `StagedDocument`."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    mark: ClassVar[str] = "revision"
    resource: ClassVar[Resource]

    status: Status

    @classmethod
    def stage(
        cls, values: dict[str, Any], operation: dict[str, Any], *, id: ObjectId, request: dict[str, Any] | None
    ) -> Self:
        """Insert a pending document, leased to its creator. Raises DuplicateKeyError when a unique value is taken."""
        return cls._insert(
            id,
            {
                **values,
                "status": Status.PENDING,
                "creation_key": operation["key"],
                "operation": new_operation(operation),
                **leased(),
                "in_doubt": True,
                "request": request,
                "owners": listed(owners_of_document(cls.resource.kind, {**values, "operation": operation})),
            },
            cls.taken_by(values),
        )

    @classmethod
    def insert_tombstone(cls, id: ObjectId, problem: dict[str, Any]) -> Self:
        """Insert a tombstone under an id that was chosen before, so that no process can stage that id later.

        Raises DuplicateKeyError when it was staged.
        """
        given_up = {"status": Status.ROLLED_BACK, "is_current": False, "error": problem, "in_doubt": False}
        return cls._insert(id, {**given_up, "finished_at": from_now(), "owners": listed(())})

    @classmethod
    def with_derived(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return a caller's validated `values` together with those that this type derives from them."""
        return values

    @classmethod
    def taken_by(cls, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return queries for documents that hold one of these values, for values that no unique index checks."""
        return []

    @classmethod
    def _insert(cls, id: ObjectId, values: dict[str, Any], unless: Sequence[dict[str, Any]] = ()) -> Self:
        # An upsert of a fresh id is an insert that can stamp the server's own time; were the id there already, the
        # filter would miss and the insert would fail on it. `unless` selects a document that has a value which this
        # one would take: it is found instead of the fresh id, and left as it is.
        cls.know_before([values])
        live = values["status"] in (Status.PENDING, Status.ACTIVE)
        row = {name: literal(value) for name, value in {**DEFAULTS, **values, "is_current": live}.items()}
        if values["status"] != Status.PENDING:
            row |= append_notices(cls.resource.notice_of(values["status"]))
        row |= {"_id": id, "revision": literal(1), "created_at": from_now(), "updated_at": from_now()}
        fresh = {"$eq": [{"$type": "$revision"}, "missing"]}
        found = cls.insert_collection().find_one_and_update(
            {"$or": [{"_id": id, "revision": {"$exists": False}}, *unless]},
            [{"$replaceWith": {"$cond": [fresh, {"$mergeObjects": ["$$ROOT", row]}, "$$ROOT"]}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        if sure(found)["_id"] != id:
            raise DuplicateKeyError(f"another document has what {id} would take")
        document = cls._from_son(found)
        log.info("%s %s → %s", cls.resource.kind, id, document.status)
        return document


class Adoption(Birth):
    """The inserts of documents for objects that exist, for `SyncedDocument`."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}

    @classmethod
    def adopt(cls, evidence: Observation) -> Self:
        """Insert an active document for an object that somebody else created; a deleted one, if only its end is known.

        Raises DuplicateKeyError when the object has a document.
        """
        return cls._insert(ObjectId(), cls._adopted_row(evidence, from_now()))

    @classmethod
    def adopt_many(cls, evidence: Sequence[Observation], at: datetime) -> list[Observation]:
        """Insert active documents for many such objects; return the observations that were not inserted.

        For each of those, `adopt` says why. A plain insert can neither replace nor restore a document, and is six
        times as fast as as many upserts. `at` is MongoDB's time, read just before.
        """
        owned = [cls._owners(each) for each in evidence]
        birth = cls._adopted_row if forgotten().concerns(set().union(*owned)) else adopted_fields
        blank, rows = {**DEFAULTS, "revision": 1, "created_at": at, "updated_at": at}, list[dict[str, Any]]()
        news = cls.resource.notice_of(Status.ACTIVE)
        for each, own in zip(evidence, owned, strict=True):
            id = ObjectId()
            rows.append({"_id": id, **blank, "owners": listed(own), **birth(each, at), **initial_notice(id, news, at)})
        cls.know_before(rows)
        try:
            cls.insert_collection().insert_many(rows, ordered=False)
        except BulkWriteError as error:
            if error.details["writeConcernErrors"]:
                raise
            return [evidence[failed["index"]] for failed in error.details["writeErrors"]]
        return []

    @classmethod
    def _adopted_row(cls, evidence: Observation, at: datetime | Expression) -> dict[str, Any]:
        """Return the fields of one; if its owner was erased, only what may stay."""
        owned = cls._owners(evidence)
        born = {**adopted_fields(evidence, at), "owners": listed(owned)}
        if not forgotten().include_if_related(owned, {evidence.stripe_id, *uses(evidence.remote or {})}):
            return born
        left = {**born, **scrub_row(born, SYNC_FIELDS), "erased_at": at}
        return {**left, "owners": listed(owners_of_document(cls.resource.kind, left))}

    @classmethod
    def _owners(cls, evidence: Observation) -> set[str]:
        return owners({**(evidence.remote or {}), "id": evidence.stripe_id, "object": cls.resource.kind})


def adopted_fields(evidence: Observation, at: datetime | Expression) -> dict[str, Any]:
    """Return the fields of an adopted document. It is confirmed: an event or a list showed its object."""
    status = Status.DELETED if evidence.deleted else Status.ACTIVE
    own = {"status": status, "stripe_id": evidence.stripe_id, "in_doubt": False}
    look = {"due_at": at, "due_reason": DueReason.REFRESH} if evidence.unshown else {}  # a refresh reads the rest
    return {**own, **evidence.first_snapshot(), **look, "confirmed_at": at}


NAMES = """
    stripe_id creation_key operation leased_until due_at due_reason orphans undone_orphans undoing missing_since
    review_reason error request stripe digest links_seen_at snapshot_earliest snapshot_latest confirmed_at finished_at
    status_changed_by erased_at
"""
DEFAULTS: dict[str, Any] = {"is_current": True, **dict.fromkeys(NAMES.split()), "orphans": [], "undone_orphans": []}
# The fields that hold no personal data, and stay when a document is erased.
OTHERS = "_id id notices status revision in_doubt created_at updated_at owners decision decided_by decided_at"
SYNC_FIELDS = frozenset({*OTHERS.split(), *DEFAULTS} - {"stripe"})
