"""The queries that find documents: by our id or Stripe's, by correlation id, by orphan, and those in doubt."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Self

from bson import ObjectId

from stripe_mongo_sync.models.base.birth import Adoption
from stripe_mongo_sync.models.base.facts import Status
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.base.stripe_fields import StripeFields
from stripe_mongo_sync.models.rows.clock import from_now
from stripe_mongo_sync.models.rows.indexes import SOME

DOUBT_LASTS = timedelta(days=30)  # Stripe lists events, which name an object's creation key, for 30 days


class DocumentQueries(StripeFields, Adoption):
    """The queries, for `SyncedDocument`; each has its index there."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}

    @classmethod
    def by_stripe_id(cls, stripe_id: str) -> Self | None:
        """Return the document of an object: the live one, else the newest; None if it has none."""
        found: Self | None = cls.objects(stripe_id=stripe_id).order_by("-is_current", "-created_at").first()
        return found

    @classmethod
    def by_correlation_id(cls, remote: dict[str, Any]) -> Self | None:
        """Return the pending document whose correlation id an object has; None if there is none, or it is linked."""
        mark = remote.get(cls.resource.correlation_field) if cls.resource.correlation_field else None
        if not isinstance(mark, str):
            return None
        where = {cls.resource.correlation_field: {"$eq": mark}, "stripe_id": None, "operation": {"$ne": None}}
        found: Self | None = cls.objects(__raw__=where).first()
        return found

    @classmethod
    def with_orphans(cls, *stripe_ids: str) -> list[Self]:
        """Return the documents that have any of these objects as an orphan, undone or not."""
        named = {"$in": stripe_ids}
        some = [{f"{name}.0": SOME, name: named} for name in ("orphans", "undone_orphans")]
        return list(cls.objects(__raw__={"$or": some}))

    @classmethod
    def rivals(cls, stripe_ids: Iterable[str]) -> tuple[set[str], bool]:
        """Return which of these objects are orphans here, undone or not, and whether any document is in doubt.

        It asks in one round trip what `with_orphans` and `in_doubt_documents` ask.
        """
        named = {"$in": [*stripe_ids]}
        orphans = [{f"{name}.0": SOME, name: named} for name in ("orphans", "undone_orphans")]
        doubt = [{"$match": {cls.mark: SOME, **cls._doubt()}}, {"$limit": 1}, {"$project": {"_id": 1}}]
        asked: list[dict[str, Any]] = [
            {"$match": {"$or": orphans}},
            {"$project": {"orphans": 1, "undone_orphans": 1}},
            {"$unionWith": {"coll": cls._get_collection_name(), "pipeline": doubt}},
        ]
        rows = list(cls.own_rows().aggregate(asked))
        owners = [row for row in rows if "orphans" in row or "undone_orphans" in row]
        return {id for row in owners for id in (*row["orphans"], *row["undone_orphans"])}, len(rows) > len(owners)

    @classmethod
    def _doubt(cls) -> dict[str, Any]:
        lately = {"$expr": {"$gt": ["$updated_at", from_now(-DOUBT_LASTS)]}}
        return {"in_doubt": True, "$or": [{"status": Status.PENDING}, lately]}

    @classmethod
    def in_doubt_documents(
        cls, remote: dict[str, Any] | None = None, among: Iterable[ObjectId] | None = None
    ) -> Iterable[Self]:
        """Return the documents in doubt: pending, or rolled back in the last 30 days without a refusal by Stripe.

        With `among`, only those of these ids. With `remote`, only those that may have created it: MongoDB leaves out
        documents that sent other texts. After an outage thousands are in doubt, and comparing each with every unknown
        object would take hours.
        """
        where = {**cls._doubt(), **(cls._sent(remote) if remote else {})}
        where |= {} if among is None else {"_id": {"$in": [*among]}}
        found: Iterable[Self] = cls.objects(__raw__=where).only(
            "status", "operation", "updated_at", "review_reason", "revision"
        )
        return found

    @classmethod
    def _sent(cls, remote: dict[str, Any]) -> dict[str, Any]:
        """Return the query for the texts with which an object may have been created; Stripe shows '' as null.

        An operation without parameters has no candidates, and after an outage most may be of that kind.
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
    def lookup(cls, reference: str) -> Self | None:
        """Return the document of our id or Stripe's; a rolled-back or deleted one by our id only."""
        found: Self | None = super().lookup(reference)
        if found is None and is_id(reference):
            found = cls.objects(stripe_id=reference, is_current=True).first()
        return found
