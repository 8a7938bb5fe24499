"""Notices: what application code asked to hear of, written by the very update that makes it true.

A notice waits on the row that it is about (a document, an event) until it is moved to the deliveries, one for each hook
that had asked for it. So no crash can fall between a fact and its notice, and what nobody asked for is not written.
"""

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self

from bson import ObjectId
from pymongo import IndexModel

from stripe_mongo_sync.models.base.embedded import JsonField
from stripe_mongo_sync.models.rows.clock import Expression, from_now, literal
from stripe_mongo_sync.models.rows.indexes import A_DATE
from stripe_mongo_sync.models.rows.own_rows import OwnRows

HOOK_PATTERNS: dict[
    str, tuple[str, ...]
] = {}  # by the name of each hook of this process, the names and patterns it asked for
REVISION = {"$toString": {"$add": [{"$ifNull": ["$revision", 0]}, 1]}}  # that the row has after this update


def of_event(type: str) -> str:
    """Return the name of the notice of Stripe's events of a type."""
    return f"stripe:{type}"


def matches(name: str, asked: str) -> bool:
    """Whether a name is what was asked for; `*.deleted` asks for our documents, not for Stripe's events."""
    return fnmatchcase(name, asked) and (":" in name) == (":" in asked)


def append_notices(*names: str) -> dict[str, Expression]:
    """Return the change that appends to a row's notices those of `names` that some hook asked for; {} for none."""
    new = [
        {"id": {"$concat": [{"$toString": "$_id"}, ":", REVISION, literal(f":{name}")]}, "name": literal(name)}
        | {"at": from_now(), "hooks": literal(hooks)}
        for name in names
        if (hooks := _asking(name))
    ]
    return {"notices": Expression({"$concatArrays": [{"$ifNull": ["$notices", []]}, new]})} if new else {}


def initial_notice(id: ObjectId, name: str, at: datetime) -> dict[str, Any]:
    """Return the same for a row of that id that is inserted as plain values; {} when no hook asked for it."""
    hooks = _asking(name)
    return {"notices": [{"id": f"{id}:1:{name}", "name": name, "at": at, "hooks": hooks}]} if hooks else {}


def _asking(name: str) -> list[str]:
    return [hook for hook, asked in HOOK_PATTERNS.items() if any(matches(name, one) for one in asked)]


class NoticeOutbox(OwnRows):
    """A row that can have notices: {"id", "name", "at", "hooks"}, in the order of what happened. Most have none."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    notices: list[dict[str, Any]] | None = JsonField()

    HAS_NOTICES: ClassVar[dict[str, Any]] = {"notices.at": A_DATE}
    notice_index: ClassVar[IndexModel] = IndexModel("notices.at", partialFilterExpression=HAS_NOTICES)

    @classmethod
    def with_notices(cls, limit: int) -> list[Self]:
        """Return some rows that have notices."""
        return list(cls.objects(__raw__=cls.HAS_NOTICES).limit(limit))

    def drop_notices(self) -> bool:
        """Take the notices that were read off the row; False when the row is gone.

        The revision stays: it guards what decides, and no writer that read the row before has to read it again.
        """
        read = [notice["id"] for notice in self.notices or []]
        left = {"$filter": {"input": "$notices", "cond": {"$not": [{"$in": ["$$this.id", literal(read)]}]}}}
        rest = {
            "$cond": [{"$eq": [left, []]}, "$$REMOVE", left]
        }  # a row without notices has no such field: see indexes
        found = self.own_rows().find_one_and_update(
            {"_id": self.id, "notices.id": {"$in": read}}, [{"$set": {"notices": rest}}], projection={"_id": 1}
        )
        return found is not None
