"""Query plans: explains each query of the service while it is sent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

ASKS = ("find", "findAndModify", "count", "aggregate", "distinct", "update", "delete")
ENVELOPE = (
    "lsid",
    "txnNumber",
    "maxTimeMS",
    "writeConcern",
    "readConcern",
)  # fields that `explain` does not take, as those with $
ABOUT = ("customers", "stripe_events", "sync_state")  # the collections of other kinds have the same indexes
ALL_DATES: CodecOptions[Any] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO
)  # plans contain the last date
SLACK = 10  # rows that may be examined without being found
Row = tuple[str, str, str, int, int, int]
HEAD = ("sent by", "query", "plan", "keys", "documents", "found")


@dataclass(frozen=True)
class Plan:
    """The plan of a query: its stages, and how much they examined."""

    asker: str
    question: str
    stages: tuple[str, ...]  # an index scan is shown by the name of the index
    keys: int
    documents: int
    found: int

    @property
    def scans(self) -> bool:
        """Return whether the query examines more than it finds, so that its cost grows with the documents."""
        return "COLLSCAN" in self.stages or max(self.keys, self.documents) > 2 * self.found + SLACK

    def row(self) -> Row:
        """Return the row of the table."""
        return self.asker, self.question, " ← ".join(self.stages), self.keys, self.documents, self.found


class Plans(CommandListener):
    """Explains the first query of each shape, just before it is sent."""

    def __init__(self, uri: str) -> None:
        self._client: MongoClient[Any] = MongoClient(uri)  # not the one that is listened to
        self._asker: str | None = None
        self._found: dict[str, Plan] = {}
        self._errors: list[Exception] = []

    @contextmanager
    def of(self, asker: str) -> Iterator[None]:
        """Explain the queries of the block."""
        self._asker = asker
        yield
        self._asker = None
        if self._errors:
            raise self._errors[0]  # pymongo only prints what listeners raise

    @property
    def found(self) -> list[Plan]:
        """Return every plan, in the order of the queries."""
        return list(self._found.values())

    def started(self, event: CommandStartedEvent) -> None:
        """Explain the command that is about to be sent."""
        if self._asker is None or event.command_name not in ASKS:
            return
        for command in _each(event.command_name, event.command):
            question = _question(event.command_name, command)
            if command[event.command_name] in ABOUT and question not in self._found:
                try:
                    self._found[question] = self._explain(question, event.database_name, command)
                except Exception as error:
                    self._errors.append(error)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Do nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Do nothing."""

    def _explain(self, question: str, database: str, asked: Mapping[str, Any]) -> Plan:
        assert self._asker
        command = {k: v for k, v in asked.items() if k not in ENVELOPE and not k.startswith("$")}
        explain = {"explain": command, "verbosity": "executionStats"}
        plan = self._client[database].command(explain, codec_options=ALL_DATES)
        stats = next(_within(plan, "executionStats"))
        return Plan(
            asker=self._asker,
            question=question,
            stages=tuple(_stages(next(_within(plan, "winningPlan")))),
            keys=stats["totalKeysExamined"],
            documents=stats["totalDocsExamined"],
            found=stats["nReturned"],
        )


def _each(name: str, command: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the questions of a command: MongoDB explains one update, and no union of collections."""
    if name == "update":
        return [{**command, "updates": command["updates"][:1]}]
    if name == "aggregate" and command[name] == 1:
        unions = [stage["$unionWith"] for stage in command["pipeline"] if "$unionWith" in stage]
        return [{"aggregate": one["coll"], "pipeline": one["pipeline"], "cursor": {}} for one in unions]
    return [command]


def _question(name: str, command: Any) -> str:
    """Return the shape of a query: its collection, fields and order."""
    query = command.get("filter") or command.get("query") or command.get("pipeline") or {}
    order = f" by {', '.join(command['sort'])}" if command.get("sort") else ""
    return f"{command[name]}.{name} {_shape(query)}{order}"


def _shape(query: Any) -> str:
    if isinstance(query, list):
        return f"[{', '.join(sorted({_shape(each) for each in query}))}]"
    if not isinstance(query, dict):
        return ""
    parts = [f"{name} {inner}".strip() for name, value in query.items() for inner in [_shape(value)]]
    return f"{{{', '.join(parts)}}}" if parts else ""


def _within(plan: Any, name: str) -> Iterator[Any]:
    """Yield every value under that name, outermost first."""
    if isinstance(plan, dict):
        if name in plan:
            yield plan[name]
        for value in plan.values():
            yield from _within(value, name)
    elif isinstance(plan, list):
        for value in plan:
            yield from _within(value, name)


def _stages(plan: Any) -> list[str]:
    """Return the stages of a plan, the last one first."""
    plan = plan.get("queryPlan", plan)
    own = [plan["stage"], *([plan["indexName"]] if "indexName" in plan else [])]
    inner = [plan[name] for name in ("inputStage",) if name in plan] + plan.get("inputStages", [])
    return [*own, *(stage for each in inner for stage in _stages(each))]
