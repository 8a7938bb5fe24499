"""Finds rows that could not be read or changed, or to which nobody would return, and restores them.

Every write of ours leaves a row sound: the rules below hold. A row that breaks one was edited by hand in MongoDB, and
may lack even our mark. So MongoDB itself finds such rows, and restores each in one conditional update. What contradicts
the snapshot is found in `sync/runs/edited.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mongoengine import BooleanField, DateTimeField, EmbeddedDocumentField, IntField, StringField
from pymongo import timeout

from stripe_mongo_sync.models import StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.stripe_fields import MISNAMED
from stripe_mongo_sync.models.rows.clock import Expression, from_now
from stripe_mongo_sync.models.rows.indexes import NO_LIMIT, SOME
from stripe_mongo_sync.models.rows.tally import having
from stripe_mongo_sync.sync.process.backoff import BACKOFF

Json = dict[str, Any]
Model = type[StagedDocument]

LONGEST_DELAY = 2 * BACKOFF[1]  # no write of ours sets a time that is later than this
# A row with one of these is ours, even without our mark: no other program has fields of these names.
OURS = {"$or": [{"snapshot_latest": SOME}, {"undone_orphans": SOME}]}
STAGED = {
    "verb": "string",
    "path": "string",
    "key": "string",
    "params": "object",
    "staged_at": "date",
    "attempts": "number",
}
# Above every count of changes, so that no worker that read the row before takes it for unchanged.
REVISION = Expression({"$toLong": {"$divide": [{"$toLong": "$$NOW"}, 1000]}})
ORPHANS = {"$cond": [{"$isArray": "$orphans"}, "$orphans", []]}
OTHERS = {"$and": [{"$eq": [{"$type": "$$this"}, "string"]}, {"$ne": ["$$this", "$stripe_id"]}]}
TYPES = {StringField: ["string"], BooleanField: ["bool"], IntField: ["int", "long"], DateTimeField: ["date"]}
# Other rules know these.
ELSEWHERE = ("id", "status", "is_current", "stripe_id", "digest", "revision", "leased_until", "due_at", "finished_at")


@dataclass(frozen=True)
class Rule:
    """A query of the rows that break the rule, and what `field` should be instead: a value or an Expression."""

    field: str
    broken: Json
    right: Any = None


def _unlike(name: str, *types: str, missing: bool = True) -> Json:
    """Return the query of rows in which a field has none of these types; a list is a list, not its entries."""
    other = {name: {"$not": {"$type": list(types)}, **({} if missing else SOME)}}
    return other if "array" in types else {"$or": [other, {name: {"$type": "array"}}]}


def rules(model: Model) -> list[Rule]:
    """Return what each row of this model satisfies, so that it can be read and changed, and is worked on in time."""
    fields, own = model._fields.items(), {"$in": ["$stripe_id", ORPHANS]}
    parts = {name: field.document_type for name, field in fields if isinstance(field, EmbeddedDocumentField)}
    lists = [name for name, field in fields if isinstance(getattr(field, "field", None), EmbeddedDocumentField)]
    idle = {"due_at": None, "review_reason": None}
    unfinished = [{"is_current": True, "operation": {"$type": "object"}}, {"orphans.0": SOME}]
    kept = [{"is_current": True}, {"review_reason": {"$type": "string"}}, {"orphans.0": SOME}]
    dates = ("leased_until", "due_at")
    late = {name: {name: {"$type": "date"}, "$expr": {"$gt": [f"${name}", from_now(LONGEST_DELAY)]}} for name in dates}
    incomplete = [_unlike(f"operation.{name}", type) for name, type in STAGED.items()]
    no_text, no_part = ({"$elemMatch": {"$not": {"$type": type}}} for type in ("string", "object"))
    return [
        Rule("revision", {"$or": [_unlike("revision", "int", "long"), {"revision": {"$lt": 1}}]}, REVISION),
        *(Rule(name, {"$or": _unreadable(name, part)}) for name, part in parts.items()),
        *(Rule(name, {name: no_part}, []) for name in lists),
        Rule("operation", {"operation": {"$type": "object"}, "$or": incomplete}),
        Rule("undone_orphans", {"$or": [_unlike("undone_orphans", "array"), {"undone_orphans": no_text}]}, []),
        Rule(
            "orphans",
            {"$or": [_unlike("orphans", "array"), {"orphans": no_text}, {"orphans.0": SOME, "$expr": own}]},
            Expression({"$filter": {"input": ORPHANS, "cond": OTHERS}}),
        ),
        Rule("notices", _unlike("notices", "array", missing=False), Expression({"$cond": [True, "$$REMOVE", 0]})),
        Rule("leased_until", {"$or": [_unlike("leased_until", "date", "null", missing=False), late["leased_until"]]}),
        Rule("due_at", {"$or": [_unlike("due_at", "date", "null", missing=False), late["due_at"]]}, from_now()),
        Rule("due_at", {**idle, "$or": unfinished}, from_now()),  # nobody would return to it
        Rule("finished_at", {"finished_at": {"$ne": None}, "$or": kept}),  # MongoDB would delete it
        *(_of_type(name, types) for name, types in SIMPLE.items()),
        *(Rule(*rule) for rule in model.rules),
    ]


def _of_type(name: str, types: list[str]) -> Rule:
    """Return the rule that a field has one of these types; a date is one that can be read."""
    never_null = name in ("created_at", "updated_at")
    wrong = _unlike(name, *types, *([] if never_null else ["null"]), missing=never_null)
    right: dict[str, Any] = {
        "created_at": Expression({"$toDate": "$_id"}),
        "updated_at": from_now(),
        "erased_at": from_now(),  # as some personal data may have been
        "in_doubt": Expression({"$eq": ["$status", Status.PENDING]}),
    }
    return Rule(name, {"$or": [wrong, {name: {"$gt": datetime.max}}, {name: {"$lt": datetime.min}}]}, right.get(name))


def _unreadable(name: str, part: Any) -> list[Json]:
    """Return the queries of a part that cannot be read: it, or a part of it, is no object."""
    inner = {
        f"{name}.{each}": field.document_type
        for each, field in part._fields.items()
        if isinstance(field, EmbeddedDocumentField)
    }
    deeper = [query for path, its in inner.items() for query in _unreadable(path, its)]
    return [_unlike(name, "object", "null", missing=False), {f"{name}._cls": SOME}, *deeper]


SIMPLE = {
    name: types
    for name, field in SyncedDocument._fields.items()
    if name not in ELSEWHERE
    for kind, types in TYPES.items()
    if isinstance(field, kind)
}


def suspects(models: Iterable[Model]) -> set[Model]:
    """Return the models with rows that break a rule, or whose id is not that of their snapshot: in one round trip."""
    with timeout(NO_LIMIT):
        return having(models, lambda model: {"$or": [MISNAMED, _broken(rules(model))]})


def unsound(model: Model) -> Iterator[tuple[Any, list[Rule]]]:
    """Yield the id of each row that breaks rules, and those that it breaks, one of each field."""
    rows, table = model._get_collection(), rules(model)
    with timeout(NO_LIMIT):
        ids = [row["_id"] for row in rows.find(_broken(table), {"_id": 1})]
    for id in ids:
        parts = {str(n): [{"$match": rule.broken}, {"$project": {"_id": 1}}] for n, rule in enumerate(table)}
        for found in rows.aggregate([{"$match": {"_id": id}}, {"$facet": parts}]):
            if broken := {rule.field: rule for n, rule in enumerate(table) if found[str(n)]}:
                yield id, list(broken.values())


def mend(model: Model, id: Any, broken: list[Rule]) -> None:
    """Restore these fields of a row, and make the row due, unless it was changed meanwhile."""
    where = {"$and": [OURS, *(rule.broken for rule in broken)]}
    model.restore(id, where, {rule.field: rule.right for rule in broken})


def _broken(table: list[Rule]) -> Json:
    return {"$and": [OURS, {"$or": [rule.broken for rule in table]}]}
