"""The questions that find documents: by our id or Stripe's, by a mark or a twin, by what may have made an object."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from bson import ObjectId

from stripe_mongo_sync.models.base.lifecycle import Status
from stripe_mongo_sync.models.base.resource import Resource, is_id
from stripe_mongo_sync.models.base.stripe_fields import StripeFields
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import from_now
from stripe_mongo_sync.models.rows.indexes import SOME
from stripe_mongo_sync.models.rows.own_rows import OwnRows

DOUBT_LASTS = timedelta(days=30)  # for so long Stripe lists the events that can tell whose an object is


class DocumentQueries(StripeFields, OwnRows):
    """The queries, for `SyncedDocument`; each has its index there."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    mark: ClassVar[str] = "revision"
    resource: ClassVar[Resource]

    @classmethod
    def overdue(cls, at: datetime, limit: int) -> list[Self]:
        """Return documents whose lease ran out before `at` (see `clock.now`), longest first."""
        return list(cls.objects(__raw__=clock.overdue(at)).order_by("lease").limit(limit))

    @classmethod
    def by_stripe_id(cls, stripe_id: str) -> Self | None:
        """Return the document of that object: the live one, else the last."""
        found: Self | None = cls.objects(stripe_id=stripe_id).order_by("-live", "-created_at").first()
        return found

    @classmethod
    def by_correlation_id(cls, remote: dict[str, Any]) -> Self | None:
        """Return the document whose mark an object bears, if it may still be its own: nothing is linked to it yet."""
        mark = remote.get(cls.resource.correlation_field) if cls.resource.correlation_field else None
        if not isinstance(mark, str):
            return None
        where = {cls.resource.correlation_field: {"$eq": mark}, "stripe_id": None, "operation": {"$ne": None}}
        found: Self | None = cls.objects(__raw__=where).first()
        return found

    @classmethod
    def with_orphans(cls, *stripe_ids: str) -> list[Self]:
        """Return the documents that have any of these objects as a twin, undone or not."""
        named = {"$in": stripe_ids}
        some = [{f"{twins}.0": SOME, twins: named} for twins in ("orphans", "undone")]
        return list(cls.objects(__raw__={"$or": some}))

    @classmethod
    def in_doubt_documents(cls, remote: dict[str, Any] | None = None) -> Iterable[Self]:
        """Return the documents of which an object may exist unseen: pending, or given up lately without a refusal.

        With `remote`, those that may have made it: MongoDB leaves out who sent another text than it shows. After an
        outage thousands are in doubt, and to look at each for every object that others made would take hours.
        """
        lately = {"$expr": {"$gt": ["$updated_at", from_now(-DOUBT_LASTS)]}}
        where = {"in_doubt": True, "$or": [{"status": Status.PENDING}, lately], **(cls._sent(remote) if remote else {})}
        found: Iterable[Self] = cls.objects(__raw__=where).only(
            "status", "operation", "updated_at", "review", "revision"
        )
        return found

    @classmethod
    def _sent(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the query of the texts with which an object may have been made; '' is shown as null.

        What gave nothing resembles nobody (`sync.look.resembles`), and after an outage it may be the most.
        """
        shown = cls.in_request_shape(remote)
        texts = {name: shown.get(name) for name in (*cls.own_fields(), "id") if not name.endswith("currency")}
        alike = {
            f"operation.params.{name}": {"$in": [text, "", None]}
            for name, text in texts.items()
            if text is None or isinstance(text, str)
        }
        return {**alike, "operation.params": {"$ne": {}}}

    @classmethod
    def taken_by(cls, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the queries of who may have what these values would take, where no unique index can say so."""
        return []

    @classmethod
    def lookup(cls, reference: str) -> Self | None:
        """Return the document that a caller means by our id or Stripe's; rolled-back and deleted ones by id only."""
        if not is_id(reference):
            return None
        if ObjectId.is_valid(reference) and (found := cls.objects(id=ObjectId(reference)).first()):
            document: Self = found
            return document
        by_stripe_id: Self | None = cls.objects(stripe_id=reference, live=True).first()
        return by_stripe_id
