"""Notices: facts for hooks, each stored on its row by the update that makes it true.

A notice stays on its row (a document or an event) until it becomes deliveries, one for each hook that subscribed to it.
So no crash can separate a fact from its notice, and a fact without a subscriber is not written.
"""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self

from bson import ObjectId
from pymongo import IndexModel

from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.rows.clock import Expression, from_now, literal
from stripe_mongo_sync.models.rows.indexes import A_DATE
from stripe_mongo_sync.models.rows.own_rows import OwnRows

HOOK_PATTERNS: dict[str, tuple[str, ...]] = {}  # by the name of each hook of this process: the notices it subscribes to
REVISION = {"$toString": {"$add": [{"$ifNull": ["$revision", 0]}, 1]}}  # the revision after this update


def of_event(type: str) -> str:
    """Return the name of the notice of Stripe's events of a type."""
    return f"stripe:{type}"


def matches(name: str, asked: str) -> bool:
    """Whether a name fits a pattern; `*.deleted` means our documents, not Stripe's events."""
    return fnmatchcase(name, asked) and (":" in name) == (":" in asked)


def append_notices(*names: str) -> dict[str, Expression]:
    """Return the change that appends those of `names` to which a hook subscribes; {} if there are none."""
    new = [
        {"id": {"$concat": [{"$toString": "$_id"}, ":", REVISION, literal(f":{name}")]}, "name": literal(name)}
        | {"at": from_now(), "hooks": literal(hooks)}
        for name in names
        if (hooks := _asking(name))
    ]
    return {"notices": Expression({"$concatArrays": [{"$ifNull": ["$notices", []]}, new]})} if new else {}


def initial_notice(id: ObjectId | str, name: str, at: datetime) -> dict[str, Any]:
    """Return the same for a row that is inserted as plain values; {} if no hook subscribes."""
    new = plain_notices(id, 1, [name], at)
    return {"notices": new} if new else {}


def plain_notices(id: ObjectId | str, revision: int, names: Sequence[str], at: datetime) -> list[dict[str, Any]]:
    """Return those of `names` to which a hook subscribes, as the notices of a row in this revision."""
    asked = ((name, hooks) for name in names if (hooks := _asking(name)))
    return [{"id": f"{id}:{revision}:{name}", "name": name, "at": at, "hooks": hooks} for name, hooks in asked]


def is_heard(name: str) -> bool:
    """Whether a hook of this process subscribes to a notice."""
    return bool(_asking(name))


def _asking(name: str) -> list[str]:
    return [hook for hook, asked in HOOK_PATTERNS.items() if any(matches(name, one) for one in asked)]


class NoticeOutbox(OwnRows):
    """A row that can have notices: {"id", "name", "at", "hooks"}, oldest first. Most rows have none."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    notices: list[dict[str, Any]] | None = JsonField()

    HAS_NOTICES: ClassVar[dict[str, Any]] = {"notices.at": A_DATE}
    notice_index: ClassVar[IndexModel] = IndexModel("notices.at", partialFilterExpression=HAS_NOTICES)

    @classmethod
    def with_notices(cls, limit: int) -> list[Self]:
        """Return some rows that have notices."""
        return list(cls.objects(__raw__=cls.HAS_NOTICES).limit(limit))

    def drop_notices(self) -> bool:
        """Remove the notices that were read from the row; return False if the row is gone.

        The revision stays the same, so that no writer that read the row before has to read it again.
        """
        read = [notice["id"] for notice in self.notices or []]
        left = {"$filter": {"input": "$notices", "cond": {"$not": [{"$in": ["$$this.id", literal(read)]}]}}}
        # A row without notices must not have the field: see the condition of its index.
        rest = {"$cond": [{"$eq": [left, []]}, "$$REMOVE", left]}
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "notices.id": {"$in": read}}, [{"$set": {"notices": rest}}], projection={"_id": 1}
        )
        return found is not None
