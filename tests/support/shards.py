"""Which shards a command would ask: its collections, and the fields that its filters compare with a value.

`mongos` sends a command to one shard if every alternative of its filter names the shard key; if one does not, to all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pymongo.monitoring import CommandStartedEvent

from tests.support.heard import Heard

Json = Mapping[str, Any]
Fields = frozenset[str]


@dataclass(frozen=True)
class Question:
    """A command, or the part of it that asks one collection; `by` are the alternatives of its filter."""

    collection: str
    command: str
    by: tuple[Fields, ...]

    def reaches_one(self, key: str) -> bool:
        """Whether it reaches one shard, or one for each value, if the collection is sharded by this key."""
        return all(key in fields for fields in self.by)


class Questions(Heard):
    """Notes the questions of every command that is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Question] = []

    def started(self, event: CommandStartedEvent) -> None:
        super().started(event)
        self.asked += questions(event.command_name, event.command)


def questions(name: str, command: Json) -> Iterator[Question]:
    """Yield the questions of one command; it has none if it asks no collection."""
    match name, command.get(name):
        case "aggregate", of:
            yield from _of_pipeline("aggregate", of if isinstance(of, str) else None, command["pipeline"])
        case (("find" | "count" | "distinct" | "findAndModify" | "delete" | "update" | "insert"), str(of)):
            for where in _filters(name, command):
                yield Question(of, name, compared(where))


def _filters(name: str, command: Json) -> list[Json]:
    match name:
        case "update" | "delete":
            return [each["q"] for each in command[f"{name}s"]]
        case "insert":
            return list(command["documents"])  # each has its own key
    return [command.get("filter", command.get("query", {}))]


def _of_pipeline(name: str, collection: str | None, stages: Sequence[Json]) -> Iterator[Question]:
    where: list[Json] = []
    for stage in stages:
        if "$match" not in stage:
            break
        where.append(stage["$match"])
    if collection is not None:
        yield Question(collection, name, compared({"$and": where}))
    for stage in stages:
        match stage:
            case {"$unionWith": {"coll": of, "pipeline": inner}}:
                yield from _of_pipeline("$unionWith", of, inner)
            case {"$lookup": {"from": of, "pipeline": inner, **more}}:
                joined = {"$match": {more["foreignField"]: 1}} if "foreignField" in more else {"$match": {}}
                yield from _of_pipeline("$lookup", of, [joined, *inner])
            case {"$merge": {"into": of}}:
                yield Question(of, "$merge", (frozenset({"_id"}),))


def compared(where: Json) -> tuple[Fields, ...]:
    """Return the fields that each alternative of a filter compares with one value, or with each of some."""
    found: list[Sequence[Fields]] = [[frozenset(name for name, value in where.items() if _is_equality(name, value))]]
    found += [compared(each) for each in where.get("$and", ())]
    if "$or" in where:
        found.append([fields for each in where["$or"] for fields in compared(each)])
    named = dict.fromkeys(frozenset[str]().union(*some) for some in product(*found))
    return tuple(fields for fields in named if not any(fewer < fields for fewer in named))  # which decide alone


def _is_equality(name: str, value: Any) -> bool:
    operators = [each for each in value if each.startswith("$")] if isinstance(value, dict) else []
    return not name.startswith("$") and (not operators or not {"$eq", "$in"}.isdisjoint(operators))
