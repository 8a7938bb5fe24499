"""One command for many rows: a read of several collections at one moment, guarded updates, and a fenced insert.

MongoDB's own commands with plain rows: the driver's bulk writes and MongoEngine's objects cost several times as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import WriteConcernError

from stripe_mongo_sync.models.dry_run.run import require_meant
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.rows.marked import Row, ours
from stripe_mongo_sync.models.rows.own_rows import OwnRows

MOST = 100_000  # rows in one answer: a batch is far smaller


@dataclass(frozen=True)
class Query:
    """Which rows of a collection to read, and which of their fields, if not all."""

    model: type[OwnRows]
    where: Mapping[str, Any]
    fields: Sequence[str] = ()


@dataclass(frozen=True)
class Change:
    """New values of the fields of a row, for as long as it has the revision that was read."""

    id: Any
    values: RawBSONDocument  # as `change` returns them


# Each row finds its change by its id, and takes it if nobody was faster. For each query by id and revision instead,
# MongoDB makes a plan: that took half as long again.
NEW = {"$arrayElemAt": ["$$changes", {"$indexOfArray": ["$$ids", "$_id"]}]}
NOTICES = {"$concatArrays": [{"$ifNull": ["$notices", []]}, "$$new.notices"]}
NOTIFIED = {"$cond": ["$$new.notices", {"notices": NOTICES}, {}]}  # without notices, the field must not be there
CHANGED = {"$mergeObjects": ["$$ROOT", "$$new.values", {"revision": {"$add": ["$revision", 1]}}, NOTIFIED]}
GUARDED = {"$cond": [{"$eq": ["$revision", "$$new.revision"]}, CHANGED, "$$ROOT"]}
UPDATE = [{"$replaceWith": {"$let": {"vars": {"new": NEW}, "in": GUARDED}}}]


def read_many(queries: Sequence[Query]) -> tuple[datetime, list[list[Row]]]:
    """Return the time, and the rows that each query selects at that time."""
    stages: list[dict[str, Any]] = [{"$documents": [{}]}, {"$project": {"at": "$$NOW"}}]
    for number, query in enumerate(queries):
        marked = {"$replaceWith": {"of": {"$literal": number}, "row": "$$ROOT"}}
        shown = [{"$project": dict.fromkeys(query.fields, 1)}] if query.fields else []
        asked = [{"$match": ours(query.where, query.model.mark)}, *shown, marked]
        stages.append({"$unionWith": {"coll": query.model._get_collection_name(), "pipeline": asked}})
    first, *rest = database().aggregate(stages, batchSize=MOST)  # which the driver repeats, unlike a plain command
    found: list[list[Row]] = [[] for _ in queries]
    for each in rest:
        found[each["of"]].append(each["row"])
    return first["at"].astimezone(UTC) + clock.TEST_OFFSET, found  # the driver writes times of this zone faster


def change(id: Any, revision: int, values: Row, notices: Sequence[Row]) -> Change:
    """Return the change of the row with this id and revision. Raises what BSON cannot hold."""
    new = {"revision": revision, "values": values}
    return Change(id, _encoded({**new, "notices": notices} if notices else new))


def update_many(model: type[OwnRows], changes: Sequence[Change]) -> bool:
    """Make these changes of different rows; return, once the majority has them, whether all were made.

    If not, a row had another revision, or MongoDB refused a change; it does not say which.
    """
    ids = [each.id for each in changes]
    constants = {"ids": ids, "changes": [each.values for each in changes]}
    update = {"q": {"_id": {"$in": ids}}, "u": UPDATE, "multi": True, "c": constants}
    told = _command({"update": model._get_collection_name(), "updates": [update]}, writes=True)
    return bool(told["nModified"] == len(changes) and not told.get("writeErrors"))


def encoded_row(row: Row) -> RawBSONDocument:
    """Return a row as it is inserted. Raises what BSON cannot hold."""
    return _encoded(row)


def insert_many(model: type[OwnRows], rows: Sequence[RawBSONDocument], until: datetime) -> None:
    """Insert these rows, whose ids are texts, if MongoDB's time is before `until`; return once the majority has them.

    Raises OperationFailure (ConversionFailure) if it is too late: then none is inserted. Raises DuplicateKeyError if an
    id is taken: then some may be inserted.
    """
    collection = model.insert_collection()
    late = {"$toInt": {"$concat": ["too late: ", "$_id"]}}  # an expression that fails
    stages = [
        {"$documents": [{"$literal": row} for row in rows]},
        {"$match": {"$expr": {"$cond": [{"$lt": ["$$NOW", until - clock.TEST_OFFSET]}, True, late]}}},
        {"$merge": {"into": collection.name, "whenMatched": "fail"}},
    ]
    _command({"aggregate": 1, "pipeline": stages, "cursor": {}}, writes=True)


def _command(command: dict[str, Any], *, writes: bool = False) -> dict[str, Any]:
    if writes:
        require_meant()
    there = database()
    concern = {"writeConcern": there.write_concern.document} if writes else {}
    told = there.command({**command, **concern}, codec_options=there.codec_options)
    if failed := told.get("writeConcernError"):
        raise WriteConcernError(failed.get("errmsg", ""), failed.get("code"), failed)
    return told


def _encoded(document: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document, codec_options=database().codec_options))
