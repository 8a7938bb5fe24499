"""Witness: sees every request at the moment when Stripe gets it, and asks MongoDB whether it may be sent."""

from typing import Any

from bson import ObjectId
from pymongo import MongoClient

from stripe_mongo_sync.models import created_kinds
from stripe_mongo_sync.models.rows.keys import IdempotencyKey


class Witness:
    """Raises AssertionError for what no fault can excuse; it has a client of its own, which nobody listens to."""

    def __init__(self, database: str) -> None:
        self._database = MongoClient[Any](database).get_default_database()
        self._kinds = {kind: (m._get_collection_name(), m.resource.path) for kind, m in created_kinds().items()}

    def __call__(self, method: str, url: str, text: str | None) -> None:
        """See one request."""
        path = "/v1/" + url.partition("/v1/")[2].partition("?")[0]
        if method == "POST":
            key = IdempotencyKey.parse(text)
            assert key is not None, f"POST {path} without a key of ours"
            document = self._find(key.kind, {"_id": key.document})
            assert document is not None, f"POST {path} before its intent was stored"
            if key.verb == "undo":
                self._may_go(key.kind, path, document["_id"])
            elif key.verb == "create":  # another may have ended a change, or a deletion replaced it
                assert text in _keys(document), f"POST {path} with a key that its document does not know"
        if method == "DELETE":
            for kind, (_, prefix) in self._kinds.items():
                if prefix and path.startswith(f"{prefix}/") and path.count("/") == prefix.count("/") + 1:
                    self._may_go(kind, path)

    def _may_go(self, kind: str, path: str, owner: ObjectId | None = None) -> None:
        """Nothing goes at Stripe but what a document says is an orphan, or is to be deleted."""
        prefix = self._kinds[kind][1]
        stripe_id = path.removeprefix(f"{prefix}/").partition("/")[0]
        own = {"stripe_id": stripe_id, "$or": [{"operation.verb": {"$ne": None}}, {"status": "deleted"}]}
        named = {"$or": [{"orphans": stripe_id}, own]}  # deleted: an event came between the intent and its request
        where = {**named, "_id": owner} if owner else named
        assert self._find(kind, where) is not None, f"{path} goes, and no document says that it may"
        holder = self._find(kind, {"stripe_id": stripe_id, "is_current": True, "operation": None})
        assert holder is None, f"{path} goes, and document {holder and holder['_id']} uses it"

    def _find(self, kind: str, where: dict[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._database[self._kinds[kind][0]].find_one(where)
        return found

    def close(self) -> None:
        """Let go of the client."""
        self._database.client.close()


def _keys(document: dict[str, Any]) -> set[str]:
    """The keys that a document knows: of its creation, and of the calls of its operation."""
    operation = document["operation"] or {}
    return {
        document["creation_key"],
        operation.get("key"),
        *(call["key"] for call in operation.get("prerequisites", [])),
    }
